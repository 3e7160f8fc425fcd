/** Finding what a pidfile allows to signal: its own process, or the group that this leads. */
import { CommandError } from "../errors.ts";
import { explain } from "../process/identity.ts";
import {
  describe,
  type HeldProcess,
  holdProcess,
  isRunning,
  type Process,
} from "../process/process.ts";
import { findGroup, Leftovers, type ProcessGroup } from "../process/process_group.ts";
import { type Outcome, processTarget, type Target } from "../process/schedule.ts";
import { shellQuote } from "../shell_quote.ts";
import { type PidfileState, readAndJudge } from "./pidfile.ts";
import { findDistrust } from "./trust.ts";

/** What a pidfile names, as far as it may be signalled. */
export type Found = Nothing | Signallable;

/** No process of the pidfile is running. */
export interface Nothing extends Disposable {
  /** Tells it from a `Signallable`. */
  readonly kind: "nothing";
  /** The pidfile as it was read. */
  readonly state: PidfileState;
  /** What makes it stale, to follow its name. */
  readonly fact: string;
}

/** What may be signalled. It stays the same one until it is disposed. */
export interface Signallable extends Disposable {
  /** Tells it from `Nothing`. */
  readonly kind: "signallable";
  /** The pidfile as it was when its PID was read. */
  readonly state: PidfileState;
  /** The pidfile's own process, or its group. */
  readonly target: Target;
  /** It, as messages name it: `process 812 (web)`, `process group 812 (web)`. */
  readonly name: string;
  /** Whether it is a group. */
  readonly isGroup: boolean;
  /** Why it is the process alone although the group was asked for. */
  readonly warning: string | undefined;
}

/**
 * Finds what may be signalled through a pidfile: reads it, decides whose its PID is, holds that
 * process and asks whether the pidfile can be trusted with it.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @param isGroup whether the group that the process leads is meant
 * @throws {CommandError} it must not be signalled, or it is unclear whether it may; the file is not
 * a pidfile or cannot be read
 */
export async function findTarget(
  path: string,
  exec: string | undefined,
  isGroup: boolean,
): Promise<Found> {
  // 1. Read the PID, and decide whose it is.
  const { state, verdict } = await readAndJudge(path, exec);
  const nothing = (fact: string): Nothing => ({ kind: "nothing", state, fact, ...UNHELD });
  if (state.kind === "missing") return nothing("does not exist");
  if (state.kind === "empty") return nothing("is empty");
  if (state.kind === "invalid") throw invalid(path, "nothing was signalled; ");
  if (verdict.kind === "unclear") {
    throw new CommandError(
      `${shellQuote(path)}: ${explain(verdict)}; nothing was signalled; ${verdict.hint}`,
    );
  }
  if (verdict.kind === "unrelated") {
    return nothing(`${describe(verdict.process)} ${verdict.reason}, and was not signalled`);
  }
  // 2. Hold it: from here on no other process is taken for it.
  const process = verdict.kind === "own" ? holdProcess(verdict.process) : undefined;
  if (process === undefined) {
    const left = isGroup ? leftovers(state).running() : [];
    if (left.length > 0) throw leaderless(path, state.pid, left);
    return nothing(`process ${state.pid} is not running`);
  }
  try {
    // 3. Ask whether the pidfile can be trusted with it.
    const check = (member: Process): void => refuseDistrusted(path, state, member);
    check(process);
    return { kind: "signallable", state, ...choose(process, isGroup, check), ...release(process) };
  } catch (error) {
    process[Symbol.dispose]();
    throw error;
  }
}

/** What is running of a pidfile; `Signallable` without the permission to signal it. */
export interface Running extends Omit<Signallable, "kind" | "target"> {
  /** Tells it from `Nothing`. */
  readonly kind: "running";
  /** The process or the group. */
  readonly target: Pick<Target, "running" | "waitForExit">;
}

/**
 * Finds what is running of a pidfile, to wait for it. What is unclear counts as running, with a
 * warning; whether the pidfile can be trusted does not matter.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @param isGroup whether the group that the process leads is meant; that counts as running also
 * after the process itself has exited
 * @throws {CommandError} the file is not a pidfile or cannot be read
 */
export async function findRunning(
  path: string,
  exec: string | undefined,
  isGroup: boolean,
): Promise<Nothing | Running> {
  const { state, verdict } = await readAndJudge(path, exec);
  const nothing = (fact: string): Nothing => ({ kind: "nothing", state, fact, ...UNHELD });
  if (state.kind === "missing") return nothing("does not exist");
  if (state.kind === "empty") return nothing("is empty");
  if (state.kind === "invalid") throw invalid(path, "");
  if (verdict.kind === "unclear" && verdict.isElsewhere) {
    throw new CommandError(`${shellQuote(path)}: ${explain(verdict)}; ${verdict.hint}`);
  }
  if (verdict.kind === "unrelated") {
    return nothing(`${describe(verdict.process)} ${verdict.reason}`);
  }
  const process = verdict.kind === "none" ? undefined : holdProcess(verdict.process);
  if (process === undefined) {
    const target = leftovers(state);
    const name = `process group ${state.pid}`;
    return isGroup && target.running().length > 0
      ? { kind: "running", state, target, name, isGroup, warning: undefined, ...UNHELD }
      : nothing(`process ${state.pid} is not running`);
  }
  const chosen = choose(process, isGroup, () => {});
  const warning = verdict.kind === "unclear"
    ? `${explain(verdict)}; it is waited for; ${verdict.hint}`
    : chosen.warning;
  return { kind: "running", state, ...chosen, warning, ...release(process) };
}

function leftovers({ pid, record }: PidfileState & { readonly kind: "pid" }): Leftovers {
  return new Leftovers(pid, record?.isCurrent ? record.identity.boot : undefined);
}

const UNHELD = { [Symbol.dispose](): void {} };

function release(process: HeldProcess): Disposable {
  return { [Symbol.dispose]: () => process[Symbol.dispose]() };
}

function invalid(path: string, consequence: string): CommandError {
  return new CommandError(
    `${shellQuote(path)}: does not contain a valid pid; ${consequence}` +
      "inspect the file and remove it if its process has exited",
  );
}

function leaderless(path: string, leader: number, left: readonly Process[]): CommandError {
  return new CommandError(
    `${shellQuote(path)}: process ${leader} is not running, but its process group is, or a later ` +
      `one with that number: ${describeAll(left)}; nothing was signalled; ` +
      "if they belong to the service, kill them by PID",
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

/** Describes processes in a list: `process 812 (web), process 813 (web)`. */
export function describeAll(processes: readonly Process[]): string {
  return processes.map(describe).join(", ");
}

function refuseDistrusted(path: string, state: PidfileState, process: Process): void {
  const distrust = findDistrust(path, state, process);
  if (distrust === undefined) return;
  throw new CommandError(
    `${distrust.fact}; ${describe(process)} was not signalled; ${distrust.hint}`,
  );
}

/**
 * Returns the group that a pidfile's own process leads as the target of signals, or the process
 * alone with a warning. Sending throws a `CommandError` for a member that must not be signalled.
 */
export function groupTarget(
  path: string,
  state: PidfileState,
  process: HeldProcess,
): Pick<Signallable, "target" | "name" | "warning"> {
  return choose(process, true, (member) => refuseDistrusted(path, state, member));
}

function choose(
  process: HeldProcess,
  isGroup: boolean,
  check: (member: Process) => void,
): Pick<Signallable, "target" | "name" | "isGroup" | "warning"> {
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
