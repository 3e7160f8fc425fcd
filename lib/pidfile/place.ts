/**
 * Where a pidfile is: the directories and symlinks on the way to it, and a path that stays the same
 * one while a command works, whatever other users rename or exchange meanwhile.
 */
import { CommandError, errnoOf, toCommandError, unlessMissing, withHint } from "../errors.ts";
import { inodeOf } from "../exact_file.ts";
import { shellQuote } from "../shell_quote.ts";
import { type Component, isFixed, Steps } from "./walk.ts";

/** How a path leads to a file. */
export interface Way {
  /** From the root, with the symlinks to its directory resolved. */
  readonly resolved: string;
  /** From the root, with the symlinks that the user gave. */
  readonly absolute: string;
  /**
   * The inodes of the directories from the outermost one on that others can put another entry into;
   * of the last one, if there is none. They are joined by colons.
   */
  readonly directories: string;
  /** The device of the last of them. */
  readonly device: number;
  /**
   * Every directory and every symlink on the way, from the root on. Whoever can change one of them
   * decides which file the path names.
   */
  readonly components: readonly Component[];
  /** Whether users besides root and us own one of them, or can put another file at its end. */
  readonly isShared: boolean;
  /** Whether a symlink among them is where others can put another one. */
  readonly hasSharedSymlink: boolean;
}

/** A name in a directory. */
export interface Spot extends Pick<Way, "isShared"> {
  /** As the user gave it, for messages. */
  readonly path: string;
  /** What system calls take. */
  readonly at: string;
}

/** The place of a pidfile; `at` is valid until it is disposed. */
export type Place = Spot & Way & Disposable;

/**
 * What a place is for. What is not only for reading is not looked for through a symlink of another
 * user, who could lead it elsewhere: root would create or remove there what they cannot. For
 * `create`, missing directories are created.
 */
export type Purpose = "read" | "change" | "create";

/**
 * Returns where a path leads; undefined if its directory does not exist.
 *
 * @throws {CommandError} the directory cannot be reached or created; the kernel finds another one;
 * there is a symlink on the way that is not followed; the name is reserved
 */
export function findPlace(path: string, purpose: Purpose): Place | undefined {
  refuseDirectory(path);
  if (purpose === "create") refuseReserved(path);
  // A working directory whose name is not UTF-8 has none that the runtime can give.
  const absolute = withHint(
    `cannot open ${shellQuote(path)}`,
    () => path.startsWith("/") ? path : `${Deno.cwd()}/${path}`,
  );
  const name = absolute.lastIndexOf("/") + 1;
  const directory = absolute.slice(0, name);
  const find = (): Deno.FileInfo | undefined => unlessMissing(() => Deno.statSync(directory));
  // The kernel's way first, because an automounter may mount something on it.
  const existing = withHint(`cannot open ${shellQuote(path)}`, find);
  if (existing === undefined && purpose !== "create") return undefined;
  const steps = new Steps(path, { isChange: purpose !== "read", isCreate: existing === undefined });
  try {
    const stack = steps.walk(directory);
    const end = stack.at(-1)!;
    steps.refuseMisled(end);
    const inodes = stack.map((step) => inodeOf(step.at || "/", step));
    const kernels = existing ?? Deno.statSync(directory);
    const isSame = kernels.dev === end.dev && inodeOf(directory, kernels) === inodes.at(-1);
    if (!isSame) throw elsewhere(path);
    steps.close(end);
    return {
      path,
      at: `${end.at}/${absolute.slice(name)}`,
      isShared: steps.isShared || !isFixed(end, undefined),
      hasSharedSymlink: steps.sharedSymlink !== undefined,
      directories: inodes.slice(stack.findLastIndex(({ isFixed }) => isFixed)).join(":"),
      device: end.dev,
      absolute: absolute.replace(/(\/\.?)+(?=\/)/g, ""),
      resolved: `${end.path.replace(/\/$/, "")}/${absolute.slice(name)}`,
      components: steps.components,
      [Symbol.dispose]: () => steps.close(),
    };
  } catch (error) {
    steps.close();
    if (errnoOf(error) === "ENOENT" && purpose !== "create") {
      if (find() === undefined) return undefined; // removed between two steps
      throw elsewhere(path);
    }
    throw toCommandError(`cannot open ${shellQuote(path)}`, error);
  }
}

/**
 * Refuses a path that can only name a directory, before one is created for it.
 *
 * @throws {CommandError} its last component is empty, `.` or `..`
 */
export function refuseDirectory(path: string): void {
  if (!/(^|\/)\.{0,2}$/.test(path)) return;
  throw new CommandError(
    `${shellQuote(path)}: names a directory; give the path of the pidfile itself`,
  );
}

/** A claim of another pidfile would replace or remove a file of such a name. */
function refuseReserved(path: string): void {
  const [, owner] = /(?:^|\/)\.([^/]+)\.(?:claim|claim-new|new)$/.exec(path) ?? [];
  if (owner === undefined) return;
  throw new CommandError(
    `${shellQuote(path)}: has a name that is reserved for claims of ${shellQuote(owner)}; ` +
      "use another path",
  );
}

/** The kernel finds another directory: a link such as /proc/812/root leads not where it says. */
function elsewhere(path: string): CommandError {
  return new CommandError(
    `${shellQuote(path)}: its directory is not the one that its symlinks name; ` +
      "use a path that other users cannot change, without links of /proc",
  );
}

/** Returns the hidden file beside one: `.NAME.suffix`. */
export function siblingOf({ path, at, isShared }: Spot, suffix: string): Spot {
  return { path: sibling(path, suffix), at: sibling(at, suffix), isShared };
}

function sibling(path: string, suffix: string): string {
  const base = path.lastIndexOf("/") + 1;
  return `${path.slice(0, base)}.${path.slice(base)}.${suffix}`;
}
