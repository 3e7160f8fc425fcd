/** The two errors a command fails with, and the operating system's errors in words with hints. */

/** A command was refused or failed; the message is complete. */
export class CommandError extends Error {
  /** Its name where it is printed. */
  override readonly name: string = "CommandError";

  /**
   * Creates the error.
   *
   * @param message what the user reads: `object: fact; hint`
   * @param status the exit status
   * @param options its cause, where a caller asks for that
   */
  constructor(message: string, readonly status: number = 1, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A word that was not recognized, and those that would have been. */
export interface Typo {
  /** The word as it was typed. */
  readonly typed: string;
  /** The words that are accepted. */
  readonly known: readonly string[];
}

/** The command line is wrong: exit status 2, with a hint where the usage is. */
export class UsageError extends Error {
  /** Its name where it is printed. */
  override readonly name: string = "UsageError";

  /**
   * Creates the error.
   *
   * @param message what the user reads
   * @param typo what to suggest a correction for
   */
  constructor(message: string, readonly typo?: Typo) {
    super(message);
  }
}

const USE_LOCKS = "use a path on a file system that has locks, such as /run";
const RUN_AS_OWNER = "run as root or as its owner";
const HINTS: Readonly<Record<string, string>> = {
  EACCES: RUN_AS_OWNER,
  EPERM: RUN_AS_OWNER,
  EROFS: "use a path on a writable file system",
  ENOSPC: "free some space and retry",
  EDQUOT: "free some of the quota and retry",
  ENOTDIR: "one of its parents is a file; use another path",
  ENAMETOOLONG: "use a shorter path",
  ELOOP: "fix the symlinks that point at each other",
  EMFILE: "raise the limit on open files (ulimit -n)",
  ENFILE: "raise the system's limit on open files (fs.file-max)",
  ENOLCK: USE_LOCKS,
  EOPNOTSUPP: USE_LOCKS,
  ENOTSUP: USE_LOCKS, // the same number on Linux
  EBADF: USE_LOCKS,
  ENOSYS: USE_LOCKS,
  EIO: "check the kernel log (dmesg): the disk may be failing",
  ENOMEM: "free some memory and retry",
  EBUSY: "retry, or find what uses it: fuser -v",
  EINTR: "retry",
  ESTALE: "the file was removed on its server; retry",
  EOVERFLOW: "this user has no id on that mount (an idmapped one); use another path",
};

/** Linux's numbers of the errnos that are distinguished here. Source: errno(3). */
const ERRNO_NAMES: Readonly<Record<string, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  8: "ENOEXEC",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  20: "ENOTDIR",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  28: "ENOSPC",
  30: "EROFS",
  36: "ENAMETOOLONG",
  37: "ENOLCK",
  38: "ENOSYS",
  40: "ELOOP",
  75: "EOVERFLOW",
  95: "EOPNOTSUPP",
  116: "ESTALE",
  122: "EDQUOT",
};

/**
 * Returns the name of the errno behind an error, such as `ENOSPC`, or undefined if there is none.
 * The runtime gives it as a code, before the message, or, as for ESRCH from read(2), as a number.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  const [, name] = /^(E[A-Z0-9]+):/.exec(error.message) ?? [];
  const [, number] = / \(os error (\d+)\)/.exec(error.message) ?? [];
  return name ?? ERRNO_NAMES[number ?? ""];
}

/** Returns whether kill(2) was denied: by the kernel's rules, or by SELinux or AppArmor (EACCES). */
export function isDenied(error: unknown): boolean {
  return ["EPERM", "EACCES"].includes(errnoOf(error) ?? "");
}

/** Returns the fact in words, without errno and path: "no space left on device". */
export function errorText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // Deno says "Words (os error 28): open '/path'", or "ESRCH: Words".
  const words = /^(?:E[A-Z0-9]+: )?(.*?)(?: \(os error \d+\).*)?$/s.exec(message)?.[1] ??
    message;
  return words.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}

/** Returns what to do about an errno, by its name in errno(3). */
export function hintFor(errno: string): string | undefined {
  return HINTS[errno];
}

/**
 * Returns an error that says what failed, why, and what to do about it.
 *
 * @param what failed, such as `cannot open /run/web.pid`
 */
export function toCommandError(what: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const hint = hintFor(errnoOf(error) ?? "");
  const message = `${what}: ${errorText(error)}${hint === undefined ? "" : `; ${hint}`}`;
  return new CommandError(message, 1, { cause: error });
}

/**
 * Runs `act` and returns its result.
 *
 * @throws {CommandError} the operating system's error, in words
 */
export function withHint<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw toCommandError(what, error);
  }
}

/** Returns what `act` returns; undefined if a file does not exist. */
export function unlessMissing<T>(act: () => T): T | undefined {
  return unless("ENOENT", act);
}

/** Returns what `act` returns; undefined if a file exists. */
export function unlessExists<T>(act: () => T): T | undefined {
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

/** Returns whether an error is the timeout of @std/async's `deadline`. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
