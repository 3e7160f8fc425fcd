/** When pidproxy looks at the pidfile again, and when nothing is left to wait for. */
import type { Exit } from "./outcome.ts";

/** Milliseconds that the pidfile gets to be written after a signal that finds no daemon. */
export const SETTLE_TIMEOUT_MS = 200;
/** Milliseconds at least, after the exit of a command that was stopped, to watch for its daemon. */
const STOP_WATCH_MS = 1_000;
/** Milliseconds after the exit of a daemon in which the pidfile may come to name another. */
const HAND_OVER_MS = 50;
/** Milliseconds to look for a daemon, after a start or a signal, if nothing waits for it. */
const LOOK_FOR_MS = 5_000;
/** Milliseconds between two looks: a tenth of the time since the looking began, within these. */
const [MIN_LOOK_INTERVAL_MS, MAX_LOOK_INTERVAL_MS] = [10, 250];

/** What is the case. Times are on the clock of performance.now(). */
export interface Situation {
  /** How the command exited; undefined while it is running. */
  readonly exit: Exit | undefined;
  /** Whether a daemon is running. */
  readonly isDaemonRunning: boolean;
  /** Whether the pidfile has named a daemon, dead or alive. */
  readonly hadDaemon: boolean;
  /** When the last one exited. */
  readonly daemonExitedAt: number;
  /** Whether a signal asked to stop. */
  readonly isStopRequested: boolean;
  /** Whether that reached no daemon, so that one that appears is to be asked. */
  readonly isDaemonToBeAsked: boolean;
  /** Milliseconds to wait for the pidfile after the command has exited. */
  readonly waitMs: number;
  /** Since when a daemon is looked for. */
  readonly lookingSince: number;
  /** Whether something waits for a daemon while the command is running. */
  readonly isAwaited: boolean;
  /** Whether a signal has arrived that was not dealt with yet. */
  readonly hasArrived: boolean;
}

/** Returns when nothing is left to wait for; Infinity while a process is running. */
export function overAt(situation: Situation): number {
  const { exit, daemonExitedAt, waitMs } = situation;
  if (exit === undefined || situation.isDaemonRunning) return Infinity;
  if (situation.isDaemonToBeAsked) return exit.at + Math.max(STOP_WATCH_MS, waitMs);
  if (situation.hadDaemon) return Math.max(exit.at, daemonExitedAt + HAND_OVER_MS);
  return exit.code === 0 && !situation.isStopRequested ? exit.at + waitMs : exit.at;
}

/** Returns when to read the pidfile again; Infinity where an event announces all that matters. */
export function nextLookAt(situation: Situation, now: number): number {
  const { exit, isDaemonToBeAsked, isAwaited, lookingSince } = situation;
  if (situation.hasArrived) return now + MIN_LOOK_INTERVAL_MS;
  if (situation.isDaemonRunning) return Infinity;
  const elapsed = now - lookingSince;
  const isWorthwhile = exit !== undefined || isDaemonToBeAsked || isAwaited ||
    elapsed < LOOK_FOR_MS;
  if (!isWorthwhile) return Infinity;
  const interval = Math.max(MIN_LOOK_INTERVAL_MS, Math.min(elapsed / 10, MAX_LOOK_INTERVAL_MS));
  return Math.min(overAt(situation), now + interval);
}
