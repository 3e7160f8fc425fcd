/** What the tests of the binary, the stress run and the bench share: files, programs, waiting. */
import { AssertionError } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";

/** The root of the repository, with a slash at the end. */
export const ROOT = new URL("../", import.meta.url).pathname;
/** Set by make next, where sipid is run from its sources and not compiled. */
const UNCOMPILED = Deno.env.get("SIPID_UNDER_TEST");
/** The binary under test. */
export const SIPID = UNCOMPILED ?? `${ROOT}dist/sipid`;

/** Whether the runtime gives an executable file without a #! line to /bin/sh, as a shell does. */
export const RUNS_TEXT_FILES = /^2\.(9|\d\d)\./.test(Deno.version.deno);

/** A test of what only the compiled file has; make next names it as ignored. */
export function testCompiled(
  name: string,
  fn: (test: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({ name, ignore: UNCOMPILED !== undefined, fn });
}

/** A temporary directory, removed with the block that uses it. */
export class TempDir implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "sipid-test-" });

  constructor() {
    Deno.chmodSync(this.path, 0o755);
  }

  /** Returns the path of a file in it. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Writes a file in it and returns its path. */
  write(name: string, content: string | Uint8Array): string {
    const path = this.file(name);
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Returns the content of a file, or undefined if it does not exist. */
export function readIfExists(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether a path names anything, a dangling symlink included. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Prints a line on stdout. */
export function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** How a program exited, and what it printed. Times in milliseconds. */
export interface Result {
  /** The program and its arguments, for messages. */
  readonly command: string;
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** A program that was started, and what comes of it. */
export interface Started {
  readonly pid: number;
  readonly result: Promise<Result>;
  kill(signal: Deno.Signal): void;
}

/** Starts a program, whose result is awaited later. */
export function start(
  program: string,
  args: string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Started {
  const begin = performance.now();
  const piped = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(program, { ...piped, ...options, args }).spawn();
  const finish = async (): Promise<Result> => {
    const { code, signal, stdout, stderr } = await child.output();
    const ms = performance.now() - begin;
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    const command = [program, ...args].join(" ");
    return { command, code, signal, stdout: text(stdout), stderr: text(stderr), ms };
  };
  return { pid: child.pid, result: finish(), kill: (signal) => child.kill(signal) };
}

/** Runs a program and waits until it exits. */
export function run(
  program: string,
  args: string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Promise<Result> {
  return start(program, args, options).result;
}

/** What a test expects of a `Result`; what is not named may be anything. */
export interface Expected {
  readonly code: number;
  /** All of stdout, or a pattern in it. */
  readonly stdout?: string | RegExp;
  /** Texts and patterns that all occur in stderr, whose lines have timestamps; "": it is empty. */
  readonly stderr?: string | RegExp | readonly (string | RegExp)[];
}

/**
 * Asserts how a program exited and what it printed.
 *
 * @returns the result, for further assertions
 * @throws {AssertionError} it differs; the message has the command and everything it printed
 */
export function expectResult(result: Result, expected: Expected): Result {
  const { command, code, signal, stdout, stderr } = result;
  const differences: string[] = [];
  if (code !== expected.code) {
    const how = signal === null ? `status ${code}` : `status ${code} (${signal})`;
    differences.push(`expected exit status ${expected.code}, got ${how}`);
  }
  const { stdout: out } = expected;
  if (out !== undefined && !(out instanceof RegExp ? out.test(stdout) : out === stdout)) {
    differences.push(`expected stdout ${Deno.inspect(out)}`);
  }
  for (const part of [expected.stderr ?? []].flat()) {
    const isThere = part instanceof RegExp
      ? part.test(stderr)
      : part === ""
      ? stderr === ""
      : stderr.includes(part);
    if (!isThere) differences.push(`expected stderr ${Deno.inspect(part)}`);
  }
  if (differences.length > 0) {
    const printed = `$ ${command}\nstdout: ${stdout}\nstderr: ${stderr}`;
    throw new AssertionError(`${differences.join("\n")}\n${printed}`);
  }
  return result;
}

/**
 * Returns the milliseconds from the first message that matches `from` to the next one that matches
 * `to`. Other than the time that a command takes, this has no start-up in it.
 */
export function loggedMs(stderr: string, from: RegExp, to: RegExp): number {
  let begin: number | undefined;
  for (const [, time, text] of stderr.matchAll(/^(\S+Z) (.*)$/gm)) {
    if (begin !== undefined && to.test(text!)) return Date.parse(time!) - begin;
    if (begin === undefined && from.test(text!)) begin = Date.parse(time!);
  }
  throw new AssertionError(`no ${from} followed by ${to}:\n${stderr}`);
}

/** Runs the binary under test. */
export function sipid(...args: string[]): Promise<Result> {
  return run(SIPID, args);
}

/** The user and group ID of the user nobody. */
export const NOBODY = 65534;
/** Words before a command that have root run it as nobody; none if the tests do not run as root. */
export const AS_NOBODY: readonly string[] = Deno.uid() === 0
  ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--"]
  : [];

/** Runs a program as the user nobody if the tests run as root, else as the current user. */
export function asNobody(program: string, args: string[]): Promise<Result> {
  const [first = program, ...rest] = [...AS_NOBODY, program];
  return run(first, [...rest, ...args]);
}

/** Runs a program under time(1). `usage` is what its `format` prints: `%M` is the peak in KiB. */
export async function measureUsage(
  format: string,
  program: string,
  args: string[],
): Promise<{ result: Result; usage: string }> {
  using dir = new TempDir();
  const report = dir.file("usage");
  const result = await run("time", ["-q", "-f", format, "-o", report, program, ...args]);
  return { result, usage: Deno.readTextFileSync(report).trim().split("\n").at(-1)! };
}

/**
 * Calls `work` for every item, `width` of them at a time, and returns their results in order.
 *
 * @param staggerMs milliseconds between the starts of the first `width` calls
 */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<R>,
  staggerMs = 0,
): Promise<R[]> {
  const results: R[] = [];
  const entries = items.entries();
  await Promise.all(Array.from({ length: width }, async (_, lane) => {
    await delay(lane * staggerMs);
    for (const [index, item] of entries) results[index] = await work(item, index);
  }));
  return results;
}

/** Milliseconds a test waits for an event before it fails: much more than a busy machine needs. */
const WAIT_TIMEOUT_MS = 60_000;

/**
 * Milliseconds added to a documented limit: what starting a program may take on a busy machine.
 * Less than what a command must not wait for: the 5 s between two probes, a grace period of 20 s.
 */
export const SLACK_MS = 3_000;

/** Waits until a condition holds that no event announces; fails after a minute. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const limit = performance.now() + WAIT_TIMEOUT_MS;
  while (!await condition()) {
    if (performance.now() > limit) {
      throw new Error(`timed out waiting until ${typeof what === "string" ? what : what()}`);
    }
    await delay(5);
  }
}

/** Sets up what was made and returns it; if that fails, disposes of it: nothing is left behind. */
export async function setUp<T extends AsyncDisposable>(
  made: T,
  steps: () => Promise<unknown>,
): Promise<T> {
  await using partial = new AsyncDisposableStack();
  partial.use(made);
  await steps();
  partial.move();
  return made;
}

/** A process in the background, without any output; killed with the block that uses it. */
export class Job implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(script = "exec sleep 7200") {
    this.#child = new Deno.Command("sh", {
      args: ["-c", script],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  get pid(): number {
    return this.#child.pid;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killAndReap(this.#child);
  }
}

async function killAndReap(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has exited already.
  }
  await child.status;
}

/** A program that prints a line when it is ready; killed with the block that uses it. */
export class Running implements AsyncDisposable {
  readonly #begin = performance.now();
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #seen = "";

  private constructor(readonly command: string, child: Deno.ChildProcess) {
    this.#child = child;
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a program and waits until it has printed the line `awaited`. */
  static start(
    program: string,
    args: string[],
    { awaited = "ready", ...options }: { awaited?: string } & Partial<Deno.CommandOptions> = {},
  ): Promise<Running> {
    const piped = { stdin: "null", stdout: "piped" } as const;
    const child = new Deno.Command(program, { ...options, ...piped, args }).spawn();
    const running = new Running([program, ...args].join(" "), child);
    return setUp(running, () => running.line(new RegExp(`^${awaited}$`, "m")));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What was read of its stdout so far. */
  get seen(): string {
    return this.#seen;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Waits until it exits. The result has what was read of stdout; stderr was not captured. */
  async result(): Promise<Result> {
    const { code, signal } = await this.#child.status;
    const ms = performance.now() - this.#begin;
    return { command: this.command, code, signal, stdout: this.#seen, stderr: "", ms };
  }

  /** Waits until its stdout matches, and returns the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#seen);
      if (found !== null) return found;
      const { done, value } = await deadline(this.#lines.read(), WAIT_TIMEOUT_MS).catch(() => {
        throw new Error(`timed out waiting for ${pattern} on stdout, which has: ${this.#seen}`);
      });
      if (done) throw new Error(`stdout ended before ${pattern}: ${this.#seen}`);
      this.#seen += value;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killAndReap(this.#child);
    await this.#lines.cancel();
  }
}

/** Returns the command that runs tests/fixtures/NAME.ts. */
export function fixtureCommand(name: string, ...args: string[]): [string, ...string[]] {
  const options = ["--quiet", "--no-check", "--no-lock", "--no-config", "--allow-all"];
  return [Deno.execPath(), "run", ...options, `${ROOT}tests/fixtures/${name}.ts`, ...args];
}

/** Starts tests/fixtures/NAME.ts and waits until it prints `ready`. */
export function fixture(name: string, ...args: string[]): Promise<Running> {
  const [program, ...rest] = fixtureCommand(name, ...args);
  return Running.start(program, rest);
}

/** Whether a process is running, read from /proc without the code under test; a zombie is not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** Returns a PID that no process has: that of one that has exited and was reaped. */
export async function deadPid(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

/** Has another process take an flock(2) on a file and hold it while `script` runs. */
export function lockedElsewhere(
  path: string,
  script = "echo ready; exec sleep 600",
): Promise<Running> {
  return Running.start("flock", ["--no-fork", path, "sh", "-c", script]);
}

/** A zombie: its PID, and the parent that never reaps it. */
export async function zombie(): Promise<{ pid: number; parent: Running }> {
  // The child exits once its parent is no longer a shell, which would reap it.
  const child = "until grep -q sleep /proc/$$/comm; do :; done";
  const script = `{ ${child}; } & echo child $!; echo ready; exec sleep 600`;
  const parent = await Running.start("sh", ["-c", script]);
  const pid = Number((await parent.line(/child (\d+)/))[1]);
  await until(() => !isRunning(pid), "the child has exited");
  return { pid, parent };
}
