/** The process of --pid-file, watched while its service is probed. */
import { delay } from "@std/async/delay";
import { poll } from "@std/async/poll";
import { CommandError } from "../errors.ts";
import { readAndJudge, readPidfile } from "../pidfile/pidfile.ts";
import { findDistrust } from "../pidfile/trust.ts";
import { explain } from "../process/identity.ts";
import { describe, type HeldProcess, holdProcess, isRunning } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";

/** Milliseconds between two reads of the pidfile. */
const WATCH_INTERVAL_MS = 50;

/** Why no process is watched yet: what the pidfile was, or is, when it was read last. */
type Wait = "missing" | "empty" | "unclear" | "unreadable";

/** Each as a fact, to follow the pidfile's name. */
const FACTS: Readonly<Record<Wait, string>> = {
  missing: "does not exist",
  empty: "is empty",
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
   * @param onWait is called with the quoted path if it does not do so at once
   * @throws {CommandError} it names none that is running and the pidfile's own
   * @throws the reason of `signal` when that is aborted
   */
  async start(signal: AbortSignal, onWait: (path: string) => void): Promise<void> {
    let isWaiting = false;
    while (!await this.#find()) {
      if (!isWaiting) onWait(shellQuote(this.#path));
      isWaiting = true;
      await delay(WATCH_INTERVAL_MS, { signal });
    }
  }

  /** Returns whether the pidfile names a process yet. */
  async #find(): Promise<boolean> {
    // The deadline can come while the pidfile cannot be opened, and while it is unclear.
    this.#wait = "unreadable";
    const { kind } = await readPidfile(this.#path);
    this.#wait = kind === "missing" || kind === "empty" ? kind : "unclear";
    if (kind === "missing" || kind === "empty") return false;
    const { state, verdict } = await readAndJudge(this.#path, this.#exec);
    if (state.kind === "missing" || state.kind === "empty") {
      this.#wait = state.kind;
      return false;
    }
    if (state.kind !== "pid") {
      throw new CommandError(
        `${shellQuote(this.#path)}: does not contain a valid pid; nothing to wait for`,
      );
    }
    if (verdict.kind === "none") throw this.#failure(`process ${state.pid} is not running`);
    const { process } = verdict;
    if (verdict.kind === "unrelated") {
      throw this.#failure(`${describe(process)} ${verdict.reason}`);
    }
    if (verdict.kind === "unclear" && verdict.isElsewhere) {
      throw new CommandError(`${shellQuote(this.#path)}: ${explain(verdict)}; ${verdict.hint}`);
    }
    this.#process = holdProcess(process);
    if (this.#process === undefined) throw this.#failure(`${describe(process)} has exited`);
    const warning = verdict.kind === "unclear"
      ? `${shellQuote(this.#path)}: ${explain(verdict)}; ${verdict.hint}`
      : findDistrust(this.#path, state, process)?.fact;
    if (warning !== undefined) this.#onWarning(warning);
    return true;
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
