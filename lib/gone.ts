/** Waiting for the end of a process. */
// @ts-types="../toolchain/std/deadline.d.ts"
import { deadline } from "@std/async/deadline";
// @ts-types="../toolchain/std/poll.d.ts"
import { poll } from "@std/async/poll";
import { isTimeout } from "./errors.ts";
import { isRunning, type Process } from "./process.ts";

/** Milliseconds between two looks at a process that is waited for; timers come one too late. */
const LOOK_INTERVAL = 1;

/**
 * Waits until it is gone, looking every 2 ms.
 *
 * @param ms milliseconds to wait at most; 0 looks once
 * @returns whether it is gone
 */
export async function waitUntilGone(one: Process, ms: number): Promise<boolean> {
  if (!isRunning(one)) return true;
  const givenUp = new AbortController();
  const gone = poll(() => isRunning(one), (running) => !running, {
    interval: LOOK_INTERVAL,
    signal: givenUp.signal,
  });
  try {
    await deadline(gone, ms);
    return true;
  } catch (error) {
    givenUp.abort();
    if (!isTimeout(error)) throw error;
    return !isRunning(one);
  }
}
