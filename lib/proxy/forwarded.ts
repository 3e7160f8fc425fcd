/** The signals that pidproxy forwards, and what they mean to it. */

/** Signals that ask to stop, with or without --stop-signal. */
export const STOP_SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGQUIT"];
/** Signals that ask to stop if --stop-signal says so. */
export const OTHER_SIGNALS: readonly Deno.Signal[] = [
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGALRM",
  "SIGURG",
  "SIGIO",
];
/** Signals that stop a process until SIGCONT, unless it has a handler. */
export const SUSPEND_SIGNALS: readonly Deno.Signal[] = ["SIGTSTP", "SIGTTIN", "SIGTTOU"];
/** All that are forwarded. */
export const FORWARDED: readonly Deno.Signal[] = [
  ...STOP_SIGNALS,
  ...SUSPEND_SIGNALS,
  "SIGCONT",
  ...OTHER_SIGNALS,
];
