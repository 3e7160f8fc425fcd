/** Opening a file that must be a regular one, and knowing that it stays the same one. */
import { deadline } from "@std/async/deadline";
import { CommandError, isTimeout, toCommandError, withHint } from "../errors.ts";
import { errnoOf } from "../errors.ts";
import { shellQuote } from "../shell_quote.ts";
import { effectiveUser } from "../process/process.ts";
import { GROUP_WRITE, OTHERS_WRITE } from "./modes.ts";
import { walkPath } from "./path_walk.ts";

/** An open file. */
export interface Opened {
  /** The caller closes it. */
  readonly file: Deno.FsFile;
  /** Whether it did not exist before. */
  readonly isCreated: boolean;
}

/** Milliseconds after which a file that another user may hold up counts as not openable. */
const OPEN_TIMEOUT_MS = 1_000;

/**
 * Opens a regular file for reading, without ever truncating it; with `write`, for writing too.
 * With `create`, which implies `write`, it is created if it does not exist.
 *
 * @returns undefined if it does not exist and `create` is not set
 * @throws {CommandError} it is not a regular file, cannot be opened, or not within a second
 */
export async function openRegularFile(
  path: string,
  { write = false, create = false }: { write?: boolean; create?: boolean } = {},
): Promise<Opened | undefined> {
  const what = `cannot open ${shellQuote(path)}`;
  try {
    for (;;) {
      if (create) {
        // O_EXCL: a symlink at this name is not followed.
        const options = { read: true, write: true, createNew: true, mode: 0o644 };
        const file = unlessExists(() => Deno.openSync(path, options));
        if (file !== undefined) return { file, isCreated: true };
      }
      const info = unlessMissing(() => Deno.lstatSync(path));
      if (info === undefined) {
        if (!create) return undefined;
        continue;
      }
      refuseSpecial(path, info);
      const file = await openExisting(path, info, { read: true, write: write || create });
      if (file === undefined) continue;
      if (isSame(file.statSync(), info)) return { file, isCreated: false };
      file.close(); // replaced between lstat and open
    }
  } catch (error) {
    throw toCommandError(what, error);
  }
}

/**
 * open(2) of a regular file can block: on a FIFO that another user puts in its place, or on a lease
 * (F_SETLEASE) of its owner. Where another user can do either, a thread opens it under a deadline.
 */
async function openExisting(
  path: string,
  info: Deno.FileInfo,
  options: Deno.OpenOptions,
): Promise<Deno.FsFile | undefined> {
  if (!isInOthersHands(path, info)) return unlessMissing(() => Deno.openSync(path, options));
  const opening = Deno.open(path, options);
  try {
    return await deadline(opening, OPEN_TIMEOUT_MS);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    if (!isTimeout(error)) throw error;
    opening.then((file) => file.close(), () => {});
    throw new CommandError(
      `cannot open ${shellQuote(path)}: another process holds it up, with a lease or a FIFO; ` +
        `find it with: fuser -v ${shellQuote(path)}`,
    );
  }
}

function isInOthersHands(path: string, { uid }: Deno.FileInfo): boolean {
  const isOurs = (user: number | null): boolean => user === 0 || user === effectiveUser();
  if (!isOurs(uid)) return true;
  return walkPath(path).some((component) =>
    !isOurs(component.uid) || (!component.isSymlink && isSharedDirectory(component.mode))
  );
}

/** In a sticky one another user can use the name as soon as its owner has removed the file. */
function isSharedDirectory(mode: number): boolean {
  return (mode & (GROUP_WRITE | OTHERS_WRITE)) !== 0;
}

function refuseSpecial(path: string, info: Deno.FileInfo): void {
  if (info.isFile) return;
  const kind = info.isSymlink
    ? "a symlink"
    : info.isDirectory
    ? "a directory"
    : info.isFifo
    ? "a FIFO"
    : info.isSocket
    ? "a socket"
    : "a device";
  throw new CommandError(
    `${shellQuote(path)}: is ${kind}, not a regular file; give the path of the pidfile itself`,
  );
}

/** Reads the first `limit` bytes of a file. */
export function readBytes(file: Deno.FsFile, limit: number): Uint8Array {
  const buffer = new Uint8Array(limit);
  let length = 0;
  while (length < buffer.length) {
    const count = file.readSync(buffer.subarray(length));
    if (count === null) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

/**
 * Writes all of a text with one write(2).
 *
 * @throws {CommandError} a part of it does not fit
 */
export function writeBytes(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  const count = file.writeSync(bytes);
  if (count < bytes.length) {
    throw new CommandError(`only ${count} of ${bytes.length} bytes fit`);
  }
}

/** Returns whether the path still names the open file. */
export function isNamedBy(path: string, file: Deno.FsFile): boolean {
  return withHint(`cannot examine ${shellQuote(path)}`, () => {
    const info = unlessMissing(() => Deno.lstatSync(path));
    return info !== undefined && isSame(info, file.statSync());
  });
}

function isSame(one: Deno.FileInfo, other: Deno.FileInfo): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

/** Returns what `act` returns; undefined if the file does not exist. */
export function unlessMissing<T>(act: () => T): T | undefined {
  return unless("ENOENT", act);
}

/** Returns what `act` returns; undefined if the file exists. */
export function unlessExists<T>(act: () => T): T | undefined {
  return unless("EEXIST", act);
}

function unless<T>(errno: string, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (errnoOf(error) === errno) return undefined;
    throw error;
  }
}
