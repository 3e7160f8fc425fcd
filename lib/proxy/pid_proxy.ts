/** pidproxy: a command, the daemon that its pidfile names, and the signals that come for both. */
import { error, info } from "../cli/output.ts";
import { formatDuration } from "../duration.ts";
import { start } from "../process/child.ts";
import type { Pid } from "../process/pid.ts";
import { describe, type HeldProcess, isRunning, isStopped } from "../process/process.ts";
import { catchSignals, hasHandler, sendSignal, stopSelf } from "../process/signals.ts";
import { shellQuote } from "../shell_quote.ts";
import { DaemonPidfile, type Sighting } from "./daemon_pidfile.ts";
import { Daemons } from "./daemons.ts";
import { Wakeup } from "./wakeup.ts";

/** Signals that ask to stop, without --stop-signal. */
const STOP_SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGQUIT"];
/** Signals that stop a process until SIGCONT, unless it has a handler. */
const SUSPEND_SIGNALS: readonly Deno.Signal[] = ["SIGTSTP", "SIGTTIN", "SIGTTOU"];
const FORWARDED: readonly Deno.Signal[] = [
  ...STOP_SIGNALS,
  ...SUSPEND_SIGNALS,
  "SIGCONT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGALRM",
  "SIGURG",
  "SIGIO",
];

/** Milliseconds that the pidfile gets to be written after a signal that finds no daemon. */
const SETTLE_TIMEOUT_MS = 200;
/** Milliseconds at least, after the exit of a command that was stopped, to watch for its daemon. */
const STOP_WATCH_MS = 1_000;
/** Milliseconds after the exit of a daemon in which the pidfile may come to name another. */
const HAND_OVER_MS = 50;
/** Milliseconds to look for a daemon, after a start or a signal, if nothing waits for it. */
const LOOK_FOR_MS = 5_000;
/** Milliseconds between two looks: a tenth of the time since the looking began, within these. */
const [MIN_LOOK_INTERVAL_MS, MAX_LOOK_INTERVAL_MS] = [10, 250];

/** What the flags say. */
export interface Options {
  /** Milliseconds to wait for the pidfile after the command has exited. */
  readonly waitMs: number;
}

/** A signal that came, and when, on the clock of performance.now(). */
interface Arrival {
  readonly signal: Deno.Signal;
  readonly at: number;
}

interface Exit {
  readonly code: number;
  readonly signal: Deno.Signal | null;
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
      const hasStopArrived = this.#arrived.some(({ signal }) => STOP_SIGNALS.includes(signal));
      if (now >= this.#overAt() && !hasStopArrived) return;
      await this.#wakeup.sleep(this.#nextLookAt(now) - now);
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
  }

  #noteExits(): void {
    for (const process of this.#daemons.takeExited()) {
      this.#pidfile.forget(process);
      if (process === this.#command) continue;
      this.#daemonExitedAt = this.#lookingSince = performance.now();
      if (this.#exit === undefined) {
        info(`${describe(process)} exited; ${describe(this.#command)}, the command, is running`);
      }
    }
  }

  #noteDaemon(seen: Sighting): void {
    if (seen.kind === "daemon" && isRunning(seen.process)) {
      this.#daemons.follow(seen.process);
      if (seen.process === this.#command) return;
      this.#lastDaemon = seen.process;
      if (this.#exit !== undefined) this.#isBackground = true;
      return;
    }
    if (seen.kind !== "daemon") this.#doubt = seen.reason;
    if (seen.kind === "exited" && seen.pid !== this.#command.pid) {
      if (this.#lastDaemon === undefined) this.#daemonExitedAt = performance.now();
      this.#lastDaemon ??= seen.pid;
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
    if (STOP_SIGNALS.includes(signal)) this.#stop = { signal, at: this.#stop?.at ?? at };
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
    const isMeant = [...STOP_SIGNALS, ...SUSPEND_SIGNALS].includes(signal);
    if (this.#exit === undefined && (isMeant || hasHandler(command, signal))) {
      if (this.#send(signal, command, `, the command: ${why}`) === "sent") return;
    }
    // 4. A daemon that is still to come.
    if (STOP_SIGNALS.includes(signal)) this.#isDaemonToBeAsked = true;
    info(`keeping ${signal} for the daemon: ${why}`);
    this.#kept.push(signal);
  }

  #send(signal: Deno.Signal, to: HeldProcess, note = ""): "sent" | "exited" | "denied" {
    const isStop = STOP_SIGNALS.includes(signal);
    if (isStop) {
      this.#asked.add(to);
      this.#isDaemonToBeAsked = to === this.#command;
    }
    const outcome = sendSignal(to, signal);
    if (outcome === "denied") error(`no permission to send ${signal} to ${describe(to)}`);
    if (outcome === "sent") info(`sent ${signal} to ${describe(to)}${note}`);
    // A stopped process acts on the request once it is continued.
    if (outcome === "sent" && isStop && isStopped(to)) this.#send("SIGCONT", to);
    return outcome;
  }

  /** Returns when nothing is left to wait for; Infinity while a process is running. */
  #overAt(): number {
    if (this.#exit === undefined || this.#daemons.current !== undefined) return Infinity;
    const { code, at } = this.#exit;
    const { waitMs } = this.#options;
    if (this.#isDaemonToBeAsked) return at + Math.max(STOP_WATCH_MS, waitMs);
    if (this.#lastDaemon !== undefined) return Math.max(at, this.#daemonExitedAt + HAND_OVER_MS);
    return code === 0 && this.#stop === undefined ? at + waitMs : at;
  }

  #nextLookAt(now: number): number {
    if (this.#arrived.length > 0) return now + MIN_LOOK_INTERVAL_MS;
    const overAt = this.#overAt();
    if (this.#daemons.current !== undefined) return overAt;
    const isAwaited = this.#exit !== undefined || this.#isDaemonToBeAsked || this.#kept.length > 0;
    const elapsed = now - this.#lookingSince;
    if (!isAwaited && elapsed > LOOK_FOR_MS) return overAt;
    const interval = Math.max(MIN_LOOK_INTERVAL_MS, Math.min(elapsed / 10, MAX_LOOK_INTERVAL_MS));
    return Math.min(overAt, now + interval);
  }

  /** Reports what could not be delivered, and why the exit status is not the command's. */
  finish(): number {
    for (const signal of [...this.#kept, ...this.#arrived.map(({ signal }) => signal)]) {
      error(`${signal} was not delivered: no daemon is running`);
    }
    const { code, signal } = this.#exit!;
    const { waitMs } = this.#options;
    const daemon = this.#lastDaemon;
    if (this.#stop !== undefined) {
      const isStopped = signal !== null && this.#asked.has(this.#command);
      return daemon !== undefined || isStopped ? 0 : code;
    }
    if (!this.#isBackground && !(code === 0 && waitMs > 0)) return code;
    const name = shellQuote(this.#path);
    if (daemon === undefined) {
      const after = formatDuration(waitMs);
      error(`the command exited and left no daemon within ${after}: ${this.#doubt}`);
    } else {
      const who = typeof daemon === "number" ? `process ${daemon}` : describe(daemon);
      error(`${name}: ${who} exited without being asked to`);
    }
    return 1;
  }
}
