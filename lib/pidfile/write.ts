/** Writing a PID into a pidfile. */
import { errnoOf, withHint } from "../errors.ts";
import { identify } from "../process/identity.ts";
import type { Pid } from "../process/pid.ts";
import { effectiveUser } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import type { FileStat } from "./pidfile.ts";
import { removeRecord, writeRecord } from "./record.ts";
import { type Opened, writeBytes } from "./regular_file.ts";
import { createTemporary, removeTemporary, sibling } from "./temporary.ts";

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
 * @throws {CommandError} it cannot be written
 */
export function writePid(
  path: string,
  { file, isCreated }: Opened,
  old: FileStat,
  pid: Pid,
): void {
  const identity = identify(pid);
  const record = (replacement: Deno.FsFile): void => {
    const { ino, mtime } = replacement.statSync();
    const alike = { ino, mtime: mtime?.getTime(), mode: old.mode, gid: old.gid };
    if (identity === undefined || !writeRecord(path, identity, alike)) removeRecord(path);
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
  if (old.uid !== effectiveUser()) return false; // it would change hands
  const temporary = sibling(path, "new");
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

/** For a moment the file is empty: a reader that sees that reads again. */
function writeInPlace(file: Deno.FsFile, pid: Pid): void {
  file.truncateSync(0);
  file.seekSync(0, Deno.SeekMode.Start);
  try {
    writeBytes(file, String(pid));
  } catch (error) {
    file.truncateSync(0);
    throw error;
  }
}
