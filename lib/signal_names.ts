/** The signals of Linux by name and number. Source: signal(7); x86-64 and arm64 have the same. */
import { UsageError } from "./errors.ts";

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

/**
 * Parses a signal: its name, with or without SIG and in any case, or its number.
 *
 * @throws {UsageError} it is not one, or one that the runtime cannot send
 */
export function parseSignal(text: string): Deno.Signal {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const number = /^\d{1,3}$/.test(text) ? Number(text) : undefined;
  const isRealtime = /^RT(MIN|MAX)([+-]\d+)?$/.test(name) ||
    (number !== undefined && number >= FIRST_REALTIME && number <= LAST_REALTIME);
  if (isRealtime) {
    throw new UsageError(
      "realtime signals cannot be sent by the runtime that sipid is built with; " +
        "expected a number from 1 to 31 or a name such as HUP",
    );
  }
  const known = number === undefined ? NAMES[NAMES.indexOf(ALIASES[name] ?? name)] : NAMES[number];
  // Every name in the table is one that Deno.kill takes; the tests send each of them.
  if (known !== undefined) return `SIG${known}` as Deno.Signal;
  throw new UsageError(
    "expected a signal: a name such as HUP or SIGHUP, or a number from 1 to 31",
    number === undefined ? { typed: name, known: SIGNAL_NAMES } : undefined,
  );
}

/** Returns the name of a signal as schedules have it: without SIG. */
export function shortName(signal: Deno.Signal): string {
  return signal.replace(/^SIG/, "");
}

/** Returns the number of a signal. */
export function signalNumber(signal: Deno.Signal): number {
  return NAMES.indexOf(shortName(signal));
}
