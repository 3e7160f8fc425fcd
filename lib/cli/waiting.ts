/** Reports that a wait goes on: in one live line on a terminal, every 10 s in a log. */
import { clearProgress, info, progress } from "./output.ts";

const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 10_000;
/** Milliseconds before the end of a wait in which a log gets no line: the next one says more. */
const LAST_MS = 500;

/**
 * Reports until it is disposed.
 *
 * @param limitMs how long the wait lasts at most
 * @param text what is being waited for, given how long that has taken, in milliseconds
 */
export function reportWaiting(
  limitMs: number,
  text: (elapsedMs: number) => string,
): Disposable {
  const begin = performance.now();
  const isTerminal = Deno.stderr.isTerminal();
  const report = (): void => {
    const elapsed = performance.now() - begin;
    if (isTerminal) progress(text(elapsed));
    else if (elapsed < limitMs - LAST_MS) info(text(elapsed));
  };
  const timer = setInterval(report, isTerminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
  return {
    [Symbol.dispose](): void {
      clearInterval(timer);
      clearProgress();
    },
  };
}
