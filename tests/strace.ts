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
  return { result, log: joinSplit(Deno.readTextFileSync(path)) };
}

/** Joins what strace splits in two: a call during which one of another thread was logged. */
function joinSplit(log: string): string {
  const lines = log.split("\n");
  const begun = new Map<string, { readonly index: number; readonly call: string }>();
  for (const [index, line] of lines.entries()) {
    const [, before, thread, text] = /^((\d+) +(?:[\d.]+ )?)(.*)$/.exec(line) ?? [];
    const half = begun.get(thread!);
    if (text?.endsWith(" <unfinished ...>")) {
      begun.set(thread!, { index, call: text.replace(/ <unfinished \.\.\.>$/, "") });
    } else if (half !== undefined && text?.startsWith("<... ")) {
      // The line stays: with -r its seconds count.
      lines[half.index] = lines[half.index]!.replace(half.call, "");
      lines[index] = before + half.call + text.replace(/^<\.\.\. \w+ resumed>/, "");
      begun.delete(thread!);
    }
  }
  return lines.join("\n");
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
