/** Which process gets a signal that came for pidproxy: the daemon, the command, or none yet. */
import { error, info } from "../cli/output.ts";
import { describe, type HeldProcess, isRunning, isStopped } from "../process/process.ts";
import { hasHandler, sendSignal, stopSelf } from "../process/signals.ts";
import type { DaemonPidfile, Sighting } from "./daemon_pidfile.ts";
import type { Daemons } from "./daemons.ts";
import { STOP_SIGNALS, SUSPEND_SIGNALS } from "./forwarded.ts";
import type { Groups } from "./groups.ts";
import { SETTLE_TIMEOUT_MS } from "./timing.ts";

/** A signal that came, and when, on the clock of performance.now(). */
export interface Arrival {
  /** Which. */
  readonly signal: Deno.Signal;
  /** When. */
  readonly at: number;
}

/** The signals of one run of pidproxy, from their arrival until each is sent or reported. */
export class Delivery {
  readonly #command: HeldProcess;
  readonly #pidfile: DaemonPidfile;
  readonly #daemons: Daemons;
  readonly #groups: Groups;
  readonly #stopSignals: readonly Deno.Signal[];
  /** Signals that were not dealt with yet, in the order they came. */
  readonly #arrived: Arrival[];
  /** Signals that are kept for a daemon. */
  #kept: Deno.Signal[] = [];
  /** The last stop request, and when the first one came. */
  #stop: Arrival | undefined;
  #lastAt = -Infinity;
  /** The processes that were asked to stop. */
  readonly #asked = new Set<HeldProcess>();
  #isDaemonToBeAsked = false;
  #isSuspending = false;

  /**
   * `arrived` is what came already, and grows with each signal that comes; `stopSignals` ask to
   * stop, besides SIGTERM, SIGINT and SIGQUIT.
   */
  constructor(
    arrived: Arrival[],
    command: HeldProcess,
    pidfile: DaemonPidfile,
    daemons: Daemons,
    groups: Groups,
    stopSignals: readonly Deno.Signal[],
  ) {
    this.#arrived = arrived;
    this.#command = command;
    this.#pidfile = pidfile;
    this.#daemons = daemons;
    this.#groups = groups;
    this.#stopSignals = [...STOP_SIGNALS, ...stopSignals];
  }

  /** When the first stop request came; undefined if there was none. */
  get stopAt(): number | undefined {
    return this.#stop?.at;
  }

  /** When the last signal that was dealt with came. */
  get lastAt(): number {
    return this.#lastAt;
  }

  /** Whether the last stop request reached no daemon, so that one that appears is to be asked. */
  get isDaemonToBeAsked(): boolean {
    return this.#isDaemonToBeAsked;
  }

  /** Whether a signal is kept for a daemon. */
  get hasKept(): boolean {
    return this.#kept.length > 0;
  }

  /** Whether a signal has come that was not dealt with yet, or not completely. */
  get hasArrived(): boolean {
    return this.#arrived.length > 0 || this.#isSuspending;
  }

  /** Whether one of those asks to stop. */
  get hasStopArrived(): boolean {
    return this.#arrived.some(({ signal }) => this.#isStop(signal));
  }

  /** Returns whether a process was asked to stop. */
  wasAsked(process: HeldProcess): boolean {
    return this.#asked.has(process);
  }

  /** Sends the daemon what came before it was known. */
  catchUp(seen: Sighting): void {
    if (seen.kind === "daemon") {
      this.#kept = this.#kept.filter((signal) => this.#send(signal, seen.process) === "exited");
    }
    const daemon = this.#daemons.current;
    if (this.#stop === undefined || daemon === undefined || this.#asked.has(daemon)) return;
    if (daemon !== this.#command) this.#send(this.#stop.signal, daemon);
  }

  /** Deals with the signals whose time has come, in the order they came. */
  forwardArrived(seen: Sighting, isCommandRunning: boolean, now: number): void {
    this.#suspend();
    while (this.#arrived.length > 0) {
      const [{ signal, at }] = this.#arrived as [Arrival];
      // A signal that finds no daemon, or one that exited after the look, waits for the next looks.
      const isNamed = seen.kind === "daemon" && isRunning(seen.process);
      if (!isNamed && now < at + SETTLE_TIMEOUT_MS) return;
      this.#arrived.shift();
      this.#lastAt = at;
      if (this.#isStop(signal)) this.#stop = { signal, at: this.#stop?.at ?? at };
      this.#forward(signal, seen, isCommandRunning);
      // A stopped command would never notice that its daemon has exited.
      const isStuck = this.#isStop(signal) && isCommandRunning && isStopped(this.#command);
      if (isStuck) this.#send("SIGCONT", this.#command, ", the command");
      if (!SUSPEND_SIGNALS.includes(signal)) continue;
      this.#isSuspending = true;
      return;
    }
  }

  /**
   * Stops this program after a signal that suspends, unless SIGCONT or a stop request has come. That
   * is known only in the next turn: the kernel hands a signal over before the runtime reports it.
   */
  #suspend(): void {
    if (!this.#isSuspending) return;
    this.#isSuspending = false;
    const isContinued = this.#arrived.some(({ signal }) => signal === "SIGCONT");
    if (!isContinued && !this.hasStopArrived) stopSelf();
  }

  /** Sends a signal to the daemon; without one to the command, or keeps it. */
  #forward(signal: Deno.Signal, seen: Sighting, isCommandRunning: boolean): void {
    const command = this.#command;
    if (signal === "SIGCONT" && isCommandRunning && isStopped(command)) {
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
    if (isCommandRunning && (isMeant || hasHandler(command, signal))) {
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
      // A command that the pidfile names is the daemon itself.
      this.#isDaemonToBeAsked = to === this.#command && this.#daemons.named !== to;
      this.#groups.readMembers(to);
    }
    const distrust = this.#pidfile.distrust(to);
    if (distrust !== undefined) {
      error(`${distrust.fact}; ${signal} was not sent; ${distrust.hint}`);
      return "denied";
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

  /** Reports the signals that could not be delivered; a request to stop may be met all the same. */
  reportUndelivered(): void {
    for (const signal of [...this.#kept, ...this.#arrived.map(({ signal }) => signal)]) {
      if (this.#isStop(signal) && this.#groups.isRestSignalled) {
        info(`${signal} needed no delivery: the rest of the daemon's process group was signalled`);
      } else {
        error(`${signal} was not delivered: no daemon is known`);
      }
    }
  }
}
