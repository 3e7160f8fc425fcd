/** The binary under strace(1): which system calls it makes, and when. */
import { type Result, run, SIPID, type TempDir } from "./support.ts";

/** Runs the binary under strace with these options; the log has a line for each system call. */
export async function traced(
  dir: TempDir,
  options: readonly string[],
  args: readonly string[],
): Promise<{ result: Result; log: string }> {
  const path = dir.file("strace.log");
  const result = await run("strace", ["-f", ...options, "-o", path, SIPID, ...args]);
  return { result, log: Deno.readTextFileSync(path) };
}

/**
 * Returns the milliseconds from the first system call that matches `from` to the next one that
 * matches `to`, in the log of `strace -r`, which is taken from the monotonic clock. Other than the
 * time that a command takes, this has no start-up in it, which a busy machine prolongs.
 */
export function elapsed(log: string, from: RegExp, to: RegExp): number {
  let [now, begin]: [number, number | undefined] = [0, undefined];
  for (const [, seconds, call] of log.matchAll(/^\d+ +([\d.]+) (.*)$/gm)) {
    now += Number(seconds) * 1000;
    if (begin !== undefined && to.test(call!)) return now - begin;
    if (begin === undefined && from.test(call!)) begin = now;
  }
  throw new Error(`no ${from} followed by ${to}:\n${log}`);
}
