/**
 * Where a pidfile is: the directories and symlinks on the way to it, and a path that stays the same
 * one while a command works, whatever other users rename or exchange meanwhile.
 *
 * What only root and we can change is walked by name. From the first directory on that others can
 * change, each step is opened without following a symlink, examined by its descriptor, and the next
 * one is taken from there.
 */
import { ensureDirSync } from "@std/fs/ensure-dir";
import { CommandError, errnoOf, toCommandError, unlessMissing, withHint } from "../errors.ts";
import { effectiveUser } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import { userName } from "../users.ts";
import {
  closeDescriptor,
  O_NOFOLLOW,
  O_PATH,
  openDescriptor,
  osError,
  readSymlink,
} from "./libc.ts";
import { GROUP_WRITE, OTHERS_WRITE, STICKY } from "./modes.ts";

/** A directory or symlink on the way to a file. */
export interface Component {
  /** From the root, with the symlinks before it resolved. */
  readonly path: string;
  /** Whether it is a symlink rather than a directory. */
  readonly isSymlink: boolean;
  /** The user who owns it. */
  readonly uid: number;
  /** The group that owns it. */
  readonly gid: number;
  /** Its type and permissions. */
  readonly mode: number;
  /** The device; with `ino`, which one it is. */
  readonly dev: number;
  /** The inode. */
  readonly ino: number | null;
}

/** How a path leads to a file. */
export interface Way {
  /** From the root, with the symlinks to its directory resolved. */
  readonly resolved: string;
  /**
   * The inodes of the directories from the outermost one on that others can put another entry into;
   * of the last one, if there is none. They are joined by colons.
   */
  readonly directories: string;
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

/** Symlinks that are followed before they count as a circle, as in path_resolution(7). */
const MAX_SYMLINKS = 40;

/**
 * Returns where a path leads; undefined if its directory does not exist.
 *
 * @throws {CommandError} the directory cannot be reached or created; the kernel finds another one;
 * there is a symlink on the way that is not followed
 */
export function findPlace(path: string, purpose: Purpose): Place | undefined {
  refuseDirectory(path);
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
    const kernels = existing ?? Deno.statSync(directory);
    if (kernels.dev !== end.dev || kernels.ino !== end.ino) throw elsewhere(path);
    steps.close(end);
    return {
      path,
      at: `${end.at}/${absolute.slice(name)}`,
      isShared: steps.isShared || !isFixed(end, undefined),
      hasSharedSymlink: steps.hasSharedSymlink,
      directories: stack.slice(stack.findLastIndex(({ isFixed }) => isFixed))
        .map(({ ino }) => ino ?? 0).join(":"),
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

/** A component, and how it is reached. */
interface Step extends Component {
  /** What system calls take: its path, or its descriptor's. */
  readonly at: string;
  /** Its descriptor; undefined while it is reached by its path. */
  readonly fd: number | undefined;
  /** Whether `path` leads to it for as long as only other users make changes. */
  readonly isFixed: boolean;
}

/** Whether an entry of a directory stays what it is, unless root or we change it. */
function isFixed(directory: Step, owner: number | undefined): boolean {
  const { mode, uid } = directory;
  if (!directory.isFixed || !isOurs(uid)) return false;
  // In a sticky directory, such as /tmp, only an entry's owner can replace it.
  return (mode & (GROUP_WRITE | OTHERS_WRITE)) === 0 ||
    ((mode & STICKY) !== 0 && owner !== undefined && isOurs(owner));
}

/** Whether a user is root, or the one whose permissions we have. */
export function isOurs(user: number): boolean {
  return user === 0 || user === effectiveUser();
}

interface StepOptions {
  /** Whether symlinks of other users are refused. */
  readonly isChange: boolean;
  /** Whether missing directories are created. */
  readonly isCreate: boolean;
}

/** The steps of one walk. */
class Steps {
  readonly components: Component[] = [];
  /** Whether a step belonged to another user, or could be changed by one. */
  isShared = false;
  /** Whether one was a symlink in a directory that others can put another entry into. */
  hasSharedSymlink = false;
  readonly #path: string;
  readonly #options: StepOptions;
  #open: number[] = [];

  constructor(path: string, options: StepOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Returns the directories from the root to the end. */
  walk(directory: string): readonly Step[] {
    const root = examine("/", "", Deno.lstatSync("/"), true, undefined);
    this.components.push(root);
    let stack: Step[] = [root];
    const names = directory.split("/");
    let symlinks = 0;
    while (names.length > 0) {
      const name = names.shift()!;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const step = this.#take(stack.at(-1)!, name);
      this.components.push(step);
      this.isShared ||= !step.isFixed || !isOurs(step.uid);
      if (!step.isSymlink) {
        stack.push(step);
        continue;
      }
      this.#refuseForeign(step);
      this.hasSharedSymlink ||= !isFixed(stack.at(-1)!, undefined);
      if (++symlinks > MAX_SYMLINKS) {
        throw new CommandError(`${shellQuote(this.#path)}: too many symlinks on the way`);
      }
      const target = step.fd === undefined ? Deno.readLinkSync(step.at) : readSymlink(step.fd);
      if (target.startsWith("/")) stack = [root];
      names.unshift(...target.split("/"));
    }
    return stack;
  }

  /** Closes the descriptors, except that of one step. */
  close(kept?: Step): void {
    if (this.#open.length === 0) return;
    this.#open.filter((fd) => fd !== kept?.fd).forEach(closeDescriptor);
    this.#open = kept?.fd === undefined ? [] : [kept.fd];
  }

  /** Takes the step to an entry of a directory. */
  #take(from: Step, name: string): Step {
    const at = `${from.at}/${name}`;
    const path = `${from.path.replace(/\/$/, "")}/${name}`;
    const info = this.#lstat(at);
    if (isFixed(from, info.uid ?? 0)) return examine(path, at, info, true, undefined);
    const fd = openDescriptor(at, O_PATH | O_NOFOLLOW);
    if (fd < 0) throw osError(-fd);
    this.#open.push(fd);
    const held = `/proc/self/fd/${fd}`;
    return examine(path, held, Deno.statSync(held), false, fd);
  }

  #lstat(at: string): Deno.FileInfo {
    if (!this.#options.isCreate) return Deno.lstatSync(at);
    const found = unlessMissing(() => Deno.lstatSync(at));
    if (found !== undefined) return found;
    const directory = this.#path.slice(0, this.#path.lastIndexOf("/"));
    withHint(
      `cannot create directory ${shellQuote(directory)}`,
      () => ensureDirSync(at),
    );
    return Deno.lstatSync(at);
  }

  #refuseForeign({ path, uid }: Step): void {
    if (!this.#options.isChange || isOurs(uid)) return;
    throw new CommandError(
      `${shellQuote(this.#path)}: its symlink ${shellQuote(path)} is owned by ${userName(uid)}, ` +
        "who could lead it elsewhere; use a path without it",
    );
  }
}

function examine(
  path: string,
  at: string,
  { isSymlink, uid, gid, mode, dev, ino }: Deno.FileInfo,
  isFixed: boolean,
  fd: number | undefined,
): Step {
  // Linux gives all of these.
  return {
    path,
    at,
    isSymlink,
    uid: uid ?? 0,
    gid: gid ?? 0,
    mode: mode ?? 0,
    dev,
    ino,
    isFixed,
    fd,
  };
}
