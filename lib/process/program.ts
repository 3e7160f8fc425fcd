/** Which program a process runs, compared by file. */
import { CommandError, errnoOf } from "../errors.ts";
import { exactFile, isExact } from "../exact_file.ts";
import { threadsOf } from "./proc.ts";
import type { Process } from "./process.ts";

/**
 * Returns whether a process runs the program at `path`: the same file by device and inode, or the
 * file that was at this path and has been replaced or removed since. Returns undefined if the
 * kernel does not show what it runs.
 *
 * @throws {CommandError} there is no regular file at `path`, so that a typing error does not make every
 * process an unrelated one
 */
export function runsProgram({ directory }: Process, path: string): boolean | undefined {
  const thread = directory && threadWithProgram(directory);
  if (!thread) return undefined;
  const { link, target } = thread;
  const wanted = statOrUndefined(path);
  const running = statOrUndefined(link);
  if (running === undefined) return undefined; // it has exited, or its file server fails
  if (wanted !== undefined && running.dev === wanted.dev && running.ino === wanted.ino) {
    if (isExact(wanted)) return true;
    const exact = exactFile(path);
    if (exact === undefined) return undefined;
    if (exact === exactFile(link)) return true;
  }
  // In another mount namespace the same path can be another file.
  if (target === `${realPath(path)} (deleted)` && sharesMounts(thread.directory)) {
    // Unless that is the name of a file.
    const literal = statOrUndefined(target);
    if (literal === undefined || literal.ino !== running.ino) return true;
  }
  if (!wanted?.isFile) {
    throw new CommandError(
      `--exec ${path}: ${wanted === undefined ? "no such file" : "is not a file"}; ` +
        "give the path of the program that the service runs",
    );
  }
  return false;
}

/** Returns the path of the program a process runs, for messages; undefined if it is hidden. */
export function programPath({ directory }: Process): string | undefined {
  return directory && threadWithProgram(directory)?.target;
}

/** A thread that shows the program of its process. */
interface Thread {
  /** Its directory below /proc. */
  readonly directory: string;
  /** The path of its link to the program's file. */
  readonly link: string;
  /** What that link says. */
  readonly target: string;
}

/**
 * Returns a thread that shows the program: the first one, or, if that has exited while others run,
 * one of those. Returns undefined if the kernel shows none, as of a process that is exiting.
 *
 * @param process its directory below /proc
 */
function threadWithProgram(process: string): Thread | undefined {
  for (const directory of threadsOf(process)) {
    const link = `/proc/${directory}/exe`;
    try {
      return { directory, link, target: Deno.readLinkSync(link) };
    } catch (error) {
      // Where the program of one thread is hidden, so are those of the others.
      if (errnoOf(error) !== "ENOENT") return undefined;
    }
  }
  return undefined;
}

function sharesMounts(directory: string): boolean {
  try {
    return Deno.readLinkSync(`/proc/${directory}/ns/mnt`) ===
      Deno.readLinkSync("/proc/self/ns/mnt");
  } catch {
    return false;
  }
}

function statOrUndefined(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

/** Resolves the symlinks on the way to a file that may itself be missing. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    const slash = path.lastIndexOf("/");
    try {
      return `${Deno.realPathSync(slash < 0 ? "." : path.slice(0, slash) || "/")}/${
        path.slice(slash + 1)
      }`.replace("//", "/");
    } catch {
      return path;
    }
  }
}
