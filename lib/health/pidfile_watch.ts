/** The process of --pid-file, watched while its service is probed. */
import { poll } from "@std/async/poll";
import { CommandError } from "../errors.ts";
import { readPidfile, readSettledPidfile } from "../pidfile/pidfile.ts";
import { untrustedReason } from "../pidfile/trust.ts";
import { findHolderSettled } from "../process/identity.ts";
import { describe, isRunning, type Process } from "../process/process.ts";

/** Milliseconds between two reads of the pidfile. */
const WATCH_INTERVAL_MS = 50;

/** Watches the process that a pidfile names, through restarts. */
export class PidfileWatch {
  /** Why another user may have written the pidfile; undefined if none may. */
  readonly warning: string | undefined;
  readonly #path: string;
  readonly #exec: string | undefined;
  #process: Process;

  private constructor(
    path: string,
    exec: string | undefined,
    process: Process,
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
    const found = await readSettledPidfile(path);
    if (found.kind === "missing") throw notRunning(path, "does not exist");
    if (found.kind !== "pid") {
      throw new CommandError(`${path}: does not contain a valid pid; nothing to wait for`);
    }
    const holder = await findHolderSettled(found.pid, exec);
    if (holder.kind === "none") throw notRunning(path, `process ${found.pid} is not running`);
    if (holder.kind === "stranger") {
      throw notRunning(path, `${describe(holder.process)} is not running ${exec}`);
    }
    const warning = untrustedReason(path, found, holder.process);
    return new PidfileWatch(path, exec, holder.process, warning);
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
    const found = readPidfile(this.#path);
    if (found.kind === "missing") throw notRunning(this.#path, "was removed");
    if (found.kind === "pid" && found.pid !== this.#process.pid) {
      const next = await findHolderSettled(found.pid, this.#exec);
      if (next.kind === "own") {
        this.#process = next.process;
        return;
      }
    }
    if (isRunning(this.#process)) return;
    throw notRunning(this.#path, `${describe(this.#process)} has exited`);
  }
}

function notRunning(path: string, fact: string): CommandError {
  return new CommandError(`${path}: ${fact}; see the log of the service`);
}
