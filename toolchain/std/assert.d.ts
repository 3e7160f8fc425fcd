/** The assertions the tests use. Each throws an `AssertionError` when it does not hold. */
export function assert(expr: unknown, msg?: string): asserts expr;
export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
export function assertLess(
  actual: number,
  expected: number,
  msg?: string,
): void;
export function assertGreater(
  actual: number,
  expected: number,
  msg?: string,
): void;
export function assertGreaterOrEqual(
  actual: number,
  expected: number,
  msg?: string,
): void;
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void;
export function assertNotMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void;
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass?: abstract new (...args: never[]) => E,
  msgIncludes?: string,
): E;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass?: abstract new (...args: never[]) => E,
  msgIncludes?: string,
): Promise<E>;
export function fail(msg?: string): never;
/** What an assertion throws when it does not hold. */
export class AssertionError extends Error {}
