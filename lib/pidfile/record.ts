/**
 * The claim record: which process a claim wrote into a pidfile.
 *
 * It is kept beside the pidfile NAME as the symlink .NAME.claim, whose target is the text
 *
 *     PID.START.BOOT.INODE.MTIME.PATH
 *
 * with START the process's start in clock ticks since boot, BOOT the boot id, INODE and MTIME
 * (milliseconds) those of the pidfile, and PATH a hash of the path that was claimed; all but the
 * PID in base 36, so that the target fits into the inode on most file systems. A symlink is
 * created and replaced atomically, is never half written, needs no block on a full disk, and is
 * read by readlink(2), which no FIFO, lease or lock can block.
 */
import { errnoOf } from "../errors.ts";
import type { Identity } from "../process/identity.ts";
import { parsePid } from "../process/pid.ts";
import { absolutePath } from "./path_walk.ts";
import { unlessMissing } from "./regular_file.ts";

/** The part of a pidfile's stat(2) that ties a record to its content. */
export interface Tie {
  /** The inode. */
  readonly ino: number | null;
  /** Milliseconds since 1970. */
  readonly mtime: number | undefined;
}

/** A record that belongs to the content of its pidfile. */
export interface ClaimRecord {
  /** The process that was claimed. */
  readonly identity: Identity;
  /** Whether the claim was made by the path that it was read by. */
  readonly isByThisPath: boolean;
}

/** Returns the path of a pidfile's claim record. */
export function recordPath(path: string): string {
  return sibling(path, "claim");
}

/** Returns the path of a hidden file beside a pidfile: `.NAME.suffix`. */
export function sibling(path: string, suffix: string): string {
  const base = path.lastIndexOf("/") + 1;
  return `${path.slice(0, base)}.${path.slice(base)}.${suffix}`;
}

/**
 * Reads the record of a pidfile; returns undefined if there is none, if it belongs to another
 * content, or if it does not have the pidfile's owner.
 */
export function readRecord(
  path: string,
  pidfile: Tie & { readonly uid: number },
): ClaimRecord | undefined {
  try {
    const name = recordPath(path);
    const target = unlessMissing(() => Deno.readLinkSync(name));
    if (target === undefined || Deno.lstatSync(name).uid !== pidfile.uid) return undefined;
    const [pidText, start, boot, ino, mtime, hash] = target.split(".");
    const pid = parsePid(pidText ?? "");
    if (pid === undefined || boot === undefined || hash === undefined) return undefined;
    if (`${ino}.${mtime}` !== tieText(pidfile)) return undefined;
    const identity = { pid, startTicks: parseInt(start!, 36), boot: decodeBoot(boot) };
    return { identity, isByThisPath: hash === pathHash(path) };
  } catch {
    return undefined;
  }
}

/**
 * Writes the record; returns whether it could be written. A claim is good without one.
 *
 * @param pidfile of the file that is about to get the name `path`
 */
export function writeRecord(path: string, identity: Identity, pidfile: Tie): boolean {
  try {
    const { pid, startTicks, boot } = identity;
    const text = `${pid}.${startTicks.toString(36)}.${encodeBoot(boot)}.${tieText(pidfile)}.` +
      pathHash(path);
    const temporary = sibling(path, "claim.new");
    const create = (): void => Deno.symlinkSync(text, temporary);
    try {
      create();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      // Left by a claim that was killed: the holder of the lock is the only writer.
      Deno.removeSync(temporary);
      create();
    }
    try {
      Deno.renameSync(temporary, recordPath(path));
    } catch (error) {
      Deno.removeSync(temporary);
      throw error;
    }
    return true;
  } catch {
    return false;
  }
}

/** Removes the record, if there is one and it can be removed. */
export function removeRecord(path: string): void {
  try {
    // Nothing but a symlink is ever a record.
    if (Deno.lstatSync(recordPath(path)).isSymlink) Deno.removeSync(recordPath(path));
  } catch {
    // Without its pidfile it means nothing.
  }
}

function tieText({ ino, mtime }: Tie): string {
  return `${(ino ?? 0).toString(36)}.${(mtime ?? 0).toString(36)}`;
}

function encodeBoot(uuid: string): string {
  return BigInt(`0x${uuid.replaceAll("-", "")}`).toString(36);
}

function decodeBoot(text: string): string {
  let value = 0n;
  for (const digit of text) value = value * 36n + BigInt(parseInt(digit, 36));
  const hex = value.toString(16).padStart(32, "0");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Source: FNV-1a with 32 bits. */
function pathHash(path: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(absolutePath(path))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(36);
}
