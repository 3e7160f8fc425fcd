/** Waiting for the end of a process. */
import { deadline } from "@std/async/deadline";
import { poll } from "@std/async/poll";
import { isTimeout } from "../errors.ts";
import { isRunning, type Process } from "./process.ts";

/** Milliseconds between two looks at a process that is waited for; timers come one too late. */
const POLL_INTERVAL_MS = 1;

/**
 * Waits until it is gone, looking every 2 ms.
 *
 * @param ms milliseconds to wait at most; 0 looks once
 * @returns whether it is gone
 */
export async function waitForExit(one: Process, ms: number): Promise<boolean> {
  if (!isRunning(one)) return true;
  const givenUp = new AbortController();
  const gone = poll(() => isRunning(one), (running) => !running, {
    interval: POLL_INTERVAL_MS,
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
