/** The daemons of one run of pidproxy: the pidfile may come to name another while one still runs. */
import { type HeldProcess, isRunning } from "../process/process.ts";
import { untilExit } from "../process/wait_for_exit.ts";

/** Milliseconds between two checks where the kernel has no pidfd: a wait may last for months. */
const POLL_INTERVAL_MS = 50;

/** Those that are followed and running, the one that was named last at the end. */
export class Daemons {
  readonly #onExit: () => void;
  #followed: HeldProcess[] = [];
  #named: HeldProcess | undefined;

  /** Calls `onExit` when one of them has exited. */
  constructor(onExit: () => void) {
    this.#onExit = onExit;
  }

  /** Those that are followed. */
  get all(): readonly HeldProcess[] {
    return this.#followed;
  }

  /** The one that was named last of those that were running at the last `takeExited`. */
  get current(): HeldProcess | undefined {
    return this.#followed.at(-1);
  }

  /** The one that was named last, whether it is running or not. */
  get named(): HeldProcess | undefined {
    return this.#named;
  }

  /**
   * Makes a process the current daemon.
   *
   * @returns whether it was not followed before
   */
  follow(process: HeldProcess): boolean {
    const isNew = !this.#followed.includes(process);
    this.#named = process;
    this.#followed = [...this.#followed.filter((other) => other !== process), process];
    if (isNew) {
      const { signal } = new AbortController(); // the wait ends with the process, or with us
      untilExit(process, signal, POLL_INTERVAL_MS).then(this.#onExit, this.#onExit);
    }
    return isNew;
  }

  /** Returns those that have exited, and follows them no longer. */
  takeExited(): HeldProcess[] {
    const exited = this.#followed.filter((process) => !isRunning(process));
    this.#followed = this.#followed.filter((process) => !exited.includes(process));
    return exited;
  }
}
