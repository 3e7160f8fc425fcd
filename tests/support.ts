/** What every test of the compiled binary and of real processes needs. */
import { AssertionError } from "@std/assert";
import { deadline } from "@std/async/deadline";

/** The binary under test. */
export const SIPID = new URL("../dist/sipid", import.meta.url).pathname;
const FIXTURES = new URL("./fixtures/", import.meta.url).pathname;

/** A directory of the test's own, removed at the end. */
export class TempDir implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "sipid-test-" });

  constructor() {
    Deno.chmodSync(this.path, 0o755);
  }

  /** The path of a file in it. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** A file in it, with this content. */
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

/** Runs the binary under test to its end. */
export function sipid(...args: string[]): Promise<Result> {
  return run(SIPID, args);
}

/** Runs a program as nobody: tests that run as nobody already just run it. */
export function asNobody(program: string, args: string[]): Promise<Result> {
  if (Deno.uid() !== 0) return run(program, args);
  const drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
  return run("setpriv", [...drop, program, ...args]);
}

/** Milliseconds after which what a test waits for will not come. */
const WAIT_TIMEOUT_MS = 60_000;

/** A program a test started, ended with the test at the latest. */
export class Running implements AsyncDisposable {
  readonly #begin = performance.now();
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #seen = "";

  private constructor(readonly command: string, child: Deno.ChildProcess) {
    this.#child = child;
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a program and waits until it has written `awaited`, a line, to stdout. */
  static async start(
    program: string,
    args: string[],
    { awaited = "ready", ...options }: { awaited?: string } & Partial<Deno.CommandOptions> = {},
  ): Promise<Running> {
    const child = new Deno.Command(program, {
      ...options,
      args,
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const running = new Running([program, ...args].join(" "), child);
    await running.line(new RegExp(`^${awaited}$`, "m"));
    return running;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to stdout, as far as it was waited for. */
  get seen(): string {
    return this.#seen;
  }

  /** Its exit status. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Waits until it exits. The result has what was read of stdout; stderr was not captured. */
  async result(): Promise<Result> {
    const { code, signal } = await this.#child.status;
    const ms = performance.now() - this.#begin;
    return { command: this.command, code, signal, stdout: this.#seen, stderr: "", ms };
  }

  /** Waits until its stdout matches; the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#seen);
      if (found !== null) return found;
      const { done, value } = await deadline(this.#lines.read(), WAIT_TIMEOUT_MS).catch(() => {
        throw new Error(`it never wrote ${pattern}, but: ${this.#seen}`);
      });
      if (done) throw new Error(`it ended before it wrote ${pattern}, after: ${this.#seen}`);
      this.#seen += value;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#lines.cancel();
  }
}

/** Starts tests/fixtures/NAME.ts and waits until it says `ready`. */
export function fixture(name: string, ...args: string[]): Promise<Running> {
  const options = [
    "run",
    "--quiet",
    "--no-check",
    "--no-lock",
    "--no-config",
    "--allow-all",
  ];
  return Running.start(Deno.execPath(), [
    ...options,
    `${FIXTURES}${name}.ts`,
    ...args,
  ]);
}

/** Whether a process runs, by a way of our own: its state in /proc, zombies being dead. */
export function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** A PID that no process has: that of one which has ended and was reaped. */
export async function deadPid(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

/** Waits for an event that leaves no trace but a condition; fails after ten seconds. */
export async function until(
  condition: () => boolean,
  what: string | (() => string),
): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > limit) {
      throw new Error(`it never came to this: ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Milliseconds that starting a program may take on a busy machine, on top of what is promised. */
export const SLACK_MS = 1_000;

/** Takes an flock(2) on a file as another program does, and holds it until disposed. */
export function lockedElsewhere(path: string): Promise<Running> {
  return Running.start("flock", [
    "--no-fork",
    path,
    "sh",
    "-c",
    "echo ready; exec sleep 600",
  ]);
}

/** A zombie: its PID, and the parent that never reaps it. */
export async function zombie(): Promise<{ pid: number; parent: Running }> {
  // The child ends when its parent is no shell any more, which would reap it.
  const child = "until grep -q sleep /proc/$$/comm; do :; done";
  const script = `{ ${child}; } & echo child $!; echo ready; exec sleep 600`;
  const parent = await Running.start("sh", ["-c", script]);
  const pid = Number((await parent.line(/child (\d+)/))[1]);
  await until(() => !isRunning(pid), "the child has ended");
  return { pid, parent };
}
