/**
 * Pidfiles: reading, locking, writing and removing them.
 *
 * The rule throughout: lock, then read, then write, all on the same open file, and only while the
 * path still names that file.
 */
import { delay } from "@std/async/delay";
import { CommandError, errnoOf, toCommandError, withHint } from "../errors.ts";
import { judge, judgeOther } from "../process/identity.ts";
import type { Pid } from "../process/pid.ts";
import type { Verdict } from "../process/verdict.ts";
import type { Process } from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import { type Content, MAX_PIDFILE_BYTES, parseContent } from "./content.ts";
import { lockFile } from "./lock.ts";
import { findPlace, type Place, type Way } from "./place.ts";
import { type ClaimRecord, readRecord, removeRecord } from "./record.ts";
import { isNamedBy, type Opened, openRegularFile, readBytes } from "./regular_file.ts";
import { writePid, type Written } from "./write.ts";

/** A pidfile as one read found it. */
export type PidfileState = { readonly kind: "missing" } | ExistingPidfile;

/** A pidfile that exists. */
export type ExistingPidfile =
  & Content
  & {
    /** The file that was read. */
    readonly stat: FileStat;
    /** How its path led to it. */
    readonly way: Way;
    /** The claim record, if it has the same PID. */
    readonly record: ClaimRecord | undefined;
  };

/** The fields of stat(2) that are used here. */
export interface FileStat {
  /** The device; with `ino`, which file it is. */
  readonly dev: number;
  /** The inode. */
  readonly ino: number | null;
  /** Bytes. */
  readonly size: number;
  /** When it was last modified, in milliseconds since 1970. */
  readonly mtime: number | undefined;
  /** The user who owns it. */
  readonly uid: number;
  /** The group that owns it. */
  readonly gid: number;
  /** Its type and permissions. */
  readonly mode: number;
  /** How many names it has. */
  readonly links: number;
}

/** A pidfile and what the process that has its PID now is to it. */
export interface Judged {
  /** What was read. */
  readonly state: PidfileState;
  /** What was decided. */
  readonly verdict: Verdict;
}

/** A locked pidfile, which the path is sure to name. */
export interface LockedPidfile {
  /** What it was when it was locked. */
  readonly state: ExistingPidfile;
  /** Whether this user may write it. */
  readonly isWritable: boolean;
  /**
   * Replaces the content by the digits of a PID, and records which process is meant.
   *
   * @param meant the process that had the PID when it was given; undefined if there was none
   */
  write(pid: Pid, meant: Process | undefined): Written;
  /**
   * Removes it, with its claim record, or empties it where it cannot be removed.
   *
   * @throws {CommandError} neither can be done
   */
  remove(): "removed" | "emptied";
  /**
   * Removes its name alone: what a claim that replaces it writes next replaces the record.
   *
   * @throws {CommandError} it cannot be removed, and has kept its content
   */
  unlink(): void;
}

/** How often a pidfile is read that changes every time. */
const MAX_READS = 10;
/** Milliseconds that a pidfile gets to be written, and to become clear. */
const SETTLE_TIMEOUT_MS = 200;
/** Milliseconds between two reads of it. */
const SETTLE_INTERVAL_MS = 10;

/**
 * Reads a pidfile and its claim record.
 *
 * @throws {CommandError} it is not a regular file, or cannot be read
 */
export async function readPidfile(path: string): Promise<PidfileState> {
  for (let reads = 1; reads <= MAX_READS; reads++) {
    using place = findPlace(path, "read");
    const opened = place && await openRegularFile(place);
    if (place === undefined || opened === undefined) return { kind: "missing" };
    using file = opened.file;
    const state = await readState(place, file);
    // If it has been replaced meanwhile, the record is that of its successor.
    if (isNamedBy(place, file)) return state;
  }
  throw unsettled(path);
}

/**
 * Decides what the process that has a pidfile's PID now is to the pidfile.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @throws {CommandError} there is no file at `exec`
 */
export function judgePidfile(state: PidfileState, exec: string | undefined): Verdict {
  if (state.kind === "missing" || state.kind === "empty") return { kind: "none" };
  const first = state.kind === "pid" ? judgeFirst(state, exec) : { kind: "none" } as const;
  const [other, ...more] = state.others
    .map((pid) => judgeOther({ pid, modified: state.stat.mtime ?? 0 }, exec))
    .filter((verdict) => verdict !== undefined);
  // If no other one is running, the one on the first line is the service.
  if (other === undefined) return first;
  // A start that has got the number of one of them may claim, but not while others are running.
  const isAlone = more.length === 0 && (first.kind === "none" || first.kind === "unrelated");
  return isAlone ? other : { ...other, isNewcomer: false };
}

function judgeFirst(state: PidfileState & { kind: "pid" }, exec: string | undefined): Verdict {
  const { pid, record, stat: { mtime } } = state;
  return judge({
    pid,
    recorded: record?.identity,
    isRecordCurrent: record?.isCurrent === true,
    original: record?.original,
    modified: mtime ?? 0,
  }, exec);
}

/**
 * Reads and judges a pidfile. While it is empty or unclear it is re-read for up to 200 ms: a claim
 * or a daemon may be between creating it, writing it and recording it.
 *
 * @throws {CommandError} it is not a regular file, or cannot be read; there is no file at `exec`
 */
export async function readAndJudge(path: string, exec: string | undefined): Promise<Judged> {
  const until = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const state = await readPidfile(path);
    const verdict = judgePidfile(state, exec);
    const isSettled = state.kind !== "empty" && verdict.kind !== "unclear";
    if (isSettled || performance.now() >= until) return { state, verdict };
    await delay(SETTLE_INTERVAL_MS);
  }
}

/**
 * Calls `use` with the pidfile under an exclusive flock(2), and releases it afterwards. With
 * `create`, the file and its directory are created, and one that is there and empty gets 200 ms to be
 * written: a daemon that writes its pidfile itself empties it first.
 *
 * @returns what `use` returns; undefined if the file does not exist and `create` is not set
 * @throws {LockedElsewhere} another process held the lock all the time
 * @throws {CommandError} it is not a regular file, or cannot be opened, read or written
 */
export async function withLock<T>(
  path: string,
  { create }: { create: boolean },
  use: (file: LockedPidfile) => T,
): Promise<T | undefined> {
  let begin: number | undefined;
  let emptySince: number | undefined;
  for (;;) {
    using place = findPlace(path, create ? "create" : "change");
    begin ??= performance.now();
    // To lock it takes no permission to write, except on NFS; to empty it does.
    const opened = place && await openRegularFile(place, { create, write: "optional" });
    if (place === undefined || opened === undefined) return undefined;
    const { file } = opened;
    await lockFile(path, file, performance.now() - begin);
    let isSettling = false;
    try {
      const found = await locked(place, opened);
      if (create && !opened.isCreated && found.state.kind === "empty") {
        emptySince ??= performance.now();
        isSettling = performance.now() - emptySince < SETTLE_TIMEOUT_MS;
      }
      // A kill may have removed the file, or a claim replaced it, between open and lock: a PID
      // written now would be in a file without a name.
      if (!isSettling && isNamedBy(place, file)) return use(found);
    } finally {
      file.close();
    }
    if (isSettling) await delay(SETTLE_INTERVAL_MS);
  }
}

async function locked(place: Place, opened: Opened): Promise<LockedPidfile> {
  const state = await readState(place, opened.file);
  return {
    state,
    isWritable: opened.isWritable,
    write: (pid, meant) => writePid(place, opened, state, pid, meant),
    remove: () => {
      // The content first, because without its record the PID could seem to be a later process's.
      // The name last: once that has gone, the next claim may write its own record.
      const isEmptied = state.stat.links === 1 && emptyFile(opened);
      removeRecord(place);
      try {
        Deno.removeSync(place.at);
        return "removed";
      } catch (error) {
        if (isEmptied || (isForbidden(error) && emptyFile(opened))) return "emptied";
        throw toCommandError(`cannot remove ${shellQuote(place.path)}`, error);
      }
    },
    unlink: () =>
      withHint(`cannot remove ${shellQuote(place.path)}`, () => Deno.removeSync(place.at)),
  };
}

function isForbidden(error: unknown): boolean {
  return ["EACCES", "EPERM", "EBUSY"].includes(errnoOf(error) ?? "");
}

function emptyFile({ file, isWritable }: Opened): boolean {
  try {
    if (isWritable) file.truncateSync(0);
    return isWritable;
  } catch {
    return false; // its name can be removed all the same
  }
}

/**
 * Reads the content and the record that belongs to it. A claim and a kill empty the file before they
 * change the record: if the file has not changed after the record was read, the two are a pair.
 */
async function readState(place: Place, file: Deno.FsFile): Promise<ExistingPidfile> {
  const name = shellQuote(place.path);
  const readAll = <T>(read: () => T): T => withHint(`cannot read ${name}`, read);
  for (let reads = 1; reads <= MAX_READS; reads++) {
    const { stat, content } = readAll(() => {
      // stat(2) first: what is written after it shows as a change.
      const stat = fileStatOf(file.statSync());
      file.seekSync(0, Deno.SeekMode.Start);
      return { stat, content: parseContent(readBytes(file, MAX_PIDFILE_BYTES + 1)) };
    });
    if (content.kind !== "pid") return { ...content, stat, way: place, record: undefined };
    const record = await readRecord(place, stat);
    const { size, mtime } = readAll(() => fileStatOf(file.statSync()));
    if (size !== stat.size || mtime !== stat.mtime) continue;
    const isForContent = record?.identity.pid === content.pid;
    return { ...content, stat, way: place, record: isForContent ? record : undefined };
  }
  throw unsettled(place.path);
}

function unsettled(path: string): CommandError {
  const name = shellQuote(path);
  return new CommandError(
    `cannot read ${name}: another process keeps changing it; find it with: fuser -v ${name}`,
  );
}

function fileStatOf({ dev, ino, size, mtime, uid, gid, mode, nlink }: Deno.FileInfo): FileStat {
  return {
    dev,
    ino,
    size,
    mtime: mtime?.getTime(),
    // Linux gives all of these.
    uid: uid ?? 0,
    gid: gid ?? 0,
    mode: mode ?? 0,
    links: nlink ?? 1,
  };
}

/**
 * Returns whether two reads saw the same file with the same PID, not written in between. The PID
 * counts too: modification times are coarse, on network file systems by seconds.
 */
export function isUnchanged(one: PidfileState, other: PidfileState): boolean {
  if (one.kind === "missing" || other.kind === "missing") return one.kind === other.kind;
  const [a, b] = [one.stat, other.stat];
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtime === b.mtime &&
    pidOf(one) === pidOf(other);
}

function pidOf(state: ExistingPidfile): Pid | undefined {
  return state.kind === "pid" ? state.pid : undefined;
}
