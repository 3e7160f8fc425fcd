/** Who holds a lock, as the kernel reports it. Source: proc_locks(5). */
import { parsePid } from "./pid.ts";
import { readProc } from "./proc.ts";
import { findProcess, type Process } from "./process.ts";

/** The holder of an flock(2). */
export interface LockHolder {
  /** Undefined if it has exited and left the lock to a child. */
  readonly process: Process | undefined;
}

/**
 * Returns who holds an flock(2) on a file; undefined if the kernel shows no holder besides this
 * very process.
 *
 * @param dev,ino the file's device and inode, as in stat(2)
 */
export function findLockHolder(dev: number, ino: number): LockHolder | undefined {
  const hex = (number: number): string => number.toString(16).padStart(2, "0");
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  for (const line of (readProc("locks") ?? "").split("\n")) {
    // "1: FLOCK  ADVISORY  WRITE 812 fe:00:131 0 EOF"; a line that waits has an arrow and differs.
    const [, kind, , , text, where] = line.split(/\s+/);
    if (kind !== "FLOCK" || where !== file || text === String(Deno.pid)) continue;
    const pid = parsePid(text ?? "");
    return { process: pid === undefined ? undefined : findProcess(pid) };
  }
  return undefined;
}
