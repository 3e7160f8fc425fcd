/**
 * The two ways a command ends that are not success, and the errors of the operating system put
 * in words.
 */

/** Refused or failed, for a reason that the message tells in full. */
export class CommandError extends Error {
  /** What sort of error it is. */
  override readonly name: string = "CommandError";

  /**
   * With the message as a user reads it.
   *
   * @param status the exit status it leads to
   */
  constructor(message: string, readonly status: number = 1) {
    super(message);
  }
}

/** Called wrongly: exit status 2, and the usage is shown below the message. */
export class UsageError extends Error {
  /** What sort of error it is. */
  override readonly name: string = "UsageError";
}

const NO_LOCKS = "the file system has no locks: use a path on one that has, such as /run";
/** What a person can do about an errno, by its name in errno(3). */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: "run it as root, or as the user who owns it",
  EPERM: "run it as root, or as the user who owns it",
  EROFS: "use a path on a file system that can be written",
  ENOSPC: "free some space and try again",
  EDQUOT: "free some of the quota and try again",
  ENOTDIR: "one of its parents is a file: choose another path",
  ENAMETOOLONG: "choose a shorter path",
  ELOOP: "its symlinks go round in a circle: mend them",
  EMFILE: "raise the limit of open files (ulimit -n)",
  ENFILE: "the whole system is out of open files",
  ENOLCK: NO_LOCKS,
  EOPNOTSUPP: NO_LOCKS,
  ENOTSUP: NO_LOCKS, // the same number on Linux
  EBADF: NO_LOCKS,
  ENOSYS: NO_LOCKS,
  EIO: "the disk may be failing: look into the kernel's log (dmesg)",
  ENOMEM: "free some memory and try again",
  EBUSY: "try again, or see what uses it: fuser -v",
  EINTR: "try again",
  ESTALE: "the file is gone from its server: try again",
};

/** The numbers of Linux for the errnos that are told apart here. Source: errno(3). */
const NAMES: Readonly<Record<string, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  8: "ENOEXEC",
  9: "EBADF",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  20: "ENOTDIR",
  23: "ENFILE",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
  36: "ENAMETOOLONG",
  37: "ENOLCK",
  38: "ENOSYS",
  40: "ELOOP",
  95: "EOPNOTSUPP",
  116: "ESTALE",
  122: "EDQUOT",
};

/**
 * The name of the errno behind an error, such as `ENOSPC`; undefined where there is none. The
 * runtime gives it as a code, or before the message, or, as for ESRCH from read(2), only as a number.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  const [, name] = /^(E[A-Z0-9]+):/.exec(error.message) ?? [];
  const [, number] = / \(os error (\d+)\)/.exec(error.message) ?? [];
  return name ?? NAMES[number ?? ""];
}

/** The fact alone, in words: "no space left on device". */
export function inWords(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // Deno says "Words (os error 28): open '/path'", or "ESRCH: Words".
  const words = /^(?:E[A-Z0-9]+: )?(.*?)(?: \(os error \d+\).*)?$/s.exec(message)?.[1] ??
    message;
  return words.charAt(0).toLowerCase() + words.slice(1);
}

/**
 * A refusal that says what could not be done, why, and what helps.
 *
 * @param what could not be done, such as `cannot open /run/web.pid`
 */
export function toCommandError(what: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const hint = HINTS[errnoOf(error) ?? ""];
  return new CommandError(
    `${what}: ${inWords(error)}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

/** Runs `act`; an error of the operating system becomes a refusal in words. */
export function withHint<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw toCommandError(what, error);
  }
}

/** Whether `deadline` of @std/async gave up. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
