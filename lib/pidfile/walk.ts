/**
 * The walk to a directory, step by step from the root.
 *
 * What only root and we can change is walked by name. From the first directory on that others can
 * change, each step is opened without following a symlink, examined by its descriptor, and the next
 * one is taken from there.
 */
import { ensureDirSync } from "@std/fs/ensure-dir";
import { CommandError, unlessMissing, withHint } from "../errors.ts";
import { descriptorAt } from "../process/proc.ts";
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

/** Symlinks that are followed before they count as a circle, as in path_resolution(7). */
const MAX_SYMLINKS = 40;

/** A component, and how it is reached. */
export interface Step extends Component {
  /** What system calls take: its path, or its descriptor's. */
  readonly at: string;
  /** Its descriptor; undefined while it is reached by its path. */
  readonly fd: number | undefined;
  /** Whether `path` leads to it for as long as only other users make changes. */
  readonly isFixed: boolean;
}

/** Whether an entry of a directory stays what it is, unless root or we change it. */
export function isFixed(directory: Step, owner: number | undefined): boolean {
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

/** What a walk may do. */
export interface StepOptions {
  /** Whether symlinks of other users are refused. */
  readonly isChange: boolean;
  /** Whether missing directories are created. */
  readonly isCreate: boolean;
}

/** The steps of one walk. */
export class Steps {
  /** Those taken so far, from the root on. */
  readonly components: Component[] = [];
  /** Whether a step belonged to another user, or could be changed by one. */
  isShared = false;
  /** The first symlink among them in a directory that others can put another entry into. */
  sharedSymlink: string | undefined;
  readonly #path: string;
  readonly #options: StepOptions;
  #open: number[] = [];

  /** Begins at the root; `path` is as the user gave it, for messages. */
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
      if (!isFixed(stack.at(-1)!, undefined)) this.sharedSymlink ??= step.path;
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
    const info = this.#lstat(from, at);
    if (isFixed(from, info.uid ?? 0)) return examine(path, at, info, true, undefined);
    const fd = openDescriptor(at, O_PATH | O_NOFOLLOW);
    if (fd < 0) throw osError(-fd);
    this.#open.push(fd);
    const held = descriptorAt(fd);
    return examine(path, held, Deno.statSync(held), false, fd);
  }

  #lstat(from: Step, at: string): Deno.FileInfo {
    if (!this.#options.isCreate) return Deno.lstatSync(at);
    const found = unlessMissing(() => Deno.lstatSync(at));
    if (found !== undefined) return found;
    this.refuseMisled(from);
    const directory = this.#path.slice(0, this.#path.lastIndexOf("/"));
    withHint(
      `cannot create directory ${shellQuote(directory)}`,
      () => createDirectory(at),
    );
    return Deno.lstatSync(at);
  }

  /**
   * Refuses to change a directory that only root and we can, by a symlink in whose place others could
   * have put another one of root's.
   */
  refuseMisled(end: Step): void {
    if (!this.#options.isChange || this.sharedSymlink === undefined) return;
    if (!isFixed(end, undefined)) return;
    const [path, symlink] = [shellQuote(this.#path), shellQuote(this.sharedSymlink)];
    throw new CommandError(
      `${path}: its symlink ${symlink} lies where other users could have put another one, and ` +
        `leads to ${
          shellQuote(end.path)
        }, which they cannot change; give its path without symlinks`,
    );
  }

  #refuseForeign({ path, uid }: Step): void {
    if (!this.#options.isChange || isOurs(uid)) return;
    throw new CommandError(
      `${shellQuote(this.#path)}: its symlink ${shellQuote(path)} is owned by ${userName(uid)}, ` +
        "who could lead it elsewhere; use a path without it",
    );
  }
}

/** Creates a directory; not for everyone to write, because there kill signals nothing. */
function createDirectory(at: string): void {
  const umask = Deno.umask();
  Deno.umask(umask | OTHERS_WRITE);
  try {
    ensureDirSync(at);
  } finally {
    Deno.umask(umask);
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
