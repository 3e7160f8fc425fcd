/** Who holds a lock, as the kernel reports it. Source: proc_locks(5). */
import { parsePid } from "./pid.ts";
import { namesInProc, readProc } from "./proc.ts";
import { findProcess, type Process } from "./process.ts";

/** A process that may have more files open is not searched for the lock: each costs 25 us. */
const MAX_DESCRIPTORS = 4_096;

/** The holder of an flock(2). */
export interface LockHolder {
  /** Undefined if it has exited and left the lock to another one. */
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
    const process = pid === undefined ? undefined : findProcess(pid);
    return { process: process && mayLock(process, file) ? process : undefined };
  }
  return undefined;
}

/**
 * Returns whether a process has a file open and locked, or may have. The kernel shows the number of
 * the one that took the lock, which may be another process's since: flock(1) exits and leaves its
 * lock to the script that has the file open.
 */
function mayLock({ directory }: Process, file: string): boolean {
  if (directory === undefined) return true;
  const descriptors = `${directory}/fdinfo`;
  try {
    const size = /^FDSize:\t(\d+)$/m.exec(readProc(`${directory}/status`) ?? "")?.[1];
    if (Number(size) > MAX_DESCRIPTORS) return true;
    return namesInProc(`/proc/${descriptors}`).some((name) =>
      readProc(`${descriptors}/${name}`)?.includes(` ${file} `)
    );
  } catch {
    return true; // hidden, as those of other users are from an ordinary one
  }
}
