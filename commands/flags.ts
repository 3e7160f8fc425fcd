/** The flags that more than one command has, and the parsers of their values. */
import { type Flag, flag, type ValueFlag } from "../lib/cli/args.ts";
import { parseDuration } from "../lib/duration.ts";
import { UsageError } from "../lib/errors.ts";
import { parsePid, type Pid } from "../lib/process/process.ts";

/** `--pid-file`, with what the command does to the file as its help. */
export function pidFileFlag(help: string): ValueFlag<string> {
  return flag("PID_FILE", help, (path) => path);
}

/** `--exec`, by which the commands know the pidfile's own process. */
export const execFlag: Flag<string | undefined> = flag(
  "PATH",
  "count only a process that runs the program at PATH as the pidfile's own",
  (path) => path,
).optional();

/** A PID as an argument. */
export function pid(text: string): Pid {
  const parsed = parsePid(text);
  if (parsed === undefined) {
    throw new UsageError(
      `is "${text}", which is not a PID: 1 to 2147483647 in plain decimal`,
    );
  }
  return parsed;
}

/** Milliseconds, zero included. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (typeof ms === "string") throw new UsageError(`has a bad value: ${ms}`);
  return ms;
}

/** Milliseconds, more than zero. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new UsageError("must be longer than 0s");
  return ms;
}
