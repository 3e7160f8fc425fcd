/** The pidfile of a daemon that a command puts in the background: which process it means. */
import { CommandError } from "../errors.ts";
import { invalidFact } from "../pidfile/content.ts";
import {
  type ExistingPidfile,
  isUnchanged,
  judgePidfile,
  type PidfileState,
  readPidfile,
} from "../pidfile/pidfile.ts";
import { refuseDirectory } from "../pidfile/place.ts";
import { type Distrust, findDistrust } from "../pidfile/trust.ts";
import { explain } from "../process/verdict.ts";
import type { Pid } from "../process/pid.ts";
import {
  describe,
  type HeldProcess,
  holdProcess,
  isRunning,
  type Process,
} from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";

/** What one look at the pidfile showed. */
export type Sighting =
  /** It names this running process. */
  | {
    readonly kind: "daemon";
    readonly process: HeldProcess;
    readonly state: ExistingPidfile;
    /** Whether this content is seen for the first time. */
    readonly isFirst: boolean;
  }
  /** The process that it names has exited. */
  | {
    readonly kind: "exited";
    readonly pid: Pid;
    readonly reason: string;
    /** Whether this content is seen for the first time. */
    readonly isFirst: boolean;
  }
  /** It names no process that may be signalled. */
  | { readonly kind: "none"; readonly reason: string };

type NamedPidfile = ExistingPidfile & { readonly kind: "pid" };

/**
 * A pidfile that counts only if it was written since the command was started. The process that a
 * content names when it is first seen is the daemon for as long as this content stays: a later
 * process with the same PID never is.
 */
export class DaemonPidfile {
  readonly #path: string;
  /** What was there before the command was started; undefined if it could not be read. */
  readonly #before: PidfileState | undefined;
  /** The last content that was believed, and its process; undefined if that had exited. */
  #known: { readonly state: NamedPidfile; readonly process: HeldProcess | undefined } | undefined;

  /** The processes that were believed and may be running, and the content that named each. */
  readonly #held = new Map<HeldProcess, NamedPidfile>();

  private constructor(path: string, before: PidfileState | undefined) {
    this.#path = path;
    this.#before = before;
  }

  /**
   * Remembers what the pidfile is now, as from an earlier run.
   *
   * @throws {CommandError} the path can only name a directory
   */
  static async remember(path: string): Promise<DaemonPidfile> {
    refuseDirectory(path);
    try {
      return new DaemonPidfile(path, await readPidfile(path));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return new DaemonPidfile(path, undefined); // the next look says what is wrong with it
    }
  }

  /**
   * Reads the pidfile.
   *
   * @param command the process that may write its own PID; never a later one with that number
   * @param since clock ticks from boot to the start of the command, if they are known
   */
  async look(command: HeldProcess, since: number | undefined): Promise<Sighting> {
    try {
      return this.#interpret(await readPidfile(this.#path), command, since);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return { kind: "none", reason: error.message };
    }
  }

  #interpret(state: PidfileState, command: HeldProcess, since: number | undefined): Sighting {
    const name = shellQuote(this.#path);
    const none = (fact: string): Sighting => ({ kind: "none", reason: `${name}: ${fact}` });
    if (state.kind === "missing") return none("does not exist");
    if (this.#isOld(state)) return none("is from before the command was started");
    if (state.kind === "empty") return none("is empty");
    if (state.kind === "invalid") return none(invalidFact(state));

    const { pid } = state;
    const isFirst = this.#known === undefined || !isSameContent(state, this.#known.state);
    const exited: Sighting = {
      kind: "exited",
      pid,
      reason: `${name}: process ${pid} is not running`,
      isFirst,
    };
    if (!isFirst) {
      const { process } = this.#known!;
      return process !== undefined && isRunning(process)
        ? { kind: "daemon", process, state, isFirst }
        : exited;
    }
    if (pid === command.pid) return this.#believe(state, command) ?? exited;
    const verdict = judgePidfile(state, undefined);
    if (verdict.kind === "unclear") return none(explain(verdict));
    if (verdict.kind === "unrelated") {
      return none(`${describe(verdict.process)} ${verdict.reason}`);
    }
    // Init scripts touch the pidfile of an earlier run, whose PID may be another process's by now.
    if (verdict.kind === "own" && isOlder(verdict.process, since)) {
      return none(`${describe(verdict.process)} was started before the command`);
    }
    if (verdict.kind === "none") {
      this.#known = { state, process: undefined };
      return exited;
    }
    const distrust = findDistrust(this.#path, state, verdict.process);
    if (distrust !== undefined) {
      return { kind: "none", reason: `${distrust.fact}; ${distrust.hint}` };
    }
    // A pidfile that was written again may mean the process that is held already.
    const known = [...this.#held.keys()]
      .find((process) => process.pid === pid && isRunning(process));
    const process = known ?? holdProcess(verdict.process);
    if (process !== undefined) this.#held.set(process, state);
    return this.#believe(state, process) ?? exited;
  }

  /** Forgets a process that has exited; the caller disposes it. */
  forget(exited: HeldProcess): void {
    if (this.#known?.process === exited) this.#known = { ...this.#known, process: undefined };
    this.#held.delete(exited);
  }

  /**
   * Returns why a daemon must not be signalled on the word of the pidfile; undefined if it may. Ask
   * before each signal: it may since have started a program of another user.
   */
  distrust(daemon: HeldProcess): Distrust | undefined {
    const state = this.#held.get(daemon);
    return state && isRunning(daemon) ? findDistrust(this.#path, state, daemon) : undefined;
  }

  #isOld(state: ExistingPidfile): boolean {
    if (this.#before !== undefined) return isSameContent(state, this.#before);
    return (state.stat.mtime ?? 0) < performance.timeOrigin;
  }

  #believe(state: NamedPidfile, process: HeldProcess | undefined): Sighting | undefined {
    this.#known = { state, process };
    return process !== undefined && isRunning(process)
      ? { kind: "daemon", process, state, isFirst: true }
      : undefined;
  }
}

/** Returns whether a process was started before a moment, in clock ticks; false if unknown. */
function isOlder({ startTicks }: Process, since: number | undefined): boolean {
  return startTicks !== undefined && since !== undefined && startTicks < since;
}

/** Two writes within a tick of the kernel's clock can only be distinguished by the PID. */
function isSameContent(one: PidfileState, other: PidfileState): boolean {
  const pidOf = (state: PidfileState): Pid | undefined =>
    state.kind === "pid" ? state.pid : undefined;
  return isUnchanged(one, other) && one.kind === other.kind && pidOf(one) === pidOf(other);
}
