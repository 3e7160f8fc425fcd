/** The directories and symlinks that lead to a file, each as lstat(2) describes it. */
import { CommandError, withHint } from "../errors.ts";
import { shellQuote } from "../shell_quote.ts";

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

/** Returns a path from the root, without resolving symlinks. */
export function absolutePath(path: string): string {
  const whole = path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
  return whole.replace(/\/(\.?\/)+/g, "/");
}

/** Returns a path from the root, with the symlinks to its directory resolved. */
export function resolvedPath(path: string): string {
  const [, directory = "", name = ""] = /^(.*\/)?([^/]*)$/s.exec(path) ?? [];
  return `${Deno.realPathSync(directory || ".")}/${name}`.replace(/^\/\//, "/");
}

/**
 * Returns every directory and every symlink on the way to `path`, from the root on; the last name
 * is not among them. Whoever can change one of them decides which file the path names.
 *
 * @throws {CommandError} one of them does not exist or cannot be examined, or the kernel finds
 * another way
 */
export function walkPath(path: string): Component[] {
  const components: Component[] = [];
  const end = walk(path, components);
  // A link such as /proc/812/root leads elsewhere than its text says.
  const parent = examine(absolutePath(path).replace(/[^/]*$/, ""), Deno.statSync);
  if (end.dev !== parent.dev || end.ino !== parent.ino) {
    throw new CommandError(
      `${shellQuote(path)}: its directory is not ${shellQuote(end.path)}, where its path leads; ` +
        "use a path without links of /proc",
    );
  }
  return components;
}

/** Returns the symlinks on the way to `path`, up to the first name that does not exist. */
export function findSymlinks(path: string): Component[] {
  const components: Component[] = [];
  try {
    walk(path, components);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
  return components.filter(({ isSymlink }) => isSymlink);
}

/** Collects the components as far as they exist, and returns the directory at their end. */
function walk(path: string, components: Component[]): Component {
  components.push(examine("/", Deno.lstatSync));
  const names = absolutePath(path).split("/").slice(1, -1);
  let directory = "";
  let symlinks = 0;
  while (names.length > 0) {
    const name = names.shift()!;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      directory = directory.replace(/\/[^/]*$/, "");
      continue;
    }
    const component = examine(`${directory}/${name}`, Deno.lstatSync);
    components.push(component);
    if (!component.isSymlink) {
      directory = component.path;
      continue;
    }
    if (++symlinks > MAX_SYMLINKS) {
      throw new CommandError(`${shellQuote(path)}: too many symlinks on the way`);
    }
    const target = withHint(
      `cannot read the symlink ${shellQuote(component.path)}`,
      () => Deno.readLinkSync(component.path),
    );
    if (target.startsWith("/")) directory = "";
    names.unshift(...target.split("/"));
  }
  return examine(`${directory}/`, Deno.lstatSync);
}

function examine(path: string, stat: (path: string) => Deno.FileInfo): Component {
  const { isSymlink, uid, gid, mode, dev, ino } = withHint(
    `cannot examine ${shellQuote(path)}`,
    () => stat(path),
  );
  // Linux gives all of these.
  return { path, isSymlink, uid: uid ?? 0, gid: gid ?? 0, mode: mode ?? 0, dev, ino };
}
