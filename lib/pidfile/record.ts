/**
 * The claim record: which process a claim wrote into a pidfile.
 *
 * It is kept beside the pidfile NAME as the file .NAME.claim, which contains
 *
 *     PID START BOOT NAMESPACE DEVICE DIRECTORIES MTIME PATH
 *
 * with START the process's start in clock ticks since the machine's boot (-1 if there was no such
 * process), BOOT the boot id, NAMESPACE the inode of the PID namespace, DEVICE that of the pidfile's
 * directory (a snapshot or another file system can have its inode), DIRECTORIES the inodes of the
 * directories that others can change, MTIME the pidfile's modification time (milliseconds since
 * 1970), and PATH the path that was claimed, with its symlinks resolved. Where others could exchange
 * a symlink on root's way, DEVICE is 0 and PATH is as it was given.
 *
 * Why not a symlink: its owner and its text are read by two system calls. In a directory that
 * another user can write, a symlink of root's and one of their own can trade places in between. An
 * open file stays the same one. It can be written, though: a log that root has opened for a service
 * is root's too, and has the service's text, and a record moved to the log's name becomes one. So
 * the claim seals it with a modification time that only its owner can set.
 */
import { errnoOf, toCommandError, withHint } from "../errors.ts";
import type { Identity } from "../process/identity.ts";
import { parsePid } from "../process/pid.ts";
import { maySignalOthers } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import { GROUP_WRITE, OTHERS_WRITE } from "./modes.ts";
import type { FileStat } from "./pidfile.ts";
import { type Place, siblingOf, type Spot } from "./place.ts";
import { openRegularFile, readBytes, writeBytes } from "./regular_file.ts";
import { createTemporary, removeTemporary } from "./temporary.ts";
import { isOurs } from "./walk.ts";

/** What a record says about its pidfile. */
export interface ClaimRecord {
  /** The process that was claimed. */
  readonly identity: Identity;
  /** Whether the pidfile is as the claim left it, or a copy of that, and not modified since. */
  readonly isCurrent: boolean;
  /** Whether it proves that the claim was made by the path it was read by, in the same directory. */
  readonly isByThisPath: boolean;
  /** The path that was claimed, if pidfile and record are copies in another directory. */
  readonly original: string | undefined;
}

/** A longer file is not a record: PATH_MAX, an inode for each directory of it, and four numbers. */
const MAX_RECORD_BYTES = 4_096 + 2_048 * "18446744073709551615:".length + 256;

/** The seals lie in the years 1972 to 1976, at which no clock begins, also one that lost its time. */
const FIRST_SEAL = Date.UTC(1972);
/** Milliseconds, in whole seconds. */
const SEAL_PERIOD = 2 ** 27 * 1_000;

/** The device of no directory: what was claimed there is known by its path alone. */
const NO_DEVICE = 0;

/** What keeps a record from being read although it is there: without it, time would decide. */
const UNREADABLE = ["EMFILE", "ENFILE", "ENOMEM", "EIO"];

/** What says that there is no file of that name. */
const NO_FILE = ["ENOENT", "ENAMETOOLONG"];

function recordOf(pidfile: Spot): Spot {
  return siblingOf(pidfile, "claim");
}

/**
 * Reads the record of a pidfile; returns undefined if there is none, if its owner is neither root,
 * nor ourselves, nor the pidfile's, or if others could have changed it. Root's counts also where the
 * pidfile alone was given to the service's user, and our own where it was left to its owner. Those
 * who can write the pidfile too, as after chmod -R g+w, name its process anyway; but where the claim
 * was made, they do not prove.
 *
 * @throws {CommandError} a shortage or a broken device keeps it from being read
 */
export async function readRecord(
  place: Place,
  pidfile: Pick<FileStat, "size" | "mtime" | "uid" | "gid" | "mode">,
): Promise<ClaimRecord | undefined> {
  try {
    const opened = await openRegularFile(recordOf(place));
    if (opened === undefined) return undefined;
    using file = opened.file;
    const bytes = readBytes(file, MAX_RECORD_BYTES);
    // After the text: who writes to the file meanwhile has changed its time.
    const { uid, gid, mode, nlink, mtime: written } = file.statSync();
    const writers = (mode ?? 0) & (GROUP_WRITE | OTHERS_WRITE);
    const isForeign = (uid !== pidfile.uid && !isOurs(uid ?? 0)) || nlink !== 1 ||
      (writers & ~pidfile.mode) !== 0 || (writers !== 0 && gid !== pidfile.gid);
    if (isForeign) return undefined;
    const fields =
      /^(\d+) (-1|\d+(?:\.\d+)?) ([0-9a-f-]{36}) (\d+) (\d+) ([\d:]+) (-?\d+) (\/[^]*)$/
        .exec(new TextDecoder().decode(bytes));
    const [, number = "", start, boot = "", namespace, device, directories = "", mtime, claimed] =
      fields ?? [];
    const pid = parsePid(number);
    if (pid === undefined) return undefined;
    return {
      identity: { pid, startTicks: Number(start), boot, namespace: Number(namespace) },
      // Its digits are all that a claim writes: where times are whole seconds, a newline shows that a
      // daemon has written the same PID since.
      isCurrent: pidfile.size === number.length && isTimeOf(pidfile.mtime ?? 0, Number(mtime)),
      // The path alone is not enough: in another mount namespace, or below another root directory,
      // it leads to another one.
      isByThisPath: writers === 0 && isTimeOf(written?.getTime() ?? 0, sealOf(Number(mtime))) &&
        claimed === place.resolved && areSame(directories, place.directories),
      // By another path it can be the same directory, as below another root directory; a restored
      // directory has the same path; and one that was moved to another disk may have left a symlink.
      original: claimed === place.resolved || claimed === place.absolute ||
          (lastOf(directories) === lastOf(place.directories) && Number(device) === place.device)
        ? undefined
        : claimed,
    };
  } catch (error) {
    const { cause = error } = error instanceof Error ? error : {};
    if (!UNREADABLE.includes(errnoOf(cause) ?? "")) return undefined;
    throw toCommandError(`cannot read ${shellQuote(recordOf(place).path)}`, error);
  }
}

/**
 * Writes the record. A claim is good without one.
 *
 * @param pidfile of the file that is about to be at `place`
 * @throws {CommandError} it cannot be written
 */
export function writeRecord(
  place: Place,
  { pid, startTicks, boot, namespace }: Identity,
  pidfile: Pick<FileStat, "mtime" | "mode" | "gid">,
): void {
  const [record, temporary] = [recordOf(place), siblingOf(place, "claim-new").at];
  withHint(`cannot write the claim record ${shellQuote(record.path)}`, () => {
    const mode = pidfile.mode & ~(GROUP_WRITE | OTHERS_WRITE);
    using file = createForGroup(temporary, mode, pidfile.gid);
    try {
      // ext4 starts writing a file that was truncated to nothing when it is closed. The pidfile, which
      // is renamed over another, is on the disk after a power failure; without this, the record's
      // text is not.
      file.truncateSync(0);
      const identity = [pid, startTicks, boot, namespace];
      // Others can have led root here: then it is not the claim of whoever goes here by another path.
      const isLed = place.hasSharedSymlink && maySignalOthers();
      const [device, path] = isLed ? [NO_DEVICE, place.absolute] : [place.device, place.resolved];
      const mtime = pidfile.mtime ?? 0;
      const where = [device, place.directories, mtime, path];
      writeBytes(file, [...identity, ...where].join(" "));
      seal(file, mtime);
      Deno.renameSync(temporary, record.at);
    } catch (error) {
      removeTemporary(temporary);
      throw error;
    }
  });
}

/**
 * Returns the seal of a record: the modification time, in milliseconds since 1970, that it keeps
 * until somebody writes to it. It moves with the pidfile's, but for a step back every four years, so
 * that what copies by size and time (`rsync`, `cp -u`) copies both or neither.
 *
 * @param mtime of the pidfile, as the record has it
 */
function sealOf(mtime: number): number {
  return FIRST_SEAL + mtime % SEAL_PERIOD;
}

/** Seals a record that is complete. */
function seal(file: Deno.FsFile, mtime: number): void {
  try {
    file.utimeSync(new Date(), new Date(sealOf(mtime)));
  } catch {
    // A file system without such times: the record means its process, and proves no place.
  }
}

/** The pidfile's group may read it too, where we may give it to that group. */
function createForGroup(name: string, mode: number, gid: number): Deno.FsFile {
  try {
    return createTemporary(name, { mode, gid });
  } catch (error) {
    // EINVAL is for a group from outside of the user namespace.
    if (!["EPERM", "EINVAL"].includes(errnoOf(error) ?? "")) throw error;
    return createTemporary(name, { mode });
  }
}

/** Removes the record; returns the path of one that is left. */
export function removeRecord(place: Spot): string | undefined {
  const { at, path } = recordOf(place);
  try {
    // Nothing but a regular file is ever a record.
    if (Deno.lstatSync(at).isFile) Deno.removeSync(at);
  } catch (error) {
    if (!NO_FILE.includes(errnoOf(error) ?? "")) return path;
  }
  return undefined;
}

/**
 * Returns whether these are the same directories, as far as both lists go: in a container that has
 * the last one mounted, others cannot change those before it.
 */
function areSame(one: string, other: string): boolean {
  return one === other || one.endsWith(`:${other}`) || other.endsWith(`:${one}`);
}

/** Returns the inode of the directory that the pidfile itself is in, from a list. */
function lastOf(directories: string): string {
  return directories.slice(directories.lastIndexOf(":") + 1);
}

/**
 * Returns whether a file with this modification time has the content of the claim: it is its own
 * file, or a copy that kept the time, whose inode is another one. An archive may keep whole seconds
 * only; a later change has a later time.
 */
function isTimeOf(modified: number, made: number): boolean {
  return modified === made || modified === Math.floor(made / 1_000) * 1_000;
}
