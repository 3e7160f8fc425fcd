/** Sleeping until something happens, without missing what happened just before. */

import { delay } from "@std/async/delay";

/** setTimeout fires at once for anything longer; Deno 2.9 warns of what is negative. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How many turns of its event loop the runtime takes to report a signal, at most. */
const SIGNAL_TURNS = 8;

/**
 * Returns when the runtime has reported the signals that have come until now. Turns count and not
 * the time, which a busy machine may not give us.
 */
export async function signalsReported(): Promise<void> {
  for (let turn = 0; turn < SIGNAL_TURNS; turn++) await delay(1);
}

/** Wakes one sleeper. */
export class Wakeup {
  #isRung = false;
  #end = (): void => {};

  /** Ends the sleep, or the next one if nothing sleeps. */
  ring(): void {
    this.#isRung = true;
    this.#end();
  }

  /** Sleeps until it rings, for at most `ms`, if that is positive; without a limit if Infinity. */
  async sleep(ms: number): Promise<void> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, Math.min(ms, MAX_TIMER_MS)));
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#isRung = false;
  }
}
