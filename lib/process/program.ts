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
  const wanted = fileAt(path);
  const running = fileAt(thread.link);
  if (running === undefined) return undefined; // it has exited, or its file server fails
  if (wanted !== undefined) {
    const isSame = areSame(running, wanted);
    if (isSame !== false) return isSame;
  }
  const isDeleted = wasAt(path, wanted, thread, running);
  if (isDeleted !== false) return isDeleted;
  if (!wanted?.info.isFile) {
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

/**
 * Returns whether a process runs the file that was at a path, and has been deleted; undefined if
 * that cannot be seen.
 */
function wasAt(
  path: string,
  wanted: Found | undefined,
  { directory, target }: Thread,
  running: Found,
): boolean | undefined {
  // The file alone was mounted, as with BindReadOnlyPaths=, and its deletion has ended that.
  if (target === "/ (deleted)") return undefined;
  // The path itself may have become a symlink, such as that of mysqld to mariadbd.
  const name = [realPath(path), realName(path)].find((name) => target === `${name} (deleted)`);
  if (name === undefined) return false;
  const isHere = sharesMounts(directory);
  const find = isHere ? fileAt : (path: string) => fileBelow(`/proc/${directory}/root`, path);
  // Unless that is the name of a file.
  if (find(target)?.info.ino === running.info.ino) return false;
  if (isHere) return true;
  // In another mount namespace, such as that of PrivateTmp=, the same path can be another file; but
  // not if it is the same one now. If it is not, it may have been replaced between two looks.
  const successor = find(name);
  return wanted && successor && areSame(successor, wanted) ? true : undefined;
}

function sharesMounts(directory: string): boolean {
  try {
    return Deno.readLinkSync(`/proc/${directory}/ns/mnt`) ===
      Deno.readLinkSync("/proc/self/ns/mnt");
  } catch {
    return false;
  }
}

/** A file that exists. */
interface Found {
  readonly path: string;
  readonly info: Deno.FileInfo;
}

function fileAt(path: string): Found | undefined {
  try {
    return { path, info: Deno.statSync(path) };
  } catch {
    return undefined;
  }
}

/** Finds a file below another root directory; a symlink on the way would be resolved from ours. */
function fileBelow(root: string, path: string): Found | undefined {
  for (let end = path.indexOf("/", 1); end > 0; end = path.indexOf("/", end + 1)) {
    if (isSymlink(root + path.slice(0, end))) return undefined;
  }
  return isSymlink(root + path) ? undefined : fileAt(root + path);
}

function isSymlink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false; // and not a file either
  }
}

/** Returns whether these are one file; undefined if their numbers are rounded, and hidden. */
function areSame(one: Found, other: Found): boolean | undefined {
  const [a, b] = [one.info, other.info];
  if (a.dev !== b.dev || a.ino !== b.ino) return false;
  if (isExact(b)) return true;
  const exact = exactFile(other.path);
  return exact === undefined ? undefined : exact === exactFile(one.path);
}

/** Resolves the symlinks on the way to a file that may itself be missing. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return realName(path);
  }
}

/** Resolves the symlinks on the way to a file, which may be one itself. */
function realName(path: string): string {
  const slash = path.lastIndexOf("/");
  try {
    const directory = Deno.realPathSync(slash < 0 ? "." : path.slice(0, slash) || "/");
    return `${directory}/${path.slice(slash + 1)}`.replace("//", "/");
  } catch {
    return path;
  }
}
