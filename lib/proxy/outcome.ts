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
  readonly signal: string | null;
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
  /** Whether the pidfile named the command itself, as the daemon. */
  readonly isCommandDaemon: boolean;
  /** Whether a daemon was running after the command had exited. */
  readonly isBackground: boolean;
  /** Milliseconds that were waited for the pidfile. */
  readonly waitMs: number;
  /** The pidfile. */
  readonly path: string;
  /** Why it named no daemon at the end. */
  readonly doubt: string;
}

/** Returns the exit status, and what its reason is or what else is to be checked. */
export function outcomeOf(facts: Facts): { readonly status: number; readonly reason?: string } {
  const { exit: { code, signal }, daemon, waitMs } = facts;
  const needsDaemon = code === 0 && waitMs > 0;
  if (facts.isStopRequested && (daemon !== undefined || facts.isCommandStopped || !needsDaemon)) {
    // What it did by itself is passed on: hiding a failure to stop would help nobody.
    const hasStopped = daemon !== undefined || (signal !== null && facts.isCommandStopped);
    const status = hasStopped ? 0 : code;
    if (daemon !== undefined || facts.isCommandDaemon) return { status };
    // Which processes would be the daemon's could only be guessed.
    const fact = `no daemon was stopped: ${facts.doubt}`;
    return { status, reason: `${fact}; if the command has started one, check that it has exited` };
  }
  if (!facts.isBackground && !needsDaemon) {
    const isMissing = waitMs > 0 && daemon === undefined && !facts.isCommandDaemon;
    if (!isMissing) return { status: code };
    const fact = `the command exited with status ${code}, and no pidfile named a daemon`;
    return { status: code, reason: `${fact}: ${facts.doubt}; check whether the daemon is running` };
  }
  const reason = daemon === undefined
    ? `the command exited, and no pidfile named a daemon within ${formatDuration(waitMs)}: ` +
      `${facts.doubt}; check that the daemon is configured to write it, and may, and whether it is running`
    : `${shellQuote(facts.path)}: ` +
      `${typeof daemon === "number" ? `process ${daemon}` : describe(daemon)} exited without ` +
      "being asked to";
  return { status: 1, reason };
}
