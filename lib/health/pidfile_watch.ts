/** The process of --pid-file, watched while its service is probed. */
import { poll } from "@std/async/poll";
import { CommandError } from "../errors.ts";
import { readAndJudge, readPidfile } from "../pidfile/pidfile.ts";
import { findDistrust } from "../pidfile/trust.ts";
import { explain } from "../process/identity.ts";
import { describe, type HeldProcess, holdProcess, isRunning } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";

/** Milliseconds between two reads of the pidfile. */
const WATCH_INTERVAL_MS = 50;

/** Watches the process that a pidfile names, through restarts. */
export class PidfileWatch {
  /** Why it may not be the pidfile's own process, or another user's choice. */
  readonly warning: string | undefined;
  readonly #path: string;
  readonly #exec: string | undefined;
  #process: HeldProcess;

  private constructor(
    path: string,
    exec: string | undefined,
    process: HeldProcess,
    warning: string | undefined,
  ) {
    this.#path = path;
    this.#exec = exec;
    this.#process = process;
    this.warning = warning;
  }

  /**
   * Starts to watch.
   *
   * @throws {CommandError} the pidfile names no process of its own that is running
   */
  static async start(path: string, exec: string | undefined): Promise<PidfileWatch> {
    const { state, verdict } = await readAndJudge(path, exec);
    if (state.kind === "missing") {
      throw new CommandError(`${shellQuote(path)}: does not exist; has the service been started?`);
    }
    if (state.kind !== "pid") {
      throw new CommandError(
        `${shellQuote(path)}: does not contain a valid pid; nothing to wait for`,
      );
    }
    if (verdict.kind === "none") throw notRunning(path, `process ${state.pid} is not running`);
    const { process } = verdict;
    if (verdict.kind === "unrelated") {
      throw notRunning(path, `${describe(process)} ${verdict.reason}`);
    }
    const held = holdProcess(process);
    if (held === undefined) throw notRunning(path, `${describe(process)} has exited`);
    const warning = verdict.kind === "unclear"
      ? `${shellQuote(path)}: ${explain(verdict)}; ${verdict.hint}`
      : findDistrust(path, state, process)?.fact;
    return new PidfileWatch(path, exec, held, warning);
  }

  /**
   * Returns only by rejecting.
   *
   * @throws {CommandError} the process has exited, or the pidfile was removed
   * @throws the reason of `signal` when that is aborted
   */
  async untilExit(signal: AbortSignal): Promise<never> {
    await poll(() => this.check(), () => false, { interval: WATCH_INTERVAL_MS, signal });
    throw new Error("unreachable: the poll never finishes");
  }

  /**
   * Checks once. After a restart the pidfile names another process, which may still be its start
   * script.
   *
   * @throws {CommandError} the process has exited, or the pidfile was removed
   */
  async check(): Promise<void> {
    const state = await readPidfile(this.#path);
    if (state.kind === "missing") throw notRunning(this.#path, "was removed");
    const isOther = state.kind === "pid" && state.pid !== this.#process.pid;
    if (!isOther && isRunning(this.#process)) return;
    const { verdict } = await readAndJudge(this.#path, this.#exec);
    const next = verdict.kind === "own" ? holdProcess(verdict.process) : undefined;
    if (next !== undefined) {
      this.#process[Symbol.dispose]();
      this.#process = next;
    } else if (!isRunning(this.#process)) {
      throw notRunning(this.#path, `${describe(this.#process)} has exited`);
    }
  }
}

function notRunning(path: string, fact: string): CommandError {
  return new CommandError(`${shellQuote(path)}: ${fact}; see the log of the service`);
}
