/** New files that are written under a temporary name and then put in the place of others. */
import { unlessExists, unlessMissing } from "../errors.ts";
import { descriptorPath } from "../process/proc.ts";

/**
 * Creates a new file with this mode, whatever the umask, and group, if one is given.
 *
 * @throws what open(2), chmod(2) or chown(2) throws
 */
export function createTemporary(
  name: string,
  { mode, gid }: { readonly mode: number; readonly gid?: number },
): Deno.FsFile {
  const wanted = mode & 0o777;
  const create = (): Deno.FsFile =>
    Deno.openSync(name, { write: true, createNew: true, mode: wanted });
  const file = unlessExists(create) ?? replaceLeftover(name, create);
  try {
    const made = file.statSync();
    const isOfGroup = gid === undefined || made.gid === gid;
    if (isOfGroup && ((made.mode ?? 0) & 0o777) === wanted) return file;
    // By its descriptor: another user may have put a symlink at its name.
    const descriptor = descriptorPath(file, name.slice(name.lastIndexOf("/") + 1));
    if (descriptor === undefined) throw new Error("its descriptor cannot be found");
    if (!isOfGroup) Deno.chownSync(descriptor, null, gid);
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

/** Removes it after a failure. */
export function removeTemporary(name: string): void {
  try {
    unlessMissing(() => Deno.removeSync(name));
  } catch {
    // The error that led here is the one to report.
  }
}
