/** The process of --pid-file, watched while its service is probed. */
import { delay } from "@std/async/delay";
import { poll } from "@std/async/poll";
import { CommandError } from "../errors.ts";
import { invalidFact } from "../pidfile/content.ts";
import { readAndJudge, readPidfile } from "../pidfile/pidfile.ts";
import { findDistrust } from "../pidfile/trust.ts";
import { explain } from "../process/verdict.ts";
import { describe, type HeldProcess, holdProcess, isRunning } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";

/** Milliseconds between two reads of the pidfile. */
const WATCH_INTERVAL_MS = 50;

/**
 * How long a pidfile may be stale at the start. After a crash, a start script in the background takes
 * some tens of milliseconds to claim it, and more on a busy machine.
 */
const STALE_LIMIT_MS = 1_000;

/** Why no process is watched yet: what the pidfile was, or is, when it was read last. */
type Wait = "missing" | "empty" | "stale" | "unclear" | "unreadable";

/** Each as a fact, to follow the pidfile's name. */
const FACTS: Readonly<Record<Wait, string>> = {
  missing: "does not exist",
  empty: "is empty",
  stale: "names no running process",
  unclear: "its process is not identified",
  unreadable: "is held up by another process, with a lease or by replacing it,",
};

/** Watches the process that a pidfile names, through restarts. */
export class PidfileWatch {
  readonly #path: string;
  readonly #exec: string | undefined;
  readonly #onWarning: (text: string) => void;
  #wait: Wait = "unreadable";
  #process: HeldProcess | undefined;

  /**
   * Prepares to watch.
   *
   * @param onWarning is called if it may not be the pidfile's own process, or another user's choice
   */
  constructor(path: string, exec: string | undefined, onWarning: (text: string) => void) {
    this.#path = path;
    this.#exec = exec;
    this.#onWarning = onWarning;
  }

  /** Whether the pidfile has named a process. */
  get isStarted(): boolean {
    return this.#process !== undefined;
  }

  /** Why nothing is watched yet. */
  get reason(): string {
    return `${shellQuote(this.#path)}: ${FACTS[this.#wait]}`;
  }

  /** What helps if nothing is watched by the deadline. */
  get hint(): string {
    switch (this.#wait) {
      case "unreadable":
        return `find it with: fuser -v ${shellQuote(this.#path)}`;
      case "unclear":
        return "use a longer --timeout";
      default:
        return "has the service been started?";
    }
  }

  /**
   * Waits until the pidfile names a process.
   *
   * @param onWait is called with what is waited for, if it does not do so at once
   * @throws {CommandError} it names none that is running and the pidfile's own
   * @throws the reason of `signal` when that is aborted
   */
  async start(signal: AbortSignal, onWait: (event: string) => void): Promise<void> {
    const begin = performance.now();
    let isWaiting = false;
    for (;;) {
      const event = await this.#find(performance.now() - begin < STALE_LIMIT_MS);
      if (event === undefined) return;
      if (!isWaiting) onWait(event);
      isWaiting = true;
      await delay(WATCH_INTERVAL_MS, { signal });
    }
  }

  /** Watches the process that the pidfile names, or returns what has to happen before. */
  async #find(mayBeStale: boolean): Promise<string | undefined> {
    // The deadline can come while the pidfile cannot be opened, and while it is unclear.
    this.#wait = "unreadable";
    const { kind } = await readPidfile(this.#path);
    this.#wait = kind === "missing" || kind === "empty" ? kind : "unclear";
    if (kind === "missing" || kind === "empty") return `${shellQuote(this.#path)} to be written`;
    const { state, verdict } = await readAndJudge(this.#path, this.#exec);
    if (state.kind === "missing" || state.kind === "empty") {
      this.#wait = state.kind;
      return `${shellQuote(this.#path)} to be written`;
    }
    if (state.kind !== "pid") {
      throw new CommandError(
        `${shellQuote(this.#path)}: ${invalidFact(state)}; nothing to wait for`,
      );
    }
    if (verdict.kind === "none" || verdict.kind === "unrelated") {
      const fact = verdict.kind === "none"
        ? `process ${state.pid} is not running`
        : `${describe(verdict.process)} ${verdict.reason}`;
      if (!mayBeStale) throw this.#failure(fact);
      this.#wait = "stale";
      return `${shellQuote(this.#path)} to be claimed: ${fact}`;
    }
    const { process } = verdict;
    if (verdict.kind === "unclear" && verdict.isElsewhere) {
      throw new CommandError(`${shellQuote(this.#path)}: ${explain(verdict)}; ${verdict.hint}`);
    }
    this.#process = holdProcess(process);
    if (this.#process === undefined) throw this.#failure(`${describe(process)} has exited`);
    const warning = verdict.kind === "unclear"
      ? `${shellQuote(this.#path)}: ${explain(verdict)}; ${verdict.hint}`
      : findDistrust(this.#path, state, process)?.fact;
    if (warning !== undefined) this.#onWarning(warning);
    return undefined;
  }

  /**
   * Returns only by rejecting.
   *
   * @throws {CommandError} the process has exited, or the pidfile was removed
   * @throws the reason of `signal` when that is aborted
   */
  async untilExit(signal: AbortSignal): Promise<void> {
    await poll(() => this.check(), () => false, { interval: WATCH_INTERVAL_MS, signal });
  }

  /**
   * Checks once. After a restart the pidfile names another process, which may still be its start
   * script.
   *
   * @throws {CommandError} the process has exited, or the pidfile was removed
   */
  async check(): Promise<void> {
    const state = await readPidfile(this.#path);
    if (state.kind === "missing") throw this.#failure("was removed");
    const last = this.#process;
    if (last === undefined) return;
    const isOther = state.kind === "pid" && state.pid !== last.pid;
    if (!isOther && isRunning(last)) return;
    const { verdict } = await readAndJudge(this.#path, this.#exec);
    const next = verdict.kind === "own" ? holdProcess(verdict.process) : undefined;
    if (next !== undefined) {
      last[Symbol.dispose]();
      this.#process = next;
    } else if (!isRunning(last)) {
      throw this.#failure(`${describe(last)} has exited`);
    }
  }

  #failure(fact: string): CommandError {
    return new CommandError(`${shellQuote(this.#path)}: ${fact}; see the log of the service`);
  }
}
