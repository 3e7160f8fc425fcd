/** Opening a file that must be a regular one, and knowing that it stays the same one. */
import { delay } from "@std/async/delay";
import {
  CommandError,
  errnoOf,
  toCommandError,
  unlessExists,
  unlessMissing,
  withHint,
} from "../errors.ts";
import { exactFile, isExact } from "../exact_file.ts";
import { openDescriptors } from "../process/proc.ts";
import { shellQuote } from "../shell_quote.ts";
import { openNonblocking } from "./nonblocking_open.ts";
import type { Spot } from "./place.ts";
import { isOurs } from "./walk.ts";

/** An open file. */
export interface Opened {
  /** The caller closes it. */
  readonly file: Deno.FsFile;
  /** Whether it is open for writing too. */
  readonly isWritable: boolean;
  /** Whether it did not exist before. */
  readonly isCreated: boolean;
}

/** How a file is opened. */
export interface OpenOptions {
  /** Whether it is opened for writing; `optional`: for reading where that cannot be. */
  readonly write?: boolean | "optional";
  /** Whether it is created, for writing, if it does not exist. */
  readonly create?: boolean;
}

/** Why a file that may be read cannot be opened for writing. */
const NOT_WRITABLE = ["EACCES", "EPERM", "EROFS", "ETXTBSY"];

/** Milliseconds after which a file that another user may hold up counts as not openable. */
const OPEN_TIMEOUT_MS = 1_000;
/** Milliseconds between two tries to open it. */
const RETRY_INTERVAL_MS = 10;

/**
 * Opens a regular file for reading, without ever truncating it.
 *
 * @returns undefined if it does not exist and `create` is not set
 * @throws {CommandError} it is not a regular file, cannot be opened, or not within a second
 */
export async function openRegularFile(
  { path, at, isShared }: Spot,
  { write = false, create = false }: OpenOptions = {},
): Promise<Opened | undefined> {
  const until = performance.now() + OPEN_TIMEOUT_MS;
  let isWritable = write !== false;
  try {
    for (;;) {
      if (create) {
        // O_EXCL: a symlink at this name is not followed.
        const options = { read: true, write: true, createNew: true, mode: 0o644 };
        const file = unlessExists(() => Deno.openSync(at, options));
        if (file !== undefined) return { file, isWritable: true, isCreated: true };
      }
      const info = unlessMissing(() => Deno.lstatSync(at));
      if (info === undefined) {
        if (!create) return undefined;
        continue;
      }
      refuseSpecial(path, info);
      // open(2) can block: on a FIFO that another user puts there, or on a lease (F_SETLEASE) of
      // the file's owner.
      let file: Deno.FsFile | "blocked" | "missing";
      try {
        file = isShared || !isOurs(info.uid ?? 0)
          ? openNonblocking(at, isWritable)
          : unlessMissing(() => Deno.openSync(at, { read: true, write: isWritable })) ?? "missing";
      } catch (error) {
        const mayRead = isWritable && write === "optional";
        if (!mayRead || !NOT_WRITABLE.includes(errnoOf(error) ?? "")) throw error;
        isWritable = false;
        continue;
      }
      if (typeof file === "object") {
        if (isSame(file.statSync(), info)) return { file, isWritable, isCreated: false };
        file.close(); // replaced between lstat and open
      }
      if (performance.now() >= until) {
        throw new CommandError(
          `cannot open ${shellQuote(path)}: another process holds it up, with a lease or by ` +
            `replacing it; find it with: fuser -v ${shellQuote(path)}`,
        );
      }
      if (file === "blocked") await delay(RETRY_INTERVAL_MS);
    }
  } catch (error) {
    throw toCommandError(`cannot open ${shellQuote(path)}`, error);
  }
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

/** Returns whether it is still the open file that has this name. */
export function isNamedBy({ path, at }: Spot, file: Deno.FsFile): boolean {
  return withHint(`cannot examine ${shellQuote(path)}`, () => {
    const info = unlessMissing(() => Deno.lstatSync(at));
    if (info === undefined || !isSame(info, file.statSync())) return false;
    return isExact(info) || isOpen(exactFile(at, { nofollow: true }));
  });
}

/** Of files whose rounded numbers are equal, only the one in question is ever open at that time. */
function isOpen(exact: string | undefined): boolean {
  return exact === undefined || openDescriptors().some((path) => exactFile(path) === exact);
}

function isSame(one: Deno.FileInfo, other: Deno.FileInfo): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
