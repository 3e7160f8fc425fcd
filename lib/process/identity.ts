/** Whether the process that has a pidfile's PID now is the one the pidfile means. */
import type { Pid } from "./pid.ts";
import { bootId } from "./proc.ts";
import { describe, findProcess, type Process, startedAt } from "./process.ts";
import { programPath, runsProgram } from "./program.ts";

/** What makes a process this one and no other, across PID reuse and reboots. */
export interface Identity {
  /** Its number while it runs. */
  readonly pid: Pid;
  /** Clock ticks from boot to its start. */
  readonly startTicks: number;
  /** The kernel's id of the boot it was started in. */
  readonly boot: string;
}

/** Which process a pidfile means, as far as it says so itself. */
export interface Named {
  /** What the pidfile contains. */
  readonly pid: Pid;
  /** The claim record's, if the pidfile has one. */
  readonly recorded: Identity | undefined;
  /** When the pidfile was last modified, in milliseconds since 1970. */
  readonly modified: number;
}

/** What the process with a pidfile's PID is to the pidfile. */
export type Verdict =
  /** No process has the PID: the pidfile is stale. */
  | { readonly kind: "none" }
  /** It is the pidfile's own. */
  | { readonly kind: "own"; readonly process: Process }
  /** It got the number later: the pidfile is stale. */
  | { readonly kind: "unrelated"; readonly process: Process; readonly reason: string }
  /** It may be either. `isLate` if it started after the pidfile was last modified. */
  | {
    readonly kind: "unclear";
    readonly process: Process;
    /** Both facts. */
    readonly reason: string;
    /** What settles it. */
    readonly hint: string;
    readonly isLate: boolean;
  };

/** Milliseconds by which a process may seem to have started after its own pidfile was written. */
const CLOCK_MARGIN_MS = 1_000;

const RUN_WHERE_VISIBLE = "run this as root, and where /proc shows that process";

/** The start of a process that does not exist: nothing that gets its PID later started then. */
const NEVER = -1;

/**
 * Returns what identifies the process that has this PID now; undefined if that is hidden. If there
 * is none, every process that gets the PID later is another one.
 */
export function identify(pid: Pid): Identity | undefined {
  const process = findProcess(pid);
  const startTicks = process === undefined ? NEVER : process.startTicks;
  const boot = bootId();
  return startTicks === undefined || boot === undefined ? undefined : { pid, startTicks, boot };
}

/**
 * Decides whether the process that has the PID now is the one the pidfile means.
 *
 * The claim record knows. Without one, a process that was running when the pidfile was last
 * modified is the one whose PID was written; of one that started later, its program decides, since
 * the clock may have been set. The table is in docs/reliability.md.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @throws {CommandError} there is no file at `exec`
 */
export function judge(named: Named, exec: string | undefined): Verdict {
  const process = findProcess(named.pid);
  if (process === undefined) return { kind: "none" };
  if (process.isKernelThread) {
    return { kind: "unrelated", process, reason: "is a kernel thread" };
  }
  const { recorded } = named;
  return recorded === undefined
    ? judgeByTime(process, named.modified, exec)
    : judgeByRecord(process, recorded);
}

function judgeByRecord(process: Process, recorded: Identity): Verdict {
  const { startTicks } = process;
  const boot = bootId();
  const unrelated = (reason: string): Verdict => ({ kind: "unrelated", process, reason });
  const unclear = (reason: string): Verdict => ({
    kind: "unclear",
    process,
    reason: `${reason}, so it cannot be compared with the claim record`,
    hint: RUN_WHERE_VISIBLE,
    isLate: false,
  });
  if (boot !== undefined && boot !== recorded.boot) {
    return unrelated("is not the one that was claimed, before a reboot");
  }
  if (startTicks === undefined) return unclear("its start time is hidden");
  if (startTicks !== recorded.startTicks) return unrelated("is not the one that was claimed");
  if (boot === undefined) return unclear("the machine's boot id is hidden");
  return { kind: "own", process };
}

function judgeByTime(process: Process, modified: number, exec: string | undefined): Verdict {
  const started = startedAt(process);
  const matches = exec === undefined ? undefined : runsProgram(process, exec);
  const isLate = started === undefined || started > modified + CLOCK_MARGIN_MS;
  if (matches === true || (!isLate && exec === undefined)) return { kind: "own", process };
  const unclear = (reason: string, hint: string): Verdict => ({
    kind: "unclear",
    process,
    reason,
    hint,
    isLate: started !== undefined && isLate,
  });
  if (exec !== undefined && matches === undefined) {
    return unclear("what it runs is hidden", RUN_WHERE_VISIBLE);
  }
  const runs = `runs ${programPath(process) ?? "a hidden program"}, not ${exec}`;
  if (started === undefined) {
    return unclear("when it started is hidden", RUN_WHERE_VISIBLE);
  }
  const start = `started at ${utc(started)}`;
  if (!isLate) {
    return unclear(
      `${runs}, but was running when the pidfile was last modified at ${utc(modified)}`,
      "if it is the service, leave out --exec; if it is not, remove the pidfile",
    );
  }
  if (exec !== undefined) return { kind: "unrelated", process, reason: runs };
  return unclear(
    `it ${start}, after the pidfile was last modified at ${utc(modified)}; ` +
      "its PID was probably recycled, or the clock was set",
    "--exec PATH, the program of the service, settles it",
  );
}

/** Returns a sentence about an unclear process: who it is, and both facts. */
export function explain({ process, reason }: { process: Process; reason: string }): string {
  return `${describe(process)} may not be the process that the pidfile means: ${reason}`;
}

function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
