/** Reports that a wait goes on: in one live line on a terminal, every 10 s in a log. */
import { clearProgress, info, progress } from "./output.ts";

const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 10_000;

/**
 * Reports until it is disposed.
 *
 * @param text what is being waited for, given how long that has taken, in milliseconds
 */
export function reportWaiting(text: (elapsedMs: number) => string): Disposable {
  const begin = performance.now();
  const isTerminal = Deno.stderr.isTerminal();
  const report = (): void => {
    const words = text(performance.now() - begin);
    if (isTerminal) progress(words);
    else info(words);
  };
  const timer = setInterval(report, isTerminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
  return {
    [Symbol.dispose](): void {
      clearInterval(timer);
      clearProgress();
    },
  };
}
