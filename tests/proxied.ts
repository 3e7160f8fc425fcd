/** A proxy under test, with commands of the three kinds that there are. */
import { assert } from "@std/assert";
import {
  fixtureCommand,
  isRunning,
  type Result,
  Running,
  setUp,
  SIPID,
  TempDir,
  until,
} from "./support.ts";

/** The command of the daemon that prints the signals it gets. */
export const DAEMON = fixtureCommand("daemon");

/** A running proxy, with what it says on stderr in a file. */
export class Proxied implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly pidFile = this.dir.file("daemon.pid");
  #running: Running | undefined;

  /** Starts it and waits for a line on stdout, which command and daemon share. */
  static start(
    command: (pidFile: string) => string[],
    {
      awaited = "ready",
      flags = [] as string[],
      stale = undefined as string | undefined,
      cwd = "/",
      launcher = [] as string[],
    } = {},
  ): Promise<Proxied> {
    const proxied = new Proxied();
    if (stale !== undefined) proxied.dir.write("daemon.pid", stale);
    const args = ["pidproxy", ...flags, proxied.pidFile, ...command(proxied.pidFile)];
    const script = 'log=$1; shift; exec "$@" 2>"$log"';
    return setUp(proxied, async () => {
      proxied.#running = await Running.start(
        "sh",
        ["-c", script, "sh", proxied.dir.file("log"), ...launcher, SIPID, ...args],
        { awaited, cwd },
      );
    });
  }

  get running(): Running {
    return this.#running!;
  }
  get log(): string {
    return Deno.readTextFileSync(this.dir.file("log"));
  }
  /** Waits until it has seen its daemon or, with --group, a worker in the daemon's group. */
  async followed(pid?: number): Promise<void> {
    const followed = pid ?? await this.daemonPid();
    return until(() => holds(this.running.pid, followed), `process ${followed} is followed`);
  }
  /** Waits until it has stopped itself, and continues it. */
  async resume(): Promise<void> {
    await until(() => isStopped(this.running.pid), "the proxy has stopped itself");
    this.running.kill("SIGCONT");
  }
  /** Waits until it exits. */
  async result(): Promise<Result> {
    const result = await this.running.result();
    return { ...result, stderr: this.log };
  }
  /** Waits until it has said on stderr what matches. */
  logged(pattern: RegExp): Promise<void> {
    return until(() => pattern.test(this.log), `${pattern} is in the log`);
  }
  /** The PID the daemon says it has. */
  async daemonPid(): Promise<number> {
    return Number((await this.running.line(/daemon (\d+)\n/))[1]);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const pid = /^daemon (\d+)$/m.exec(this.#running?.seen ?? "")?.[1];
    await this.#running?.[Symbol.asyncDispose]();
    if (pid !== undefined && isRunning(Number(pid))) Deno.kill(Number(pid), "SIGKILL");
    this.dir[Symbol.dispose]();
  }
}

/** A command as mysqld_safe is: it ignores signals and stays until its daemon is gone. */
export function safe(...options: string[]): (pidFile: string) => string[] {
  const script = `trap "" TERM INT QUIT HUP; "$@" & wait $!`;
  return (pidFile) => ["sh", "-c", script, "sh", ...DAEMON, pidFile, ...options];
}

/** A command as nginx is: it puts its daemon in the background and exits. */
export function background(...options: string[]): (pidFile: string) => string[] {
  return (pidFile) => ["sh", "-c", '"$@" & exit 0', "sh", ...DAEMON, pidFile, ...options];
}

/** A daemon that is the command itself. */
export function foreground(...options: string[]): (pidFile: string) => string[] {
  return (pidFile) => [...DAEMON, pidFile, ...options];
}

/** Returns the PID of the first child of a process, if it has one. */
export function commandOf(pid: number): string | undefined {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")[0] ||
    undefined;
}

/** Whether a signal has stopped a process. */
export function isStopped(pid: number): boolean {
  return /\) T /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
}

/**
 * Measures something of which only the shortest time is certain on a busy machine.
 *
 * @returns the first time below `enoughMs`, else the shortest of eight
 */
export async function fastest(enoughMs: number, measure: () => Promise<number>): Promise<number> {
  let shortest = Infinity;
  for (let round = 0; round < 8 && shortest >= enoughMs; round++) {
    shortest = Math.min(shortest, await measure());
  }
  return shortest;
}

/** Returns the milliseconds from a moment, on the clock of Date.now(), to a message. */
export function msUntil(message: RegExp, stderr: string, begin: number): number {
  const time = stderr.split("\n").find((line) => message.test(line))?.split(" ")[0];
  assert(time !== undefined, `no ${message}:\n${stderr}`);
  return Date.parse(time) - begin;
}

/** Returns whether a process has the directory of another one in /proc open. */
function holds(pid: number, other: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === `/proc/${other}`;
    } catch {
      return false; // closed meanwhile
    }
  });
}
