/** Writing a PID into a pidfile. */
import { CommandError, errnoOf, withHint } from "../errors.ts";
import { identify } from "../process/identity.ts";
import type { Pid } from "../process/pid.ts";
import { effectiveUser, isRunning, type Process } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import type { ExistingPidfile, FileStat } from "./pidfile.ts";
import { type Place, siblingOf } from "./place.ts";
import { removeRecord, writeRecord } from "./record.ts";
import { isNamedBy, type Opened, writeBytes } from "./regular_file.ts";
import { createTemporary, removeTemporary } from "./temporary.ts";

/** No space or quota: what is in the file now is worth more than what might fit into it. */
const FULL = ["ENOSPC", "EDQUOT"];

/** What was written. */
export interface Written {
  /** The pidfile as it is now, for the question whether it is trusted. */
  readonly state: ExistingPidfile;
  /** The process that has the PID; undefined if none is running. */
  readonly process: Process | undefined;
  /** Why there is no claim record, and what to do about it; undefined if there is one. */
  readonly recordError: string | undefined;
}

/**
 * Replaces the content of a locked pidfile by a PID, and records which process that is.
 *
 * A new file takes the place of the old one by rename(2), after the record was written: no reader
 * ever sees a part of a number, two numbers in one, or a PID without its record. (read(2) is not
 * atomic against write(2): 17 written over 2147483647 has been read as 1747483647.) A full disk
 * keeps the old content; a crash keeps it too, or leaves an empty file.
 *
 * @param old the pidfile as it was when it was locked
 * @param process the one that had the PID when it was given; whatever has it since is not meant
 * @throws {CommandError} it cannot be written
 */
export function writePid(
  place: Place,
  { file, isCreated }: Opened,
  old: ExistingPidfile,
  pid: Pid,
  process: Process | undefined,
): Written {
  return withHint(`cannot write ${shellQuote(place.path)}`, () => {
    try {
      return writeAndRecord(place, file, old, pid, process);
    } catch (error) {
      if (isCreated && isNamedBy(place, file)) Deno.removeSync(place.at);
      throw error;
    }
  });
}

function writeAndRecord(
  place: Place,
  file: Deno.FsFile,
  old: ExistingPidfile,
  pid: Pid,
  process: Process | undefined,
): Written {
  const identity = identify(pid, process);
  let recordError: string | undefined;
  const record = (replacement: Deno.FsFile): void => {
    const { mtime } = replacement.statSync();
    const { mode, gid } = old.stat;
    recordError = undefined;
    try {
      if (identity === undefined) {
        throw new CommandError(
          `cannot write a claim record for ${shellQuote(place.path)}: the start of process ` +
            `${pid} or the boot id is hidden; run this where /proc shows them`,
        );
      }
      writeRecord(place, identity, { mtime: mtime?.getTime(), mode, gid });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      recordError = error.message;
      requireName(place, file);
      removeOldRecord(place);
    }
  };
  if (!replaceFile(place, file, old.stat, pid, record)) {
    requireName(place, file);
    if (old.stat.links > 1) {
      throw new CommandError(
        `${shellQuote(place.path)}: has a hard link by another name; remove that`,
      );
    }
    writeInPlace(place, file, pid, record);
  }
  const made = recordError === undefined ? identity : undefined;
  return {
    state: {
      ...old,
      stat: { ...old.stat, links: 1 },
      kind: "pid",
      pid,
      foreign: undefined,
      others: [],
      record: made && { identity: made, isCurrent: true, isByThisPath: true, original: undefined },
    },
    process: process && isRunning(process) ? process : undefined,
    recordError,
  };
}

/**
 * Puts a new file with the PID in the place of the old one, with its owner, group and mode.
 *
 * @returns false if that cannot be done here
 */
function replaceFile(
  place: Place,
  locked: Deno.FsFile,
  old: FileStat,
  pid: Pid,
  record: (replacement: Deno.FsFile) => void,
): boolean {
  if (old.uid !== effectiveUser()) return false; // it would change hands
  const temporary = siblingOf(place, "new").at;
  let file: Deno.FsFile | undefined;
  let isFull = false;
  try {
    file = createTemporary(temporary, old);
    try {
      writeBytes(file, String(pid));
    } catch (error) {
      // Emptying the old file might not be followed by writing it.
      isFull = old.size > 0 && FULL.includes(errnoOf(error) ?? "");
      throw error;
    }
    // Without its record the old PID could seem to be a later process's. A file that has another
    // name too is not ours to empty.
    if (old.size > 0 && old.links === 1) locked.truncateSync(0);
    record(file);
    Deno.renameSync(temporary, place.at);
    return true;
  } catch (error) {
    if (file !== undefined) removeTemporary(temporary);
    if (isFull) throw error;
    return false;
  } finally {
    file?.close();
  }
}

/** For a moment the file is empty: a reader that sees that reads again. */
function writeInPlace(
  place: Place,
  file: Deno.FsFile,
  pid: Pid,
  record: (file: Deno.FsFile) => void,
): void {
  file.truncateSync(0);
  removeOldRecord(place);
  file.seekSync(0, Deno.SeekMode.Start);
  try {
    writeBytes(file, String(pid));
    record(file);
  } catch (error) {
    file.truncateSync(0);
    throw error;
  }
}

/**
 * A lock holds for a file, not for its name: whoever removes the pidfile lets another claim win.
 *
 * @throws {CommandError} it is another file, or none, that has the name now
 */
function requireName(place: Place, locked: Deno.FsFile): void {
  if (isNamedBy(place, locked)) return;
  throw new CommandError(
    `${shellQuote(place.path)}: was removed or replaced while it was being claimed; claim it again`,
  );
}

/**
 * Removes the record of an earlier claim. With the same PID, as in a restarted container, it would
 * say of the process that is claimed now that it is another one.
 *
 * @throws {CommandError} it is left
 */
function removeOldRecord(place: Place): void {
  const left = removeRecord(place);
  if (left === undefined) return;
  throw new CommandError(
    `${shellQuote(place.path)}: the record of an earlier claim cannot be replaced; ` +
      `remove ${shellQuote(left)}`,
  );
}
