/** What every test of the compiled binary and of real processes needs. */
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

/** What a program left behind. Times in milliseconds. */
export interface Result {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** Runs a program to its end. */
export async function run(
  program: string,
  args: string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Promise<Result> {
  const begin = performance.now();
  const { code, signal, stdout, stderr } = await new Deno.Command(program, {
    stdin: "null",
    ...options,
    args,
  }).output();
  const ms = performance.now() - begin;
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr), ms };
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
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #seen = "";

  private constructor(child: Deno.ChildProcess) {
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
    const running = new Running(child);
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

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
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
export function runs(pid: number): boolean {
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
export const SLACK = 1_000;

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
  await until(() => !runs(pid), "the child has ended");
  return { pid, parent };
}
