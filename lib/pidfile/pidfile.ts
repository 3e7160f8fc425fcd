/**
 * Pidfiles: the only code that opens, locks, reads, writes and removes one.
 *
 * The rule throughout: lock, then look, then write, all on the same open file, and only while the
 * path still names that file.
 */
import { delay } from "@std/async/delay";
import { ensureDirSync } from "@std/fs/ensure-dir";
import { type Content, MAX_PIDFILE_BYTES, parse } from "./content.ts";
import { CommandError, errnoOf, toCommandError, withHint } from "../errors.ts";
import { describe, lockHolder, type Pid } from "../process/process.ts";
import { ifNotThere, ifThere, isNamedBy, open, type Opened } from "./regular_file.ts";

/** A pidfile as one read found it. */
export type PidfileState = (Content & { readonly stat: FileStat }) | {
  readonly kind: "missing";
};

/** What a file is: times in milliseconds, size in bytes, the owner and the mode as in stat(2). */
export interface FileStat {
  /** The device; together with `ino`, which file it is. */
  readonly dev: number;
  /** The inode. */
  readonly ino: number | null;
  /** Bytes. */
  readonly size: number;
  /** When it was written last, in milliseconds since 1970. */
  readonly mtime: number | undefined;
  /** Its owner. */
  readonly uid: number;
  /** Its kind and permissions. */
  readonly mode: number;
  /** How many names it has. */
  readonly links: number;
}

/** A pidfile under our lock, which the path is sure to name. */
export interface LockedPidfile {
  /** What it held when it was locked. */
  readonly state: Exclude<PidfileState, { kind: "missing" }>;
  /** Replaces the content by the PID: its digits and nothing else. */
  write(pid: Pid): void;
  /** Removes it. */
  remove(): void;
}

/** Milliseconds that a lock somebody else holds is waited for. */
const LOCK_TIMEOUT_MS = 400;
/** The same where nobody is seen to hold it: a very busy machine, or a holder in another namespace. */
const UNSEEN_LOCK_TIMEOUT_MS = 10_000;
/** Milliseconds that an empty file is given to be written. */
const EMPTY_TIMEOUT_MS = 200;
/** Creates the directory of the pidfile, with its parents, as the umask allows. */
export function createDirectory(path: string): void {
  const slash = path.lastIndexOf("/");
  const directory = slash < 0 ? "." : path.slice(0, slash) || "/";
  try {
    ensureDirSync(directory);
  } catch (error) {
    // ensureDirSync's own words for a parent that is something else carry no errno.
    if (
      error instanceof Error && error.message.startsWith("Failed to ensure")
    ) {
      throw new CommandError(
        `cannot create ${directory}: it is not a directory; choose another path`,
      );
    }
    throw toCommandError(`cannot create the directory ${directory}`, error);
  }
}

/**
 * What the pidfile holds now.
 *
 * @throws {CommandError} it is no regular file, or cannot be read
 */
export function readPidfile(path: string): PidfileState {
  const opened = open(path);
  if (opened === undefined) return { kind: "missing" };
  try {
    return lookAt(path, opened.file);
  } finally {
    opened.file.close();
  }
}

/**
 * The same, but an empty file is looked at again for 200 ms: a claim, or a daemon, may be between
 * creating it and writing it.
 */
export async function readSettledPidfile(path: string): Promise<PidfileState> {
  const until = performance.now() + EMPTY_TIMEOUT_MS;
  for (;;) {
    const found = readPidfile(path);
    if (found.kind !== "empty" || performance.now() >= until) return found;
    await delay(10);
  }
}

/**
 * Calls `use` with the pidfile under an exclusive flock(2), and releases it afterwards.
 *
 * @returns what `use` returns; undefined if there is no such file and `create` is not set
 * @throws {LockedElsewhere} somebody held the lock all the time
 * @throws {CommandError} it is no regular file, or cannot be opened, read or written
 */
export async function withLock<T>(
  path: string,
  { create }: { create: boolean },
  use: (file: LockedPidfile) => T,
): Promise<T | undefined> {
  const until = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    // flock(2) is content with a file that is open for reading.
    const opened = open(path, { write: create, create });
    if (opened === undefined) return undefined;
    const { file } = opened;
    await lock(path, file, until - performance.now());
    try {
      // A kill may have removed it, or a daemon replaced it, between our opening and our locking:
      // a PID written now would be in a file without a name.
      if (isNamedBy(path, file)) return use(locked(path, opened));
    } finally {
      file.close();
    }
  }
}

/** Somebody else holds the lock. */
export class LockedElsewhere extends CommandError {
  /** What sort of error it is. */
  override readonly name = "LockedElsewhere";
}

function locked(path: string, opened: Opened): LockedPidfile {
  const found = lookAt(path, opened.file);
  return {
    state: found,
    write: (pid) => writePid(path, opened, found.stat, pid),
    remove: () => withHint(`cannot remove ${path}`, () => Deno.removeSync(path)),
  };
}

async function lock(path: string, file: Deno.FsFile, timeoutMs: number): Promise<void> {
  const pending = file.lock(true);
  try {
    if (await within(pending, timeoutMs)) return;
    const { dev, ino } = file.statSync();
    let holder = lockHolder(dev, ino ?? 0);
    if (holder === undefined) {
      if (await within(pending, UNSEEN_LOCK_TIMEOUT_MS)) return;
      holder = lockHolder(dev, ino ?? 0);
    }
    throw new LockedElsewhere(
      `another process is locking ${path}` +
        (holder?.process === undefined ? "" : `: ${describe(holder.process)}`) +
        "; wait for it to end, or find it with: fuser -v " + path,
    );
  } catch (error) {
    // The lock may still come, when nobody wants it any more.
    pending.then(() => file.close(), () => file.close());
    throw error instanceof CommandError ? error : toCommandError(`cannot lock ${path}`, error);
  }
}

/** Whether it comes in time, in milliseconds. Lighter than `deadline`: every claim goes through it. */
async function within(pending: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, timeoutMs));
  });
  try {
    return await Promise.race([pending.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

function lookAt(
  path: string,
  file: Deno.FsFile,
): Exclude<PidfileState, { kind: "missing" }> {
  return withHint(`cannot read ${path}`, () => {
    // The stat first: what is written after it shows as a change.
    const info = file.statSync();
    return { ...parse(readStart(file)), stat: fileStatOf(info) };
  });
}

function fileStatOf({ dev, ino, size, mtime, uid, mode, nlink }: Deno.FileInfo): FileStat {
  return {
    dev,
    ino,
    size,
    mtime: mtime?.getTime(),
    // Linux gives all of these.
    uid: uid ?? 0,
    mode: mode ?? 0,
    links: nlink ?? 1,
  };
}

/** The first bytes of the file, one more than any pidfile has. */
function readStart(file: Deno.FsFile): Uint8Array {
  const buffer = new Uint8Array(MAX_PIDFILE_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = file.readSync(buffer.subarray(length));
    if (count === null) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

/**
 * Replaces the content so that no reader ever sees a part of a number, or two in one: read(2) is
 * not atomic against write(2), and 17 written over 2147483647 has been seen as 1747483647.
 *
 * An empty file grows by one write, whose bytes show all at once. One with content is replaced by
 * a new file, so that a full disk or a crash leaves the old one.
 */
function writePid(path: string, { file, created }: Opened, old: FileStat, pid: Pid): void {
  withHint(`cannot write ${path}`, () => {
    if (old.size > 0) {
      if (replace(path, old, pid)) return;
      // The directory is not ours: for a moment the file must be empty.
      file.truncateSync(0);
    }
    try {
      file.seekSync(0, Deno.SeekMode.Start);
      writeDigits(file, pid);
    } catch (error) {
      if (created) Deno.removeSync(path);
      else file.truncateSync(0);
      throw error;
    }
  });
}

function writeDigits(file: Deno.FsFile, pid: Pid): void {
  const bytes = new TextEncoder().encode(String(pid));
  const count = file.writeSync(bytes);
  if (count < bytes.length) {
    throw new CommandError(`there was room for ${count} digits of ${pid} only`);
  }
}

/** What keeps a file from being replaced where it can still be written. */
const KEEPS_FROM_REPLACING = ["EACCES", "EPERM", "EBUSY", "ENAMETOOLONG"];

/** Puts a new file with the PID in the place of the old one; false if that cannot be done here. */
function replace(path: string, old: FileStat, pid: Pid): boolean {
  if (old.uid !== Deno.uid()) return false; // the new file would change hands
  const base = path.lastIndexOf("/") + 1;
  const name = `${path.slice(0, base)}.${path.slice(base)}.new`;
  try {
    const mode = old.mode & 0o777;
    const make = (): Deno.FsFile => Deno.openSync(name, { write: true, createNew: true, mode });
    using file = ifNotThere(make) ?? replaceLeftover(name, make);
    writeDigits(file, pid);
    Deno.renameSync(name, path);
    return true;
  } catch (error) {
    try {
      ifThere(() => Deno.removeSync(name));
    } catch {
      // The error that led here is the one to tell.
    }
    if (KEEPS_FROM_REPLACING.includes(errnoOf(error) ?? "")) return false;
    throw error;
  }
}

/** Whoever holds the lock is the only one who writes: an older one is from a claim that died. */
function replaceLeftover<T>(name: string, make: () => T): T {
  Deno.removeSync(name);
  return make();
}

/** Whether two looks saw the same file, not written in between. */
export function isUnchanged(one: PidfileState, other: PidfileState): boolean {
  if (one.kind === "missing" || other.kind === "missing") {
    return one.kind === other.kind;
  }
  const [a, b] = [one.stat, other.stat];
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size &&
    a.mtime === b.mtime;
}
