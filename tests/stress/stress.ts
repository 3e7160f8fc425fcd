/** What every part of the stress run shares: repeatable random numbers, rows, and failing. */
import { measureUsage, type Result, run, SIPID } from "../support.ts";

/** Random numbers, the same for the same seed. Source: mulberry32 by Tommy Ettinger. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns a number from 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Returns an integer from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Returns a source of its own, for work that runs at the same time as other work. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

/** One row of the table: what was done, how often, and what was seen. */
export interface Row {
  readonly what: string;
  readonly times: number;
  readonly seen: string;
  /** More of it, for below the table. */
  readonly note?: string;
}

/** The arguments of a part. */
export interface Stress {
  readonly random: Random;
  /** The seed of `random`, for other sources of chance. */
  readonly seed: number;
  /** Whether it is the long run. */
  readonly long: boolean;
  /** A directory of the part's own. */
  readonly dir: string;
}

/** A part: throws at the first promise that does not hold. */
export type Part = (stress: Stress) => Promise<Row[]>;

/** Fails the stress. */
export function broken(promise: string, facts: unknown): never {
  throw new Error(`broken: ${promise}\n${Deno.inspect(facts, { strAbbreviateSize: 2_000 })}`);
}

/** What the runtime prints by itself, and a user must never see. */
export const INTERNALS =
  /Uncaught|panicked|RUST_BACKTRACE|NotCapable|\bos error\b|ext:|file:\/\/\/|\bat async\b|client error|this should not happen/;

/** Fails on a result that no promise allows: a crash, or messages of the runtime. */
export function assertTame(
  result: { code: number; signal: Deno.Signal | null; stderr: string },
  facts: unknown,
): void {
  if (result.signal !== null) broken("no signal ends it", { facts, result });
  if (![0, 1, 2, 3, 4].includes(result.code)) {
    broken("its status is one of its own", { facts, result });
  }
  if (INTERNALS.test(result.stderr)) broken("a user sees no internals", { facts, result });
}

/** Returns the milliseconds that a run of sipid takes on this machine. */
export async function measure(...args: string[]): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) times.push((await run(SIPID, args)).ms);
  return times.sort((a, b) => a - b)[2]!;
}

/** Runs sipid and measures its peak memory, in KiB. */
export async function peakOf(args: string[]): Promise<Result & { peak: number }> {
  const { result, usage } = await measureUsage("%M", SIPID, args);
  const peak = Number(usage);
  if (!(peak > 1_000)) broken("memory is measured", { usage });
  return { ...result, peak };
}
