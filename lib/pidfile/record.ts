/**
 * The claim record: which process a claim wrote into a pidfile.
 *
 * It is kept beside the pidfile NAME as the file .NAME.claim, which contains
 *
 *     PID START BOOT NAMESPACE INODE MTIME PATH
 *
 * with START the process's start in clock ticks since the machine's boot (-1 if there was no such process), BOOT
 * the boot id, NAMESPACE the inode of the PID namespace, INODE and MTIME (milliseconds since 1970)
 * those of the pidfile, and PATH the path that was claimed, with its symlinks resolved.
 *
 * Why not a symlink: its owner and its text are read by two system calls. In a directory that
 * another user can write, a symlink of root's and one of their own can trade places in between. An
 * open file stays the same one.
 */
import { withHint } from "../errors.ts";
import type { Identity } from "../process/identity.ts";
import { parsePid } from "../process/pid.ts";
import { shellQuote } from "../shell_quote.ts";
import { GROUP_WRITE, OTHERS_WRITE } from "./modes.ts";
import { type Place, siblingOf, type Spot } from "./place.ts";
import { openRegularFile, readBytes, writeBytes } from "./regular_file.ts";
import { createTemporary, removeTemporary } from "./temporary.ts";

/** The part of a pidfile's stat(2) that ties a record to its content. */
export interface Tie {
  /** The inode. */
  readonly ino: number | null;
  /** Milliseconds since 1970. */
  readonly mtime: number | undefined;
}

/** What a record says about its pidfile. */
export interface ClaimRecord {
  /** The process that was claimed. */
  readonly identity: Identity;
  /** Whether the pidfile is as the claim left it, not modified or replaced since. */
  readonly isCurrent: boolean;
  /** Whether the claim was made by the path that it was read by. */
  readonly isByThisPath: boolean;
}

/** A longer file is not a record: PATH_MAX and five numbers. */
const MAX_RECORD_BYTES = 4_096 + 256;

function recordOf(pidfile: Spot): Spot {
  return siblingOf(pidfile, "claim");
}

/**
 * Reads the record of a pidfile; returns undefined if there is none, if it does not have the
 * pidfile's owner or if others could have changed it.
 */
export async function readRecord(
  place: Place,
  pidfile: Tie & { readonly uid: number },
): Promise<ClaimRecord | undefined> {
  try {
    const opened = await openRegularFile(recordOf(place));
    if (opened === undefined) return undefined;
    using file = opened.file;
    const { uid, mode, nlink } = file.statSync();
    const isForeign = uid !== pidfile.uid || nlink !== 1 ||
      ((mode ?? 0) & (GROUP_WRITE | OTHERS_WRITE)) !== 0;
    if (isForeign) return undefined;
    const bytes = readBytes(file, MAX_RECORD_BYTES);
    const fields = /^(\d+) (-1|\d+(?:\.\d+)?) ([0-9a-f-]{36}) (\d+) (\d+ -?\d+) (\/[^]*)$/
      .exec(new TextDecoder().decode(bytes));
    const [, number = "", start, boot = "", namespace, tie, claimed] = fields ?? [];
    const pid = parsePid(number);
    if (pid === undefined) return undefined;
    return {
      identity: { pid, startTicks: Number(start), boot, namespace: Number(namespace) },
      isCurrent: tie === tieText(pidfile),
      isByThisPath: claimed === place.resolved,
    };
  } catch {
    return undefined;
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
  pidfile: Tie & { readonly mode: number; readonly gid: number },
): void {
  const [record, temporary] = [recordOf(place), siblingOf(place, "claim.new").at];
  withHint(`cannot write the claim record ${shellQuote(record.path)}`, () => {
    const mode = pidfile.mode & ~(GROUP_WRITE | OTHERS_WRITE);
    using file = createTemporary(temporary, { mode, gid: pidfile.gid });
    try {
      const tie = tieText(pidfile);
      writeBytes(file, [pid, startTicks, boot, namespace, tie, place.resolved].join(" "));
      Deno.renameSync(temporary, record.at);
    } catch (error) {
      removeTemporary(temporary);
      throw error;
    }
  });
}

/** Removes the record, if there is one and it can be removed. */
export function removeRecord(place: Spot): void {
  const { at } = recordOf(place);
  try {
    // Nothing but a regular file is ever a record.
    if (Deno.lstatSync(at).isFile) Deno.removeSync(at);
  } catch {
    // Without its pidfile it means nothing.
  }
}

function tieText({ ino, mtime }: Tie): string {
  return `${ino ?? 0} ${mtime ?? 0}`;
}
