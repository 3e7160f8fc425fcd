/** Locking a pidfile with flock(2). */
import { CommandError, toCommandError } from "../errors.ts";
import { findLockHolder, type LockHolder } from "../process/lock_holder.ts";
import { describe, usersOf } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import { userName } from "../users.ts";

/** Milliseconds to wait for a lock that another process holds. */
const LOCK_TIMEOUT_MS = 400;
/**
 * Milliseconds to wait for a lock that no process is seen to hold: the machine is very busy, or the
 * holder is in another PID namespace.
 */
const UNSEEN_LOCK_TIMEOUT_MS = 10_000;

/** Another process holds the lock. */
export class LockedElsewhere extends CommandError {
  /** Its name where it is printed. */
  override readonly name = "LockedElsewhere";

  /** Creates the error from what is the case and what to do about it. */
  constructor(readonly fact: string, hint: string) {
    super(`${fact}; ${hint}`);
  }
}

/**
 * Takes an exclusive lock on an open file; closes the file if that fails.
 *
 * @param waitedMs milliseconds that were spent on the same lock before
 * @throws {LockedElsewhere} another process held it all the time
 * @throws {CommandError} the file system has no locks, for example
 */
export async function lockFile(path: string, file: Deno.FsFile, waitedMs: number): Promise<void> {
  const pending = file.lock(true);
  try {
    if (await isWithin(pending, LOCK_TIMEOUT_MS - waitedMs)) return;
    const { dev, ino } = file.statSync();
    let holder = findLockHolder(dev, ino ?? 0);
    if (holder === undefined) {
      // Less what was spent before: each file that takes the pidfile's place can be locked too.
      if (await isWithin(pending, UNSEEN_LOCK_TIMEOUT_MS - waitedMs)) return;
      holder = findLockHolder(dev, ino ?? 0);
    }
    throw new LockedElsewhere(
      `another process is locking ${shellQuote(path)}${nameOf(holder)}`,
      `wait for it to exit, or find it with: fuser -v ${shellQuote(path)}`,
    );
  } catch (error) {
    // The lock may still be granted, when nobody wants it any more.
    pending.then(() => file.close(), () => file.close());
    throw toCommandError(`cannot lock ${shellQuote(path)}`, error);
  }
}

function nameOf(holder: LockHolder | undefined): string {
  if (holder?.process === undefined) return "";
  const user = usersOf(holder.process)?.effective;
  const whose = user === undefined ? "" : ` of ${userName(user)}`;
  return `: ${describe(holder.process)}${whose}`;
}

/** Returns whether it settles in time. Lighter than `deadline`: every claim goes through it. */
async function isWithin(pending: Promise<void>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, ms));
  });
  try {
    return await Promise.race([pending.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
