/** pidproxy: a command, the daemon that its pidfile names, and the signals that come for both. */
import { error, info } from "../cli/output.ts";
import { formatDuration } from "../duration.ts";
import { start } from "../process/child.ts";
import type { Pid } from "../process/pid.ts";
import { describe, type HeldProcess, isRunning, isStopped } from "../process/process.ts";
import { processTarget, SIGKILL_TIMEOUT_MS, type Step } from "../process/schedule.ts";
import { catchSignals, hasHandler, sendSignal, stopSelf } from "../process/signals.ts";
import { DaemonPidfile, type Sighting } from "./daemon_pidfile.ts";
import { Daemons } from "./daemons.ts";
import { FORWARDED, STOP_SIGNALS, SUSPEND_SIGNALS } from "./forwarded.ts";
import { Groups, stop } from "./groups.ts";
import { type Exit, outcomeOf } from "./outcome.ts";
import { nextLookAt, overAt, type Situation } from "./timing.ts";
import { Wakeup } from "./wakeup.ts";

/** Milliseconds that the pidfile gets to be written after a signal that finds no daemon. */
const SETTLE_TIMEOUT_MS = 200;
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

/** A signal that came, and when, on the clock of performance.now(). */
interface Arrival {
  readonly signal: Deno.Signal;
  readonly at: number;
}

/**
 * One run of the proxy. Signals, exits and timers only wake it up; what they lead to is decided in
 * `#step`, from what is the case then.
 */
export class PidProxy {
  readonly #path: string;
  readonly #pidfile: DaemonPidfile;
  readonly #options: Options;
  readonly #wakeup: Wakeup;
  readonly #daemons: Daemons;
  readonly #groups: Groups;
  readonly #stopSignals: readonly Deno.Signal[];

  #command!: HeldProcess;
  #exit: Exit | undefined;
  /** Whether a daemon was running after the command had exited. */
  #isBackground = false;
  /** The last daemon that was named, dead or alive; never the command itself. */
  #lastDaemon: HeldProcess | Pid | undefined;
  #daemonExitedAt = -Infinity;
  /** Why the pidfile named no daemon at the last look. */
  #doubt = "";
  #lookingSince = 0;

  /** Signals that were not dealt with yet, in the order they came. */
  readonly #arrived: Arrival[];
  /** Signals that are kept for a daemon. */
  #kept: Deno.Signal[] = [];
  /** The last stop request, and when the first one came. */
  #stop: Arrival | undefined;
  /** The processes that were asked to stop. */
  readonly #asked = new Set<HeldProcess>();
  /** The processes that were sent SIGKILL. */
  readonly #killed = new Set<HeldProcess>();
  /** Whether the last stop request reached no daemon, so that one that appears is to be asked. */
  #isDaemonToBeAsked = false;

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
    this.#stopSignals = [...STOP_SIGNALS, ...options.stopSignals];
  }

  /**
   * Starts the command.
   *
   * @throws {CommandError} it cannot be started
   */
  start(name: string, args: readonly string[]): void {
    const { process, status } = start(name, args);
    this.#command = process;
    this.#lookingSince = performance.now();
    status.then(({ code, signal }) => {
      this.#exit = { code, signal, at: performance.now() };
      const daemon = this.#daemons.current;
      this.#isBackground = daemon !== undefined && daemon !== process && isRunning(daemon);
      this.#wakeup.ring();
    });
  }

  /** Returns when the command and the daemon have exited. */
  async forwardUntilExit(): Promise<void> {
    for (;;) {
      this.#step(await this.#pidfile.look(this.#command));
      const now = performance.now();
      const hasStopArrived = this.#arrived.some(({ signal }) => this.#isStop(signal));
      if (now >= overAt(this.#situation()) && !hasStopArrived) return;
      await this.#wakeup.sleep(this.#nextStepAt(now) - now);
    }
  }

  #step(seen: Sighting): void {
    // 1. Who has exited, and who is the daemon.
    this.#noteExits();
    this.#noteDaemon(seen);
    // 2. What the daemon has missed.
    this.#catchUp(seen);
    // 3. The signals, in the order they came.
    while (this.#forwardNext(seen));
    // 4. SIGKILL after the grace period.
    if (performance.now() >= this.#graceEndsAt()) this.#kill();
  }

  #noteExits(): void {
    for (const process of this.#daemons.takeExited()) {
      this.#pidfile.forget(process);
      this.#groups.leaderExited(process);
      if (process === this.#command) continue;
      this.#daemonExitedAt = this.#lookingSince = performance.now();
      if (this.#exit === undefined) {
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
    if (seen.kind === "exited" && seen.pid !== this.#command.pid) {
      if (this.#lastDaemon !== undefined) return;
      this.#lastDaemon = seen.pid;
      this.#daemonExitedAt = performance.now();
      if (this.#options.isGroup) this.#groups.noteUnseen(seen.pid);
    }
  }

  #catchUp(seen: Sighting): void {
    if (seen.kind === "daemon") {
      this.#kept = this.#kept.filter((signal) => this.#send(signal, seen.process) === "exited");
    }
    const daemon = this.#daemons.current;
    if (this.#stop === undefined || daemon === undefined || this.#asked.has(daemon)) return;
    if (daemon !== this.#command) this.#send(this.#stop.signal, daemon);
  }

  /** Returns whether there was a signal whose time had come. */
  #forwardNext(seen: Sighting): boolean {
    const [next] = this.#arrived;
    if (next === undefined) return false;
    const { signal, at } = next;
    // A signal that finds no daemon, or one that exited after the look, waits for the next looks.
    const isNamed = seen.kind === "daemon" && isRunning(seen.process);
    if (!isNamed && performance.now() < at + SETTLE_TIMEOUT_MS) return false;
    this.#arrived.shift();
    this.#lookingSince = at;
    if (this.#isStop(signal)) this.#stop = { signal, at: this.#stop?.at ?? at };
    this.#forward(signal, seen);
    if (!SUSPEND_SIGNALS.includes(signal)) return true;
    // A SIGCONT that has come already would not come again.
    if (!this.#arrived.some((later) => later.signal === "SIGCONT")) stopSelf();
    return false;
  }

  /** Sends a signal to the daemon; without one to the command, or keeps it. */
  #forward(signal: Deno.Signal, seen: Sighting): void {
    const command = this.#command;
    if (signal === "SIGCONT" && this.#exit === undefined && isStopped(command)) {
      this.#send(signal, command, ", the command");
      if (seen.kind === "daemon" && seen.process === command) return;
    }
    // 1. The process that the pidfile names.
    const named = seen.kind === "daemon" ? seen.process : undefined;
    if (named !== undefined && this.#send(signal, named) === "sent") return;
    const why = seen.kind === "daemon"
      ? `${describe(seen.process)} cannot be signalled`
      : seen.reason;
    // 2. The one that it named before and that is still running.
    const last = this.#daemons.current;
    if (last !== undefined && last !== named && last !== command) {
      if (this.#send(signal, last, `, the last daemon: ${why}`) === "sent") return;
    }
    // 3. The command, unless the signal would kill it by accident.
    const isMeant = this.#isStop(signal) || SUSPEND_SIGNALS.includes(signal);
    if (this.#exit === undefined && (isMeant || hasHandler(command, signal))) {
      if (this.#send(signal, command, `, the command: ${why}`) === "sent") return;
    }
    // 4. A daemon that is still to come.
    if (this.#isStop(signal)) this.#isDaemonToBeAsked = true;
    info(`keeping ${signal} for the daemon: ${why}`);
    this.#kept.push(signal);
  }

  #send(signal: Deno.Signal, to: HeldProcess, note = ""): "sent" | "exited" | "denied" {
    const isStop = this.#isStop(signal);
    if (isStop) {
      this.#asked.add(to);
      this.#isDaemonToBeAsked = to === this.#command;
      this.#groups.readMembers(to);
    }
    const outcome = sendSignal(to, signal);
    // With a signal pending it forks no more, and nothing is reaped before the next await.
    if (isStop) this.#groups.readMembers(to);
    if (outcome === "denied") error(`no permission to send ${signal} to ${describe(to)}`);
    if (outcome === "sent") info(`sent ${signal} to ${describe(to)}${note}`);
    // A stopped process acts on the request once it is continued.
    if (outcome === "sent" && isStop && isStopped(to)) this.#send("SIGCONT", to);
    return outcome;
  }

  #isStop(signal: Deno.Signal): boolean {
    return this.#stopSignals.includes(signal);
  }

  #graceEndsAt(): number {
    const { graceMs } = this.#options;
    return this.#stop === undefined || graceMs === undefined ? Infinity : this.#stop.at + graceMs;
  }

  /** Sends SIGKILL to all that is running and has not got it: the command first, which restarts. */
  #kill(): void {
    const command = this.#exit === undefined ? [this.#command] : [];
    for (const process of new Set([...command, ...this.#daemons.all])) {
      if (this.#killed.has(process)) continue;
      this.#killed.add(process);
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
    return {
      exit: this.#exit,
      isDaemonRunning: this.#daemons.current !== undefined,
      hadDaemon: this.#lastDaemon !== undefined,
      daemonExitedAt: this.#daemonExitedAt,
      isStopRequested: this.#stop !== undefined,
      isDaemonToBeAsked: this.#isDaemonToBeAsked,
      waitMs: this.#options.waitMs,
      lookingSince: this.#lookingSince,
      isAwaited: this.#kept.length > 0 || this.#options.isGroup,
      hasArrived: this.#arrived.length > 0,
    };
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
    const graceMs = this.#stop === undefined
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
      isStopRequested: this.#stop !== undefined,
      isCommandStopped: this.#asked.has(this.#command) || this.#killed.has(this.#command),
      daemon: this.#lastDaemon,
      isBackground: this.#isBackground,
      waitMs: this.#options.waitMs,
      path: this.#path,
      doubt: this.#doubt,
    });
    if (reason !== undefined) error(reason);
    return status;
  }

  /** Reports the signals that could not be delivered. */
  reportUndelivered(): void {
    for (const signal of [...this.#kept, ...this.#arrived.map(({ signal }) => signal)]) {
      error(`${signal} was not delivered: no daemon is known`);
    }
  }
}
