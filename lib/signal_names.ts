/** The signals of Linux by name and number. Source: signal(7); x86-64 and arm64 have the same. */

/** Name without SIG, by number. */
const NAMES: readonly (string | undefined)[] = [
  undefined,
  "HUP",
  "INT",
  "QUIT",
  "ILL",
  "TRAP",
  "ABRT",
  "BUS",
  "FPE",
  "KILL",
  "USR1",
  "SEGV",
  "USR2",
  "PIPE",
  "ALRM",
  "TERM",
  "STKFLT",
  "CHLD",
  "CONT",
  "STOP",
  "TSTP",
  "TTIN",
  "TTOU",
  "URG",
  "XCPU",
  "XFSZ",
  "VTALRM",
  "PROF",
  "WINCH",
  "IO",
  "PWR",
  "SYS",
];
const ALIASES: Readonly<Record<string, string>> = {
  IOT: "ABRT",
  CLD: "CHLD",
  POLL: "IO",
  UNUSED: "SYS",
};
/** glibc keeps 32 and 33 for itself; SIGRTMIN is 34. */
const [FIRST_REALTIME, LAST_REALTIME] = [32, 64];

/** The names that are accepted, without SIG, in the order of their numbers. */
export const SIGNAL_NAMES: readonly string[] = NAMES.filter((name) => name !== undefined);

/** A text that is no signal, and what is wrong with it. */
export interface NoSignal {
  /** What was expected. */
  readonly reason: string;
  /** Whether it may be a misspelled name. */
  readonly isName: boolean;
}

/** Parses a signal: its name, with or without SIG and in any case, or its number. */
export function parseSignal(text: string): Deno.Signal | NoSignal {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const number = /^\d{1,3}$/.test(text) ? Number(text) : undefined;
  const isRealtime = /^RT(MIN|MAX)([+-]\d+)?$/.test(name) ||
    (number !== undefined && number >= FIRST_REALTIME && number <= LAST_REALTIME);
  if (isRealtime) {
    const reason = "realtime signals cannot be sent by the runtime that sipid is built with; " +
      "expected a number from 1 to 31 or a name such as HUP";
    return { reason, isName: false };
  }
  const known = number === undefined ? NAMES[NAMES.indexOf(ALIASES[name] ?? name)] : NAMES[number];
  // Every name in the table is one that Deno.kill takes; the tests send each of them.
  if (known !== undefined) return `SIG${known}` as Deno.Signal;
  return {
    reason: "expected a signal: a name such as HUP or SIGHUP, or a number from 1 to 31",
    isName: number === undefined,
  };
}

/** Returns the name of a signal as schedules have it: without SIG. */
export function shortName(signal: Deno.Signal): string {
  return signal.replace(/^SIG/, "");
}

/** Returns the number of a signal. */
export function signalNumber(signal: Deno.Signal): number {
  return NAMES.indexOf(shortName(signal));
}
