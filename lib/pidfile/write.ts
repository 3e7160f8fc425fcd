/** Writing a PID into a pidfile. */
import { CommandError, errnoOf, withHint } from "../errors.ts";
import { identityOf } from "../process/identity.ts";
import type { Pid } from "../process/pid.ts";
import { descriptorPath } from "../process/proc.ts";
import type { Process } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import type { FileStat } from "./pidfile.ts";
import { removeRecord, sibling, writeRecord } from "./record.ts";
import { type Opened, unlessExists, unlessMissing } from "./regular_file.ts";

/** No space or quota: what is in the file now is worth more than what might fit into it. */
const FULL = ["ENOSPC", "EDQUOT"];

/**
 * Replaces the content of a locked pidfile by a PID, and records which process that is.
 *
 * A new file takes the place of the old one by rename(2), after the record was written: no reader
 * ever sees a part of a number, two numbers in one, or a PID without its record. (read(2) is not
 * atomic against write(2): 17 written over 2147483647 has been read as 1747483647.) A full disk or
 * a crash keeps the old content.
 *
 * @param process the process that has the PID now; without one there is nothing to record
 * @throws {CommandError} it cannot be written
 */
export function writePid(
  path: string,
  { file, isCreated }: Opened,
  old: FileStat,
  pid: Pid,
  process: Process | undefined,
): void {
  const identity = process === undefined ? undefined : identityOf(process);
  const record = (replacement: Deno.FsFile): void => {
    const { ino, mtime } = replacement.statSync();
    const tie = { ino, mtime: mtime?.getTime() };
    if (identity === undefined || !writeRecord(path, identity, tie)) removeRecord(path);
  };
  withHint(`cannot write ${shellQuote(path)}`, () => {
    try {
      if (replaceFile(path, old, pid, record)) return;
      writeInPlace(file, pid);
    } catch (error) {
      if (isCreated) Deno.removeSync(path);
      throw error;
    }
    record(file);
  });
}

/**
 * Puts a new file with the PID in the place of the old one, with its owner, group and mode.
 *
 * @returns false if that cannot be done here
 */
function replaceFile(
  path: string,
  old: FileStat,
  pid: Pid,
  record: (replacement: Deno.FsFile) => void,
): boolean {
  if (old.uid !== Deno.uid()) return false; // it would change hands
  const temporary = sibling(path, "new");
  let file: Deno.FsFile | undefined;
  let isFull = false;
  try {
    file = createTemporary(temporary, old);
    try {
      writeDigits(file, pid);
    } catch (error) {
      // Emptying the old file might not be followed by writing it.
      isFull = old.size > 0 && FULL.includes(errnoOf(error) ?? "");
      throw error;
    }
    record(file);
    Deno.renameSync(temporary, path);
    return true;
  } catch (error) {
    if (file !== undefined) removeTemporary(temporary);
    if (isFull) throw error;
    return false;
  } finally {
    file?.close();
  }
}

/** Creates the new file. @throws what open(2), chmod(2) or chown(2) throws */
function createTemporary(name: string, { mode, gid }: FileStat): Deno.FsFile {
  const wanted = mode & 0o777;
  const create = (): Deno.FsFile =>
    Deno.openSync(name, { write: true, createNew: true, mode: wanted });
  const file = unlessExists(create) ?? replaceLeftover(name, create);
  try {
    const made = file.statSync();
    const isAlike = made.gid === gid && ((made.mode ?? 0) & 0o777) === wanted;
    if (isAlike) return file;
    // By its descriptor: another user may have put a symlink at its name.
    const descriptor = descriptorPath(file);
    if (descriptor === undefined) throw new Error("its descriptor cannot be found");
    if (made.gid !== gid) Deno.chownSync(descriptor, null, gid);
    Deno.chmodSync(descriptor, wanted); // narrowed by the umask
    return file;
  } catch (error) {
    file.close();
    removeTemporary(name);
    throw error;
  }
}

/** The holder of the lock is the only writer: an older one was left by a claim that was killed. */
function replaceLeftover<T>(name: string, create: () => T): T {
  Deno.removeSync(name);
  return create();
}

function removeTemporary(name: string): void {
  try {
    unlessMissing(() => Deno.removeSync(name));
  } catch {
    // The error that led here is the one to report.
  }
}

/** For a moment the file is empty: a reader that sees that reads again. */
function writeInPlace(file: Deno.FsFile, pid: Pid): void {
  file.truncateSync(0);
  file.seekSync(0, Deno.SeekMode.Start);
  try {
    writeDigits(file, pid);
  } catch (error) {
    file.truncateSync(0);
    throw error;
  }
}

function writeDigits(file: Deno.FsFile, pid: Pid): void {
  const bytes = new TextEncoder().encode(String(pid));
  const count = file.writeSync(bytes);
  if (count < bytes.length) {
    throw new CommandError(`only ${count} of the ${bytes.length} digits of ${pid} fit`);
  }
}
