/** The flags that several commands share, and the parsers of their values. */
import { type Flag, flag, flagSwitch, type ValueFlag } from "../lib/cli/command.ts";
import { parseDuration } from "../lib/duration.ts";
import { UsageError } from "../lib/errors.ts";
import { parseSignal, SIGNAL_NAMES } from "../lib/signal_names.ts";
import { parsePid, type Pid } from "../lib/process/pid.ts";

/** Declares `--pid-file`. */
export function pidFileFlag(help: string): ValueFlag<string> {
  return flag("PID_FILE", help, (path) => path);
}

/** `--exec`, the program that the pidfile's own process runs. */
export const execFlag: Flag<string | undefined> = flag(
  "PATH",
  "accept only a process that runs the program at PATH as the pidfile's own",
  (path) => path,
).optional();

/** `--group`, the process group instead of the process. */
export const groupFlag: Flag<boolean> = flagSwitch(
  "mean the whole process group, if the process leads one",
);

/** Declares a flag whose value is a signal. */
export function signalFlag(help: string): ValueFlag<Deno.Signal> {
  return flag("SIG", help, parseSignal, undefined, SIGNAL_NAMES);
}

/** Parses a PID. */
export function pid(text: string): Pid {
  const parsed = parsePid(text);
  if (parsed === undefined) throw new UsageError("expected a decimal integer from 1 to 2147483647");
  return parsed;
}

/** Parses a duration into milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (typeof ms === "string") throw new UsageError(ms);
  return ms;
}

/** Parses a duration longer than zero into milliseconds. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new UsageError("expected more than 0s");
  return ms;
}
