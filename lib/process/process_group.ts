/**
 * Process groups. A group's number is a PID: of the process that leads it, or led it.
 *
 * The kernel gives a number to no other process or group as long as it is the PID of a process or
 * the group of one, zombies included. So the group is known to be the same one while its leader, or
 * a process that was seen in it before and is held, is still there. After that the number may belong
 * to anybody, and is never signalled. Source: setpgid(2), kill(2), proc(5).
 */
import { errnoOf, isDenied } from "../errors.ts";
import { type Identity, mayBeHere } from "./identity.ts";
import { parsePid, type Pid } from "./pid.ts";
import { hasExited, hidesProcesses, INIT, namesInProc, statOf } from "./proc.ts";
import { type HeldProcess, holdProcess, isStopped, type Process, readStat } from "./process.ts";
import type { Outcome, Target } from "./run_schedule.ts";
import { waitForExit } from "./wait_for_exit.ts";

/**
 * Milliseconds between two reads of the members while one of them is being waited for: those that
 * were forked since must be known before their parents exit. Most are forked right after a signal,
 * so the first read comes soon, and each later one after twice the time.
 */
const [FIRST_REFRESH_MS, LAST_REFRESH_MS] = [5, 100];
/** How many times as long as a read the pause after it is, at least. */
const PAUSE_FACTOR = 10;

/** How many members are held to know the group by, besides its leader; each takes a descriptor. */
const MAX_ANCHORS = 16;
/** How often the members are read where none is found although the group exists. */
const MAX_READS = 12;
/** How many reads must find the same zombies and nothing else, after a first one. */
const UNCHANGED_READS = 3;

/** The group that a process leads. */
export class ProcessGroup implements Target, Disposable {
  readonly #leader: HeldProcess;
  /** Members that were in the group when it was known to be this one, by PID. */
  readonly #anchors = new Map<Pid, HeldProcess>();

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
   * Returns the processes of the group that are running, and holds some of them: with a leader that
   * may exit unexpectedly, call this from time to time. When none is running, none is held.
   */
  running(): Process[] {
    this.#releaseAnchors(false);
    const isRecycled = !this.#hasLeader() && !!statOf(String(this.id));
    // With another process of the leader's PID, nothing of the group is left.
    const running = isRecycled ? [] : runningIn(this.id, (member) => this.#anchor(member, false));
    if (running.length === 0) this.#releaseAnchors(true);
    return running;
  }

  /** Releases the members that are held, but not the leader. */
  [Symbol.dispose](): void {
    this.#releaseAnchors(true);
  }

  /** Takes a process, if it is in a group of this number, for a member: something else proves it. */
  trust(member: Process): void {
    this.#anchor(member, true);
  }

  /** Holds a member, if that is known to be one. */
  #anchor(member: Process, isProven: boolean): void {
    const isKnown = member.pid === this.id || this.#anchors.has(member.pid);
    if (isKnown || this.#anchors.size >= MAX_ANCHORS) return;
    const held = holdProcess(member);
    if (held === undefined) return;
    // Without a descriptor it could be another process by now, started in the same clock tick.
    const isHeld = held.directory !== member.directory;
    // What pins the number after the member was read has pinned it before.
    const isCertain = isHeld && this.#isMember(held) && (isProven || this.#isPinned());
    if (isCertain) this.#anchors.set(held.pid, held);
    else held[Symbol.dispose]();
  }

  /** Releases the members that have exited or left the group, or all. */
  #releaseAnchors(isAll: boolean): void {
    for (const [pid, anchor] of this.#anchors) {
      if (!isAll && this.#isMember(anchor)) continue;
      this.#anchors.delete(pid);
      anchor[Symbol.dispose]();
    }
  }

  /** Returns whether the number still belongs to this group for certain. */
  #isPinned(): boolean {
    return this.#hasLeader() || [...this.#anchors.values()].some((one) => this.#isMember(one));
  }

  /** Returns whether the leader exists, if only as a zombie. */
  #hasLeader(): boolean {
    return readStat(this.#leader)?.startTicks === this.#leader.startTicks;
  }

  #isMember(one: HeldProcess): boolean {
    const stat = readStat(one);
    return stat !== undefined && stat.startTicks === one.startTicks && stat.group === this.id;
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
      if (isDenied(error)) return "denied";
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
    const begin = performance.now();
    const [one] = running();
    if (one === undefined) return true;
    const now = performance.now();
    if (now >= until) return false;
    // Where a read takes long, because the machine has many processes, there are fewer of them.
    const pause = Math.max(interval, PAUSE_FACTOR * (now - begin));
    await waitForExit(one, Math.min(until - now, pause));
  }
}

/**
 * Returns the group that a process leads, or why only the process itself can be signalled, to
 * follow its description.
 */
export function findGroup(leader: HeldProcess): ProcessGroup | string {
  const stat = readStat(leader);
  if (stat === undefined || stat.startTicks !== leader.startTicks || hidesProcesses()) {
    return "is in a process group that /proc hides";
  }
  // kill(2) takes -1 for all processes.
  if (stat.group !== leader.pid || leader.pid === INIT) return "leads no process group";
  if (stat.group === ownGroup()) return "leads the process group that sipid itself is in";
  return new ProcessGroup(leader);
}

/**
 * What is running of the group that a process led which has exited. It may be a later group with the
 * same number, so it can be reported and waited for, but not signalled. Where another process has
 * the number as its PID, the leader was of another boot or PID namespace, or no member can belong to
 * the leader's pidfile, it certainly is, and nothing is left.
 */
export class Leftovers implements Pick<Target, "running" | "waitForExit"> {
  readonly #leader: Pid;
  readonly #identity: Identity | undefined;
  readonly #isUnrelated: (member: Process) => boolean;

  /**
   * Names the group by the PID of the leader that has exited.
   *
   * @param identity that of the leader, if it is known
   * @param isUnrelated returns whether a member certainly does not belong to the leader's pidfile
   */
  constructor(
    leader: Pid,
    identity: Identity | undefined,
    isUnrelated: (member: Process) => boolean = () => false,
  ) {
    this.#leader = leader;
    this.#identity = identity;
    this.#isUnrelated = isUnrelated;
  }

  /** Returns the processes that are running. */
  running(): Process[] {
    if (this.#identity !== undefined && !mayBeHere(this.#identity)) return [];
    if (this.#leader === ownGroup() || isTaken(this.#leader)) return [];
    const running = runningIn(this.#leader);
    return running.every(this.#isUnrelated) ? [] : running;
  }

  /** Waits until none is running. */
  waitForExit(timeoutMs: number): Promise<boolean> {
    return waitForAll(() => this.running(), timeoutMs);
  }
}

/** Returns whether a process other than a zombie has this PID. */
function isTaken(pid: Pid): boolean {
  const stat = statOf(String(pid));
  return !!stat && !hasExited(stat);
}

/** Returns the process group of this program; undefined if that is hidden. */
export function ownGroup(): number | undefined {
  return (statOf("self") || undefined)?.group;
}

/**
 * Returns the running processes of a group.
 *
 * A process that forks and exits while the list of processes is read can be missing from it, and
 * its child too. So that nothing is running counts only if the kernel says that the group does not
 * exist, or if several reads have found nothing but zombies.
 *
 * @param visit called with each of them, right after it was read
 */
function runningIn(group: Pid, visit: (member: Process) => void = () => {}): Process[] {
  let [before, unchanged] = ["", 0];
  if (!groupExists(group)) return [];
  for (let reads = 1;; reads++) {
    const [running, exited]: [Process[], Process[]] = [[], []];
    for (const name of namesInProc("/proc")) {
      const pid = parsePid(name);
      const stat = pid === undefined ? undefined : statOf(name);
      if (pid === undefined || !stat || stat.group !== group) continue;
      const { startTicks, program, isKernelThread } = stat;
      const member = { pid, startTicks, program, isKernelThread, directory: name };
      if (hasExited(stat)) {
        exited.push(member);
        continue;
      }
      running.push(member);
      visit(member);
    }
    if (running.length > 0 || !groupExists(group)) return running;
    // A process that forks and exits during a read is missed, but leaves one more zombie.
    const zombies = exited.map(({ pid }) => pid).join();
    unchanged = zombies === before ? unchanged + 1 : 0;
    before = zombies;
    if (exited.length > 0 && unchanged >= UNCHANGED_READS) return [];
    // With ever new zombies something is running, whichever it is.
    if (reads >= MAX_READS) return exited;
  }
}

/** Returns whether a process has this group, zombies included. */
function groupExists(group: Pid): boolean {
  try {
    // Deno.kill has no signal 0.
    // deno-lint-ignore no-process-global -- an import would cost every start a tenth of its time
    process.kill(-group, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}
