/** Which program a process runs, compared by file. */
import { CommandError, errnoOf } from "../errors.ts";
import { exactFile, isExact } from "../exact_file.ts";
import type { Process } from "./process.ts";

/**
 * Returns whether a process runs the program at `path`: the same file by device and inode, or the
 * file that was at this path and has been replaced or removed since. Returns undefined if the
 * kernel does not show what it runs.
 *
 * @throws {CommandError} there is no file at `path`, so that a typing error does not make every
 * process an unrelated one
 */
export function runsProgram({ directory }: Process, path: string): boolean | undefined {
  if (directory === undefined) return undefined;
  const link = `/proc/${directory}/exe`;
  const wanted = statOrUndefined(path);
  let target: string;
  try {
    target = Deno.readLinkSync(link);
  } catch (error) {
    // A thread of the kernel, or exited.
    if (["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "")) return false;
    return undefined;
  }
  const running = statOrUndefined(link);
  if (wanted !== undefined && running?.dev === wanted.dev && running.ino === wanted.ino) {
    if (isExact(wanted)) return true;
    const exact = exactFile(path);
    if (exact === undefined) return undefined;
    if (exact === exactFile(link)) return true;
  }
  // In another mount namespace the same path can be another file.
  if (target === `${realPath(path)} (deleted)` && sharesMounts(directory)) {
    // Unless that is the name of a file.
    const literal = statOrUndefined(target);
    if (literal === undefined || literal.ino !== running?.ino) return true;
  }
  if (wanted === undefined) {
    throw new CommandError(
      `--exec ${path}: no such file; give the path of the program that the service runs`,
    );
  }
  return false;
}

/** Returns the path of the program a process runs, for messages; undefined if it is hidden. */
export function programPath({ directory }: Process): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${directory}/exe`);
  } catch {
    return undefined;
  }
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
