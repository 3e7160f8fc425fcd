/** The process groups that the daemons of one run of pidproxy lead, for --group. */
import { error, info } from "../cli/output.ts";
import { CommandError } from "../errors.ts";
import type { ExistingPidfile } from "../pidfile/pidfile.ts";
import { groupTarget } from "../pidfile/signallable.ts";
import type { Pid } from "../process/pid.ts";
import { describeAll, type HeldProcess, isRunning } from "../process/process.ts";
import { Leftovers } from "../process/process_group.ts";
import { type Ending, runSchedule, type Target } from "../process/run_schedule.ts";
import type { Step } from "../process/schedule.ts";

/**
 * Milliseconds between two reads of a group's members, which are known for certain only while its
 * leader, or one that is known already, is there: as many as it has been followed for, within these.
 */
const [MIN_REFRESH_INTERVAL_MS, MAX_REFRESH_INTERVAL_MS] = [50, 5_000];

/**
 * Milliseconds that a daemon gets to lead a group: Debian's nginx is in its pidfile before it has
 * called setsid(2).
 */
const LEAD_TIMEOUT_MS = 1_000;

/** A daemon that leads no group yet. */
interface Candidate {
  readonly leader: HeldProcess;
  readonly state: ExistingPidfile;
  /** Until when it may come to lead one, on the clock of performance.now(). */
  readonly until: number;
}

interface Followed {
  readonly leader: HeldProcess;
  readonly target: Target;
  readonly name: string;
  /** Since when, on the clock of performance.now(). */
  readonly since: number;
  /** When its members were last read. */
  readAt: number;
  hasLeaderExited: boolean;
}

/** The groups, of daemons that have exited too. */
export class Groups {
  readonly #path: string;
  #candidates: Candidate[] = [];
  #followed: Followed[] = [];
  readonly #unseen: Pid[] = [];
  #isRestSignalled = false;

  /** `path` is the pidfile's. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Follows the group that a daemon leads, and disposes the daemon with it; reports it if it leads
   * none for a second.
   */
  follow(leader: HeldProcess, state: ExistingPidfile): void {
    if (!isRunning(leader)) return this.noteUnseen(leader.pid);
    const now = performance.now();
    this.#candidates.push({ leader, state, until: now + LEAD_TIMEOUT_MS });
    this.#followCandidates(now);
  }

  #followCandidates(now: number): void {
    this.#candidates = this.#candidates.filter(({ leader, state, until }) => {
      try {
        const { target, name, warning } = groupTarget(this.#path, state, leader);
        if (warning === undefined) {
          const since = performance.now();
          const group = { leader, target, name, since, readAt: since, hasLeaderExited: false };
          this.#followed.push(group);
          return false;
        }
        if (now < until) return true;
        info(`warning: ${warning}`);
      } catch (error) {
        report(error);
      }
      return false;
    });
  }

  /** Disposes a daemon that has exited, unless its group is still followed. */
  leaderExited(leader: HeldProcess): void {
    const group = this.#followed.find((group) => group.leader === leader);
    if (group === undefined) {
      if (this.#candidates.some((one) => one.leader === leader)) this.noteUnseen(leader.pid);
      this.#candidates = this.#candidates.filter((one) => one.leader !== leader);
      return leader[Symbol.dispose]();
    }
    group.hasLeaderExited = true;
    group.target.running(); // a zombie that was not reaped yet still proves whose they are
  }

  /** Reads the members of the group that a process leads, which may exit at once. */
  readMembers(leader: HeldProcess): void {
    this.targetOf(leader)?.target.running();
  }

  /** Remembers a daemon that had exited when it was first named, if its group has members. */
  noteUnseen(leader: Pid): void {
    const isKnown = this.#unseen.includes(leader) ||
      this.#followed.some((group) => group.leader.pid === leader);
    const hasMembers = (): boolean => new Leftovers(leader, undefined).running().length > 0;
    if (!isKnown && hasMembers()) this.#unseen.push(leader);
  }

  /** Returns the group that a daemon leads, if it is followed. */
  targetOf(leader: HeldProcess): { readonly target: Target; readonly name: string } | undefined {
    return this.#followed.find((group) => group.leader === leader);
  }

  /**
   * Reads the members of the groups, unless that was done a moment ago: call this whenever the
   * program is awake.
   *
   * @returns when to call it again at the latest
   */
  refresh(now: number): number {
    this.#followCandidates(now);
    let next = this.#candidates.length > 0 ? now + MIN_REFRESH_INTERVAL_MS : Infinity;
    for (const group of this.#followed) {
      if (now >= group.readAt + MIN_REFRESH_INTERVAL_MS) {
        group.readAt = now;
        if (group.target.running().length === 0 && group.hasLeaderExited) {
          this.#forget(group);
          continue;
        }
      }
      const age = Math.max(group.readAt - group.since, MIN_REFRESH_INTERVAL_MS);
      next = Math.min(next, group.readAt + Math.min(age, MAX_REFRESH_INTERVAL_MS));
    }
    return next;
  }

  #forget(group: Followed): void {
    group.leader[Symbol.dispose]();
    this.#followed = this.#followed.filter((other) => other !== group);
  }

  /** Whether `stopRest` has signalled what was left of a group. */
  get isRestSignalled(): boolean {
    return this.#isRestSignalled;
  }

  /**
   * Stops what is left of the groups, whose leaders have exited: all at once, as one after the other
   * would take the time of the schedule for each.
   *
   * @returns whether nothing is left
   */
  async stopRest(steps: readonly Step[]): Promise<boolean> {
    const stopping = this.#followed.map(({ target, name }) => {
      const running = target.running();
      if (running.length === 0) return true;
      info(`${name}: its leader has exited; still running: ${describeAll(running)}`);
      return stop(target, name, steps, () => this.#isRestSignalled = true);
    });
    let isAllGone = (await Promise.all(stopping)).every(Boolean);
    for (const leader of this.#unseen) {
      const running = new Leftovers(leader, undefined).running();
      if (running.length === 0) continue;
      error(
        `process group ${leader}: its leader exited before it was seen; not signalled: ` +
          `${describeAll(running)}; if they belong to the daemon, kill them by PID`,
      );
      isAllGone = false;
    }
    return isAllGone;
  }
}

/**
 * Runs a schedule and reports each signal, and what survives.
 *
 * @param onSent is called for each signal that was sent
 * @returns whether all of the target has exited
 */
export async function stop(
  target: Target,
  name: string,
  steps: readonly Step[],
  onSent: () => void = () => {},
): Promise<boolean> {
  let ending: Ending;
  try {
    ending = await runSchedule(target, steps, {
      sent: (signal) => {
        info(`sent ${signal} to ${name}`);
        onSent();
      },
    });
  } catch (error) {
    report(error);
    return false;
  }
  if (ending.kind === "exited") return true;
  if (ending.kind === "running") {
    const running = target.running();
    error(`${name} survived SIGKILL: ${describeAll(running)}`);
  } else if (ending.kind === "denied") {
    error(`no permission to send ${ending.signal} to ${name}`);
  } else {
    error(
      `${name}: its leader and all members that were known have exited, so its number may ` +
        `belong to a later group; ${ending.signal} was not sent; if what is left belongs to the ` +
        `daemon, kill it by PID: ${describeAll(target.running())}`,
    );
  }
  return false;
}

function report(reason: unknown): void {
  if (!(reason instanceof CommandError)) throw reason;
  error(reason.message);
}
