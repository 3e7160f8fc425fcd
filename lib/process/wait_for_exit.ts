/** Waiting for a process to exit: without polling where the kernel has pidfd_open(2). */
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { isTimeout } from "../errors.ts";
import { openPidfd } from "./pidfd.ts";
import { isRunning, type Process } from "./process.ts";

/** Milliseconds between two checks where there is no pidfd; timers fire one too late. */
const POLL_INTERVAL_MS = 1;

/**
 * Waits until the process has exited, for at most `timeoutMs`; 0 checks once.
 *
 * @returns whether it has exited
 */
export async function waitForExit(process: Process, timeoutMs: number): Promise<boolean> {
  if (!isRunning(process)) return true;
  const abandoned = new AbortController();
  const exit = untilExit(process, abandoned.signal);
  try {
    // V8 compiles a function at its first call: the second wait, which ends at once, has it compile
    // now what ends the first. That takes a millisecond, which would follow the exit.
    await Promise.all([deadline(exit, timeoutMs), deadline(Promise.resolve(), timeoutMs)]);
    return true;
  } catch (error) {
    if (!isTimeout(error)) throw error;
    abandoned.abort();
    await exit.catch(() => {}); // rejects with the abort, once its descriptors are closed
    return !isRunning(process);
  }
}

/**
 * Waits until the process has exited, however long that takes.
 *
 * An aborted wait leaves nothing behind, and none keeps the program from exiting.
 *
 * @param pollIntervalMs milliseconds between two checks where there is no pidfd
 * @throws the reason of `signal`, once that is aborted
 */
export async function untilExit(
  process: Process,
  signal: AbortSignal,
  pollIntervalMs: number = POLL_INTERVAL_MS,
): Promise<void> {
  signal.throwIfAborted();
  using pidfd = openPidfd(process.pid);
  // Checked only now: another process may have got the PID before the descriptor was opened.
  while (isRunning(process)) {
    if (await pidfd?.exited(signal)) return;
    await delay(pollIntervalMs, { signal });
  }
}
