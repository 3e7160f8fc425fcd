/** Opening a file that must be a regular one, and staying sure which one it is. */
import { CommandError, errnoOf, withHint } from "../errors.ts";

/** An open file. */
export interface Opened {
  /** Open for as long as it is needed; whoever has it closes it. */
  readonly file: Deno.FsFile;
  /** Whether it was not there before. */
  readonly created: boolean;
}

/**
 * Opens a regular file for reading and nothing else, without ever truncating it; with `write` for
 * writing too; with `create`, which wants `write`, it is made where there is none.
 *
 * @returns undefined if there is none and `create` is not set
 */
export function open(
  path: string,
  { write = false, create = false }: { write?: boolean; create?: boolean } = {},
): Opened | undefined {
  return withHint(`cannot open ${path}`, () => {
    for (;;) {
      if (create) {
        // O_EXCL: a symlink that is there, or that somebody puts there, is not followed.
        const how = { read: true, write: true, createNew: true, mode: 0o644 };
        const made = ifNotThere(() => Deno.openSync(path, how));
        if (made !== undefined) return { file: made, created: true };
      }
      const info = ifThere(() => Deno.lstatSync(path));
      if (info === undefined) {
        if (!create) return undefined;
        continue;
      }
      refuseSpecial(path, info);
      const file = ifThere(() => Deno.openSync(path, { read: true, write }));
      if (file === undefined) continue;
      if (isSame(file.statSync(), info)) return { file, created: false };
      file.close(); // replaced between the look and the opening
    }
  });
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
    `${path} is ${kind}, not a regular file; give the path of the pidfile itself`,
  );
}

/** Whether the path still names the open file. */
export function isNamedBy(path: string, file: Deno.FsFile): boolean {
  return withHint(`cannot look at ${path}`, () => {
    const info = ifThere(() => Deno.lstatSync(path));
    return info !== undefined && isSame(info, file.statSync());
  });
}

function isSame(one: Deno.FileInfo, other: Deno.FileInfo): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

/** What `act` returns; undefined if the file it is about does not exist. */
export function ifThere<T>(act: () => T): T | undefined {
  return unless("ENOENT", act);
}

/** What `act` returns; undefined if the file it is about exists already. */
export function ifNotThere<T>(act: () => T): T | undefined {
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
