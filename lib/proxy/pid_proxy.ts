/** pidproxy: a command, the daemon that its pidfile names, and the signals that come for both. */
import { error, info } from "../cli/output.ts";
import { formatDuration } from "../duration.ts";
import { start } from "../process/child.ts";
import type { Pid } from "../process/pid.ts";
import { describe, type HeldProcess, isRunning } from "../process/process.ts";
import { processTarget } from "../process/run_schedule.ts";
import { SIGKILL_TIMEOUT_MS, type Step } from "../process/schedule.ts";
import { catchSignals } from "../process/signals.ts";
import { DaemonPidfile, type Sighting } from "./daemon_pidfile.ts";
import { Daemons } from "./daemons.ts";
import { type Arrival, Delivery } from "./delivery.ts";
import { FORWARDED } from "./forwarded.ts";
import { Groups, stop } from "./groups.ts";
import { type Exit, outcomeOf } from "./outcome.ts";
import { nextLookAt, overAt, type Situation } from "./timing.ts";
import { signalsReported, Wakeup } from "./wakeup.ts";

/** Milliseconds that the rest of a group gets after SIGTERM, without a grace period. */
const GROUP_GRACE_MS = 5_000;
const KILL: Step = { signal: "SIGKILL", waitMs: SIGKILL_TIMEOUT_MS };

/** What the flags say. */
export interface Options {
  /** Milliseconds to wait for the pidfile after the command has exited. */
  readonly waitMs: number;
  /** Signals that ask to stop, besides SIGTERM, SIGINT and SIGQUIT. */
  readonly stopSignals: readonly Deno.Signal[];
  /** Milliseconds from a stop request to SIGKILL; undefined if there is no limit. */
  readonly graceMs: number | undefined;
  /** Whether what is left of the daemon's process group is stopped too. */
  readonly isGroup: boolean;
}

/**
 * One run of the proxy. Signals, exits and timers only wake it up; what they lead to is decided in
 * `#step`, from what is the case then.
 */
export class PidProxy {
  readonly #path: string;
  readonly #pidfile: DaemonPidfile;
  readonly #options: Options;
  readonly #arrived: Arrival[];
  readonly #wakeup: Wakeup;
  readonly #daemons: Daemons;
  readonly #groups: Groups;

  #command!: HeldProcess;
  #delivery!: Delivery;
  #startedAt = 0;
  /** The same in clock ticks from boot; undefined if /proc hides it. */
  #startTicks: number | undefined;
  #exit: Exit | undefined;
  /** Whether a daemon was running after the command had exited. */
  #isBackground = false;
  /** The last daemon that was named, dead or alive; never the command itself. */
  #lastDaemon: HeldProcess | Pid | undefined;
  #daemonExitedAt = -Infinity;
  /** Why the pidfile named no daemon at the last look. */
  #doubt = "";
  /** The processes that were sent SIGKILL. */
  readonly #killed = new Set<HeldProcess>();

  /** Catches signals from here on, and remembers the pidfile as it is. */
  static async prepare(path: string, options: Options): Promise<PidProxy> {
    const wakeup = new Wakeup();
    const arrived: Arrival[] = [];
    catchSignals(FORWARDED, (signal) => {
      arrived.push({ signal, at: performance.now() });
      wakeup.ring();
    });
    return new PidProxy(path, options, await DaemonPidfile.remember(path), arrived, wakeup);
  }

  private constructor(
    path: string,
    options: Options,
    pidfile: DaemonPidfile,
    arrived: Arrival[],
    wakeup: Wakeup,
  ) {
    this.#path = path;
    this.#options = options;
    this.#pidfile = pidfile;
    this.#arrived = arrived;
    this.#wakeup = wakeup;
    this.#daemons = new Daemons(() => wakeup.ring());
    this.#groups = new Groups(path);
  }

  /**
   * Starts the command.
   *
   * @throws {CommandError} it cannot be started
   */
  start(name: string, args: readonly string[]): void {
    const { process, startTicks, status } = start(name, args);
    const { stopSignals } = this.#options;
    // Asked about until the end, as the pidfile may name it.
    this.#command = { ...process, [Symbol.dispose]() {} };
    this.#delivery = new Delivery(
      this.#arrived,
      this.#command,
      this.#pidfile,
      this.#daemons,
      this.#groups,
      stopSignals,
    );
    this.#startedAt = performance.now();
    this.#startTicks = startTicks;
    status.then(({ code, signal }) => {
      this.#exit = { code, signal, at: performance.now() };
      const daemon = this.#daemons.current;
      this.#isBackground = daemon !== undefined && daemon !== this.#command && isRunning(daemon);
      this.#wakeup.ring();
    });
  }

  /** Returns when the command and the daemon have exited. */
  async forwardUntilExit(): Promise<void> {
    for (;;) {
      // One time for all decisions of a turn: what is due is either done in it or waited for.
      const now = performance.now();
      this.#step(await this.#pidfile.look(this.#command, this.#startTicks), now);
      if (now >= overAt(this.#situation())) {
        await signalsReported();
        // Further requests to stop must not hold up the end of a stop.
        if (this.#delivery.stopAt !== undefined || !this.#delivery.hasStopArrived) return;
      }
      await this.#wakeup.sleep(this.#nextStepAt(now) - performance.now());
    }
  }

  #step(seen: Sighting, now: number): void {
    // 1. Who has exited, and who is the daemon.
    this.#noteExits();
    this.#noteDaemon(seen);
    // 2. What the daemon has missed.
    this.#delivery.catchUp(seen);
    // 3. The signals, in the order they came.
    this.#delivery.forwardArrived(seen, this.#exit === undefined, now);
    // 4. SIGKILL after the grace period.
    if (now >= this.#graceEndsAt()) this.#kill();
  }

  #noteExits(): void {
    for (const process of this.#daemons.takeExited()) {
      this.#pidfile.forget(process);
      this.#groups.leaderExited(process);
      this.#daemonExitedAt = performance.now();
      if (this.#exit === undefined && process !== this.#command) {
        info(`${describe(process)} exited; ${describe(this.#command)}, the command, is running`);
      }
    }
  }

  #noteDaemon(seen: Sighting): void {
    if (seen.kind === "daemon" && isRunning(seen.process)) {
      const isNew = this.#daemons.follow(seen.process);
      if (isNew && this.#options.isGroup) this.#groups.follow(seen.process, seen.state);
      if (seen.process === this.#command) return;
      this.#lastDaemon = seen.process;
      if (this.#exit !== undefined) this.#isBackground = true;
      return;
    }
    if (seen.kind !== "daemon") this.#doubt = seen.reason;
    if (seen.kind === "none") return;
    const pid = seen.kind === "daemon" ? seen.process.pid : seen.pid;
    if (pid === this.#command.pid) return;
    if (seen.isFirst && this.#options.isGroup) this.#groups.noteUnseen(pid);
    if (this.#lastDaemon !== undefined) return;
    this.#lastDaemon = pid;
    this.#daemonExitedAt = performance.now();
  }

  #graceEndsAt(): number {
    return (this.#delivery.stopAt ?? Infinity) + (this.#options.graceMs ?? Infinity);
  }

  /** Sends SIGKILL to all that is running and has not got it: the command first, which restarts. */
  #kill(): void {
    const command = this.#exit === undefined ? [this.#command] : [];
    for (const process of new Set([...command, ...this.#daemons.all])) {
      if (this.#killed.has(process)) continue;
      this.#killed.add(process);
      const distrust = this.#pidfile.distrust(process);
      if (distrust !== undefined) {
        error(`${distrust.fact}; SIGKILL was not sent; ${distrust.hint}`);
        continue;
      }
      const { target, name } = this.#groups.targetOf(process) ??
        { target: processTarget(process), name: describe(process) };
      info(`${name} is still running after ${formatDuration(this.#options.graceMs!)}`);
      // Not waited for here: a process can survive SIGKILL, and another may appear meanwhile.
      const killed = stop(target, name, [KILL]);
      // A member of the group that must not be signalled does not save the daemon.
      killed.then((done) => done || stop(processTarget(process), describe(process), [KILL]));
    }
  }

  /** What the times depend on. */
  #situation(): Situation {
    const delivery = this.#delivery;
    const isStopRequested = delivery.stopAt !== undefined;
    return {
      exit: this.#exit,
      isDaemonRunning: this.#daemons.current !== undefined,
      hadDaemon: this.#lastDaemon !== undefined || (isStopRequested && this.#isCommandDaemon()),
      daemonExitedAt: this.#daemonExitedAt,
      isStopRequested,
      isDaemonToBeAsked: delivery.isDaemonToBeAsked,
      waitMs: this.#options.waitMs,
      lookingSince: Math.max(this.#startedAt, this.#daemonExitedAt, delivery.lastAt),
      isAwaited: delivery.hasKept || this.#options.isGroup,
      hasArrived: delivery.hasArrived,
    };
  }

  /** Returns whether the pidfile named the command itself, and no other process since. */
  #isCommandDaemon(): boolean {
    return this.#daemons.named === this.#command;
  }

  #nextStepAt(now: number): number {
    const graceEndsAt = this.#graceEndsAt();
    return Math.min(
      nextLookAt(this.#situation(), now),
      now < graceEndsAt ? graceEndsAt : Infinity,
      this.#groups.refresh(now),
    );
  }

  /** Stops what is left of the daemons' process groups; returns whether nothing is. */
  stopRest(): Promise<boolean> {
    const graceMs = this.#delivery.stopAt === undefined
      ? this.#options.graceMs
      : this.#graceEndsAt() - performance.now();
    const isLimited = graceMs !== undefined && graceMs < Infinity;
    const waitMs = isLimited ? Math.max(0, graceMs) : GROUP_GRACE_MS;
    return this.#groups.stopRest([{ signal: "SIGTERM", waitMs }, KILL]);
  }

  /** Reports how it ended, unless that was expected; returns the exit status. */
  conclude(): number {
    const { reason, status } = outcomeOf({
      exit: this.#exit!,
      isStopRequested: this.#delivery.stopAt !== undefined,
      isCommandStopped: this.#delivery.wasAsked(this.#command) || this.#killed.has(this.#command),
      daemon: this.#lastDaemon,
      isCommandDaemon: this.#isCommandDaemon(),
      isBackground: this.#isBackground,
      waitMs: this.#options.waitMs,
      path: this.#path,
      doubt: this.#doubt,
    });
    if (reason !== undefined) error(reason);
    return status;
  }

  /** Reports the signals that could not be delivered. */
  async reportUndelivered(): Promise<void> {
    // Others have come only while a group was being stopped, which takes time.
    if (this.#options.isGroup) await signalsReported();
    this.#delivery.reportUndelivered();
  }
}
