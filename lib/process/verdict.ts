/** What the process with a pidfile's PID is to the pidfile, and what time and program say of it. */
import { INIT } from "./proc.ts";
import { describe, findProcess, type Process, startedAt } from "./process.ts";
import { programPath, runsProgram } from "./program.ts";

/** What the process with a pidfile's PID is to the pidfile. */
export type Verdict =
  /** No process has the PID: the pidfile is stale. */
  | { readonly kind: "none" }
  /** It is the pidfile's own. */
  | { readonly kind: "own"; readonly process: Process }
  /** It got the number later: the pidfile is stale. */
  | { readonly kind: "unrelated"; readonly process: Process; readonly reason: string }
  /** It may be either. */
  | {
    readonly kind: "unclear";
    readonly process: Process;
    /** Both facts. */
    readonly reason: string;
    /** What settles it. */
    readonly hint: string;
    /** Whether it started, or was claimed, after the pidfile was written. */
    readonly isNewcomer: boolean;
    /** Whether its PID belongs to another PID namespace, in which it may be running. */
    readonly isElsewhere: boolean;
  };

/** A verdict that refuses. */
export type Unclear = Verdict & { readonly kind: "unclear" };

/** Returns the verdict that a process may be the pidfile's own or not. */
export function unclear(process: Process, reason: string, hint: string): Unclear {
  return { kind: "unclear", process, reason, hint, isNewcomer: false, isElsewhere: false };
}

/** Returns a sentence about an unclear process: who it is, and both facts. */
export function explain({ process, reason }: { process: Process; reason: string }): string {
  return `${describe(process)} may not be the process that the pidfile means: ${reason}`;
}

/** Milliseconds by which a process may seem to have started after its own pidfile was written. */
const CLOCK_MARGIN_MS = 1_000;

/** What helps where /proc hides something. */
export const RUN_WHERE_VISIBLE = "run this as root, and where /proc shows that process";
// The kernel shows what a process runs to its user, and to CAP_SYS_PTRACE.
const LEAVE_OUT_EXEC = "leave out --exec, or run this as root, in a container with CAP_SYS_PTRACE";
const REMOVE_OR_SEE =
  "if the service is not running, remove the pidfile, or run this as root, in a " +
  "container with CAP_SYS_PTRACE";
/** Settles what no look at the process does. */
export const REMOVE_IF_STOPPED = "if the service is not running, remove the pidfile";
const EXEC_SETTLES = "--exec PATH settles it, if nothing else runs the program of the service";

/**
 * Decides without a claim record: by when the process started, when the pidfile was last modified,
 * in milliseconds since 1970, and what the process runs.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @throws {CommandError} there is no file at `exec`
 */
export function judgeByTime(process: Process, modified: number, exec: string | undefined): Verdict {
  const started = startedAt(process);
  const matches = exec === undefined ? undefined : runsProgram(process, exec);
  const isFuture = modified > Date.now() + CLOCK_MARGIN_MS;
  const isLate = started === undefined || started > modified + CLOCK_MARGIN_MS;
  const isThere = !isLate && !isFuture;
  if (matches === true || (isThere && exec === undefined)) return { kind: "own", process };
  const isHidden = exec !== undefined && matches === undefined;
  if (isHidden && isThere) return unclear(process, "what it runs is hidden", LEAVE_OUT_EXEC);
  if (started === undefined) {
    return unclear(process, "when it started is hidden", RUN_WHERE_VISIBLE);
  }
  const written = `the pidfile was last modified at ${utc(modified)}`;
  const hidden = isHidden ? ", and what it runs is hidden" : "";
  if (isFuture) {
    const reason = `${written}, which is in the future, so that its time proves nothing${hidden}`;
    const hint = exec === undefined ? EXEC_SETTLES : isHidden ? REMOVE_OR_SEE : REMOVE_IF_STOPPED;
    return unclear(process, reason, hint);
  }
  const runs = `runs ${programPath(process) ?? "a hidden program"}, not ${exec}`;
  if (isThere) {
    const reason = `it ${runs}, although it was running when ${written}`;
    return unclear(
      process,
      reason,
      "leave out --exec if it is the service; otherwise remove the pidfile",
    );
  }
  if (exec !== undefined && !isHidden) return { kind: "unrelated", process, reason: runs };
  const reason = `it started at ${utc(started)}, after ${written}; ` +
    `its PID was probably recycled, or the clock was set${hidden}`;
  const hint = isHidden ? REMOVE_OR_SEE : EXEC_SETTLES;
  return { ...unclear(process, reason, hint), isNewcomer: true };
}

/**
 * Returns whether a process certainly does not belong to a pidfile without a claim record, whatever
 * its number is: nothing here is as old as the pidfile, as after a restart of the container, and it
 * runs another program than the one at `exec`.
 *
 * @throws {CommandError} there is no file at `exec`
 */
export function isOfLaterStart(
  process: Process,
  modified: number,
  exec: string | undefined,
): boolean {
  const first = findProcess(INIT);
  const begin = first && startedAt(first);
  return begin !== undefined && begin > modified + CLOCK_MARGIN_MS &&
    judgeByTime(process, modified, exec).kind === "unrelated";
}

function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
