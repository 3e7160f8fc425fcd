/** What may be signalled on the word of a pidfile: its own process, or the group that this leads. */
import { CommandError } from "../errors.ts";
import { isOfLaterStart } from "../process/verdict.ts";
import {
  describe,
  describeAll,
  type HeldProcess,
  isRunning,
  type Process,
} from "../process/process.ts";
import { findGroup, Leftovers, type ProcessGroup } from "../process/process_group.ts";
import { type Outcome, processTarget, type Target } from "../process/run_schedule.ts";
import { shellQuote } from "../shell_quote.ts";
import type { PidfileState } from "./pidfile.ts";
import type { Signallable } from "./target.ts";
import { findDistrust } from "./trust.ts";

/** A pidfile that contains a PID. */
export type PidState = PidfileState & { readonly kind: "pid" };

/**
 * Returns what is left of the group that a pidfile's process led.
 *
 * @param exec the path of the program that the pidfile's own process runs
 */
export function leftovers({ pid, record, stat }: PidState, exec: string | undefined): Leftovers {
  return record?.isCurrent
    ? new Leftovers(pid, record.identity)
    : new Leftovers(pid, undefined, (member) => isOfLaterStart(member, stat.mtime ?? 0, exec));
}

/**
 * Refuses to say that nothing is running while the group of the pidfile's process is.
 *
 * @throws {CommandError} members of the group are running
 */
export function refuseLeaderless(path: string, state: PidState, exec: string | undefined): void {
  const left = leftovers(state, exec).running();
  if (left.length === 0) return;
  throw new CommandError(
    `${shellQuote(path)}: process ${state.pid} is not running, but its process group is, or a ` +
      `later one with that number: ${describeAll(left)}; nothing was signalled; ` +
      "if they belong to the service, kill them by PID; then remove the pidfile",
  );
}

/** Returns the error for a signal that could not be sent, for the reason that `Outcome` gives. */
export function notSent(
  { name }: Signallable,
  why: "denied" | "unclear",
  signal: Deno.Signal,
  path: string,
): CommandError {
  const kept = `${shellQuote(path)} is kept`;
  return new CommandError(
    why === "denied"
      ? `no permission to send ${signal} to ${name}; ${kept}; ` +
        "run this as root, or as the user of that process"
      : `${name} has lost its leader and all members that were known, so its number may belong to ` +
        `a later group; ${signal} was not sent; ${kept}; ` +
        "if what is left belongs to the service, kill it by PID",
  );
}

function refuseDistrusted(path: string, state: PidfileState, process: Process): void {
  const distrust = findDistrust(path, state, process);
  if (distrust === undefined) return;
  throw new CommandError(
    `${distrust.fact}; ${describe(process)} was not signalled; ${distrust.hint}`,
  );
}

/**
 * Returns what may be signalled of a pidfile's own process.
 *
 * @param isGroup whether the group that the process leads is meant
 * @throws {CommandError} the pidfile cannot be trusted with the process or a member of the group
 */
export function trustedTarget(
  path: string,
  state: PidfileState,
  process: HeldProcess,
  isGroup: boolean,
): Chosen {
  const check = (member: Process): void => refuseDistrusted(path, state, member);
  check(process);
  return choose(process, isGroup, check);
}

/**
 * Returns the group that a pidfile's own process leads as the target of signals, or the process
 * alone with a warning. Sending throws a `CommandError` for a member that must not be signalled.
 */
export function groupTarget(
  path: string,
  state: PidfileState,
  process: HeldProcess,
): Chosen {
  return choose(process, true, (member) => refuseDistrusted(path, state, member));
}

/** A process or its group, as the target of signals. */
export type Chosen = Pick<Signallable, "target" | "name" | "isGroup" | "warning">;

/** Chooses the process, or the group that it leads; `check` throws for a member not to be signalled. */
export function choose(
  process: HeldProcess,
  isGroup: boolean,
  check: (member: Process) => void,
): Chosen {
  const group = isGroup ? findGroup(process) : undefined;
  if (group === undefined || typeof group === "string") {
    const name = describe(process);
    const warning = group && `${name} ${group}; only the process itself is signalled`;
    const alone = processTarget(process);
    const send = (signal: Deno.Signal): Outcome => {
      // Each time: it may since have started a program of another user.
      if (isRunning(process)) check(process);
      return alone.send(signal);
    };
    return { target: { ...alone, send }, name, isGroup: false, warning };
  }
  group.running().forEach(check);
  const name = describe(process).replace("process", "process group");
  return { target: new CheckedGroup(group, check), name, isGroup: true, warning: undefined };
}

/** A group each of whose members may be signalled on the word of the pidfile. */
class CheckedGroup implements Target {
  readonly #group: ProcessGroup;
  readonly #check: (member: Process) => void;

  constructor(group: ProcessGroup, check: (member: Process) => void) {
    this.#group = group;
    this.#check = check;
  }

  send(signal: Deno.Signal): Outcome {
    // Each time: a member may since have started a program of another user.
    this.running().forEach(this.#check);
    return this.#group.send(signal);
  }

  waitForExit(timeoutMs: number): Promise<boolean> {
    return this.#group.waitForExit(timeoutMs);
  }

  isStopped(): boolean {
    return this.#group.isStopped();
  }

  running(): readonly Process[] {
    return this.#group.running();
  }
}
