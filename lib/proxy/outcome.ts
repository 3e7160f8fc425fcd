/** The exit status of pidproxy. */
import { formatDuration } from "../duration.ts";
import type { Pid } from "../process/pid.ts";
import { describe, type Process } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";

/** How the command exited, and when, on the clock of performance.now(). */
export interface Exit {
  /** Its status; 128 + N for signal N. */
  readonly code: number;
  /** The signal that ended it. */
  readonly signal: Deno.Signal | null;
  /** When that was noticed. */
  readonly at: number;
}

/** What happened until the command and the daemon had exited. */
export interface Facts {
  /** How the command exited. */
  readonly exit: Exit;
  /** Whether a signal asked to stop. */
  readonly isStopRequested: boolean;
  /** Whether the command itself got that signal, or SIGKILL. */
  readonly isCommandStopped: boolean;
  /** The last daemon; its PID if it was never seen alive; undefined if there was none. */
  readonly daemon: Process | Pid | undefined;
  /** Whether a daemon was running after the command had exited. */
  readonly isBackground: boolean;
  /** Milliseconds that were waited for the pidfile. */
  readonly waitMs: number;
  /** The pidfile. */
  readonly path: string;
  /** Why it named no daemon at the end. */
  readonly doubt: string;
}

/** Returns the exit status, and the reason for a failure that is not the command's. */
export function outcomeOf(facts: Facts): { readonly status: number; readonly reason?: string } {
  const { exit: { code, signal }, daemon, waitMs } = facts;
  const needsDaemon = code === 0 && waitMs > 0;
  if (facts.isStopRequested && (daemon !== undefined || facts.isCommandStopped || !needsDaemon)) {
    // What it did by itself is passed on: hiding a failure to stop would help nobody.
    const hasStopped = daemon !== undefined || (signal !== null && facts.isCommandStopped);
    return { status: hasStopped ? 0 : code };
  }
  if (!facts.isBackground && !needsDaemon) return { status: code };
  const reason = daemon === undefined
    ? `the command exited, and no pidfile named a daemon within ${formatDuration(waitMs)}: ` +
      `${facts.doubt}; check that the daemon may write it`
    : `${shellQuote(facts.path)}: ` +
      `${typeof daemon === "number" ? `process ${daemon}` : describe(daemon)} exited without ` +
      "being asked to";
  return { status: 1, reason };
}
