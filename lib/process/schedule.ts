/** Schedules: signals, each followed by a time to wait for the exit. */
import { formatDuration, parseDuration } from "../duration.ts";
import { UsageError } from "../errors.ts";
import { parseSignal, shortName } from "../signal_names.ts";

/** One signal, and how long to wait for the exit afterwards. */
export interface Step {
  /** What is sent. */
  readonly signal: Deno.Signal;
  /** Milliseconds; 0 checks once. */
  readonly waitMs: number;
}

/** Milliseconds that the kernel gets to terminate a process after a SIGKILL without a wait. */
export const SIGKILL_TIMEOUT_MS = 5_000;

/**
 * Parses a schedule such as `INT/30s/QUIT/10s/KILL/5s`: signals, each followed by a duration or not;
 * a bare number is seconds, as in start-stop-daemon. A last SIGKILL without one gets 5 s, since the
 * kernel takes a moment.
 *
 * @throws {UsageError} it is not a schedule
 */
export function parseSchedule(text: string): readonly Step[] {
  const steps: Step[] = [];
  let hasWait = true;
  for (const item of text.split("/")) {
    // A dash makes a signal of a number, as in start-stop-daemon: -9.
    const waitMs = /^[\d.]/.test(item) ? parseWait(item) : undefined;
    if (waitMs !== undefined) {
      const step = steps.pop();
      if (step === undefined) {
        throw new UsageError("expected a signal first, as in TERM/20s/KILL/5s");
      }
      if (hasWait) {
        throw new UsageError(`expected a signal after ${shortName(step.signal)}, not "${item}"`);
      }
      steps.push({ ...step, waitMs });
      hasWait = true;
    } else {
      steps.push({ signal: parseSent(item), waitMs: 0 });
      hasWait = false;
    }
  }
  const last = steps.at(-1)!;
  if (!hasWait && last.signal === "SIGKILL") {
    steps[steps.length - 1] = { ...last, waitMs: SIGKILL_TIMEOUT_MS };
  }
  return steps;
}

function parseWait(text: string): number {
  const waitMs = parseDuration(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
  if (typeof waitMs === "string") throw new UsageError(`"${text}": ${waitMs}`);
  return waitMs;
}

function parseSent(text: string): Deno.Signal {
  try {
    return parseSignal(text.replace(/^-/, ""));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`"${text}": ${error.message}`, error.typo);
  }
}

/** Writes a schedule as `parseSchedule` reads it. */
export function formatSchedule(steps: readonly Step[]): string {
  return steps.map(({ signal, waitMs }) => `${shortName(signal)}/${formatDuration(waitMs)}`)
    .join("/");
}
