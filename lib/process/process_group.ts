/**
 * Process groups. A group's number is a PID: of the process that leads it, or led it.
 *
 * The kernel gives a number to no other process or group as long as it is the PID of a process or
 * the group of one, zombies included. So the group is known to be the same one while its leader, or
 * a process that was seen in it before, is still there. After that the number may belong to anybody,
 * and is never signalled. Source: setpgid(2), kill(2), proc(5).
 */
import { errnoOf } from "../errors.ts";
import { parsePid, type Pid } from "./pid.ts";
import { bootId, parseStat, procHides, readProc, type Stat } from "./proc.ts";
import { hasExited, type HeldProcess, isStopped, type Process, readStat } from "./process.ts";
import type { Outcome, Target } from "./schedule.ts";
import { waitForExit } from "./wait_for_exit.ts";

/**
 * Milliseconds between two reads of the members while one of them is being waited for: those that
 * were forked since must be known before their parents exit. Most are forked right after a signal,
 * so the first read comes soon, and each later one after twice the time.
 */
const [FIRST_REFRESH_MS, LAST_REFRESH_MS] = [5, 100];

/**
 * Milliseconds for which the number is certain to stay free once the group has gone: the kernel
 * hands PIDs out in a circle, of 32768 or more.
 */
const NUMBER_LASTS_MS = 500;

/** A process that is always there, and not ours. */
const INIT = 1 as Pid;

/** The group that a process leads. */
export class ProcessGroup implements Target {
  readonly #leader: HeldProcess;
  /** Start ticks of the processes that were seen in the group, by PID. */
  #seen = new Map<Pid, number>();
  /** When the number last belonged to this group for certain, on the clock of performance.now(). */
  #pinnedAt = -Infinity;

  /** Use `findGroup`, which checks that it leads one. */
  constructor(leader: HeldProcess) {
    this.#leader = leader;
    this.running();
  }

  /** Its number. */
  get id(): Pid {
    return this.#leader.pid;
  }

  /**
   * Returns the processes of the group that are running, and remembers them: with a leader that may
   * exit unexpectedly, call this from time to time.
   */
  running(): Process[] {
    const running: Process[] = [];
    for (const { process, isRunning } of findMembers(this.id)) {
      // Checked after it was read: what pins the number now has pinned it then.
      if (this.#isPinned()) this.#seen.set(process.pid, process.startTicks!);
      else if (this.#isRecycled()) return [];
      if (isRunning) running.push(process);
    }
    return running;
  }

  /** Returns whether the number still belongs to this group for certain. */
  #isPinned(): boolean {
    const now = performance.now();
    if (this.#isHeld()) this.#pinnedAt = now;
    return now - this.#pinnedAt < NUMBER_LASTS_MS && !this.#isRecycled();
  }

  /** Returns whether the leader, or a process that was seen in the group, still has the number. */
  #isHeld(): boolean {
    if (readStat(this.#leader)?.startTicks === this.#leader.startTicks) return true;
    for (const [pid, startTicks] of this.#seen) {
      const stat = statOf(pid);
      if (stat?.startTicks === startTicks && stat.group === this.id) return true;
      this.#seen.delete(pid);
    }
    return false;
  }

  /** Returns whether another process has the leader's PID: then nothing of the group is left. */
  #isRecycled(): boolean {
    const stat = statOf(this.id);
    return stat !== undefined && stat.startTicks !== this.#leader.startTicks;
  }

  /** Sends a signal to all processes of the group, as one operation of the kernel. */
  send(signal: Deno.Signal): Outcome {
    if (this.running().length === 0) return "exited";
    if (!this.#isPinned()) return "unclear";
    try {
      Deno.kill(-this.id, signal);
      return "sent";
    } catch (error) {
      if (errnoOf(error) === "ESRCH" || error instanceof Deno.errors.NotFound) return "exited";
      if (error instanceof Deno.errors.PermissionDenied) return "denied";
      throw error;
    }
  }

  /** Waits until no process of the group is running. */
  waitForExit(timeoutMs: number): Promise<boolean> {
    return waitForAll(() => this.running(), timeoutMs);
  }

  /** Returns whether a signal has stopped one of its processes. */
  isStopped(): boolean {
    return this.running().some(isStopped);
  }
}

/** Waits until nothing that `running` returns is left. */
async function waitForAll(running: () => Process[], timeoutMs: number): Promise<boolean> {
  const until = performance.now() + timeoutMs;
  for (let interval = FIRST_REFRESH_MS;; interval = Math.min(2 * interval, LAST_REFRESH_MS)) {
    const [one] = running();
    if (one === undefined) return true;
    const left = until - performance.now();
    if (left <= 0) return false;
    await waitForExit(one, Math.min(left, interval));
  }
}

/**
 * Returns the group that a process leads, or why only the process itself can be signalled, to
 * follow its description.
 */
export function findGroup(leader: HeldProcess): ProcessGroup | string {
  const stat = readStat(leader);
  if (stat === undefined || stat.startTicks !== leader.startTicks || !showsAll()) {
    return "is in a process group that /proc hides";
  }
  if (stat.group !== leader.pid) return "leads no process group";
  if (stat.group === ownGroup()) return "leads the process group that sipid itself is in";
  return new ProcessGroup(leader);
}

/** Returns whether /proc shows all processes, those of other users too. */
function showsAll(): boolean {
  return !procHides() || statOf(INIT) !== undefined;
}

/**
 * What is running of the group that a process led which has exited. It may be a later group with the
 * same number, so it can be reported and waited for, but not signalled. Where another process has
 * the number as its PID, or the leader was of another boot, it certainly is, and nothing is left.
 */
export class Leftovers implements Pick<Target, "running" | "waitForExit"> {
  readonly #leader: Pid;
  readonly #boot: string | undefined;

  /** `boot` is that of the leader, if it is known. */
  constructor(leader: Pid, boot: string | undefined) {
    this.#leader = leader;
    this.#boot = boot;
  }

  /** Returns the processes that are running. */
  running(): Process[] {
    if (this.#boot !== undefined && this.#boot !== bootId()) return [];
    if (this.#leader === ownGroup() || isTaken(this.#leader)) return [];
    return [...findMembers(this.#leader)].flatMap((it) => it.isRunning ? [it.process] : []);
  }

  /** Waits until none is running. */
  waitForExit(timeoutMs: number): Promise<boolean> {
    return waitForAll(() => this.running(), timeoutMs);
  }
}

/** Returns whether a process other than a zombie has this PID. */
function isTaken(pid: Pid): boolean {
  const stat = statOf(pid);
  return stat !== undefined && !hasExited(stat);
}

/** Returns the process group of this program; undefined if that is hidden. */
export function ownGroup(): number | undefined {
  return statOf("self")?.group;
}

interface Member {
  readonly process: Process;
  /** False for a zombie. */
  readonly isRunning: boolean;
}

function* findMembers(group: number): Generator<Member> {
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = parsePid(name);
    const stat = pid === undefined ? undefined : statOf(pid);
    if (pid === undefined || stat?.group !== group) continue;
    const { startTicks, program, isKernelThread } = stat;
    yield {
      process: { pid, startTicks, program, isKernelThread, directory: name },
      isRunning: !hasExited(stat),
    };
  }
}

function statOf(pid: Pid | "self"): Stat | undefined {
  const text = readProc(`${pid}/stat`);
  return text ? parseStat(text) : undefined;
}
