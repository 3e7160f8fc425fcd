/**
 * `sipid pidproxy`: runs a command and passes signals on to the daemon that its pidfile names.
 * After the manual page of Supervisor's pidproxy.
 */
import { delay } from "@std/async/delay";
import { start } from "../lib/process/child.ts";
import { command, type Definition, flag } from "../lib/cli/command.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { isUnchanged, type PidfileState, readPidfile } from "../lib/pidfile/pidfile.ts";
import { describe, findProcess, isRunning, type Process } from "../lib/process/process.ts";
import type { Pid } from "../lib/process/pid.ts";
import { catchSignals, sendSignal } from "../lib/process/signals.ts";
import { judgePidfile } from "../lib/pidfile/pidfile.ts";
import { explain } from "../lib/process/identity.ts";
import { error, info } from "../lib/cli/output.ts";
import { findDistrust } from "../lib/pidfile/trust.ts";
import { duration } from "./flags.ts";

/** Those that ask the daemon to end. */
const STOP_SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGQUIT"];
const FORWARDED: readonly Deno.Signal[] = [
  ...STOP_SIGNALS,
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
  "SIGWINCH",
  "SIGALRM",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGIO",
];

/** Milliseconds between two looks after a request to end, and for how long the end is expected. */
const LIVELY = 10;
const LIVELY_FOR = 60_000;
/**
 * Milliseconds between two looks when there is nothing to expect: a twentieth of the time since
 * something happened, within these two. A daemon that dies young is noticed soon; one that has run
 * for months is not looked at all the time.
 */
const [SOON, LATE] = [250, 5_000];

/** The command `pidproxy`. */
export const pidproxy: Definition = command({
  flags: {
    "wait": flag(
      "DURATION",
      "how long to wait for PID_FILE after COMMAND ended with status 0, or was asked to end",
      duration,
    ).or("0s"),
  },
  operands: { usage: "PID_FILE COMMAND [ARG ...]", min: 2 },
  statuses: {
    "0": "COMMAND's own; or the daemon ended after it was asked to",
    "1": "COMMAND's own; or the daemon ended by itself",
    "2": "COMMAND's own; or wrong usage",
    "126": "COMMAND cannot be run",
    "127": "COMMAND was not found",
    "128+N": "signal N ended COMMAND",
  },
  examples: [
    "sipid pidproxy /run/mysqld/mysqld.pid /usr/bin/mysqld_safe",
    "sipid pidproxy --wait 5s /run/nginx.pid nginx",
  ],
  run: ({ wait }, [path, name, ...args]) => new SignalForwarder(path!).run(wait, name!, args),
});

/** One run of the proxy. */
class SignalForwarder {
  readonly #path: string;
  /** The pidfile as it was before the command was started. */
  #before: PidfileState | undefined;
  /** Resolves when the signals so far were passed on, in the order they came. */
  #forwarding = Promise.resolve();
  /** The command, while it runs. */
  #command: Process | undefined;
  /** Signals that nobody was there to get. */
  #pending: Deno.Signal[] = [];
  /** A request to end that the command got, but no daemon. */
  #unheard: Deno.Signal | undefined;
  #stopRequested = false;
  /** When a daemon was found, or a signal came, on the clock of performance.now(). */
  #lastEvent = 0;
  /** Until when the end is expected, on the same clock. */
  #livelyUntil = 0;
  /** Ends the pause between two looks. */
  #wake = (): void => {};

  constructor(path: string) {
    this.#path = path;
    // 1. Signals are caught from here on; those that come now wait in #pending.
    catchSignals(FORWARDED, (signal) => {
      this.#forwarding = this.#forwarding.then(() => this.#forward(signal));
    });
  }

  /** @returns the exit status */
  async run(wait: number, name: string, args: readonly string[]): Promise<number> {
    // 2. What is there now is from an earlier run.
    this.#before = await tryReadPidfile(this.#path);
    // 3. The command.
    const child = start(name, args);
    this.#command = findProcess(child.pid as Pid);
    await this.#deliverPending();
    const { code } = await child.status;
    this.#command = undefined;

    // 4. The daemon, if the command put one in the background.
    let daemon: Process | Pid | undefined = await this.#findDaemon();
    // A command that got the request to end itself may have left one that is still to be asked.
    const isLeft = code === 0 || this.#unheard !== undefined;
    if (daemon === undefined && isLeft) daemon = await this.#waitForDaemon(wait, child.pid);
    if (daemon === undefined) return code;
    if (typeof daemon === "object") await this.#watch(daemon);
    if (this.#stopRequested) return 0;
    const who = typeof daemon === "object" ? describe(daemon) : `process ${daemon}`;
    error(`${who} of ${this.#path} ended without having been asked to`);
    return 1;
  }

  /** Passes a signal on: to the daemon, else to the command, else as soon as there is one. */
  async #forward(signal: Deno.Signal): Promise<void> {
    this.#lastEvent = performance.now();
    if (STOP_SIGNALS.includes(signal)) {
      this.#stopRequested = true;
      this.#livelyUntil = this.#lastEvent + LIVELY_FOR;
    }
    this.#wake();
    const daemon = await this.#daemonOrDoubt();
    if (typeof daemon !== "string" && this.#sent(daemon, signal)) {
      if (STOP_SIGNALS.includes(signal)) this.#unheard = undefined;
    } else if (this.#command !== undefined && this.#sent(this.#command, signal, whyNot(daemon))) {
      if (STOP_SIGNALS.includes(signal)) this.#awaitDaemonFor(signal);
    } else {
      this.#pending.push(signal);
    }
  }

  #sent(one: Process, signal: Deno.Signal, note = ""): boolean {
    const outcome = sendSignal(one, signal);
    if (outcome === "sent") info(`sent ${signal} to ${describe(one)}${note}`);
    if (outcome === "denied") error(`no permission to send ${signal} to ${describe(one)}`);
    return outcome === "sent";
  }

  async #deliverPending(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    for (const signal of pending) await this.#forward(signal);
  }

  /**
   * A command such as mysqld_safe ignores SIGTERM: when it was asked to end before its daemon had
   * written the pidfile, the daemon is asked as soon as it has.
   */
  async #awaitDaemonFor(signal: Deno.Signal): Promise<void> {
    const isFirst = this.#unheard === undefined;
    this.#unheard = signal;
    while (isFirst && this.#unheard !== undefined && this.#command !== undefined) {
      if (await this.#findDaemon() !== undefined) return;
      await delay(LIVELY);
    }
  }

  /** The daemon, which is asked to end if that was asked for when it was not there yet. */
  async #findDaemon(): Promise<Process | undefined> {
    const daemon = await this.#daemonOrDoubt();
    if (typeof daemon === "string") return undefined;
    const unheard = this.#unheard;
    this.#unheard = undefined;
    if (unheard !== undefined && daemon.pid !== this.#command?.pid) await this.#forward(unheard);
    await this.#deliverPending();
    return daemon;
  }

  /** The process the pidfile names, if it can be believed; else why not. */
  async #daemonOrDoubt(): Promise<Process | string> {
    try {
      const found = await readPidfile(this.#path);
      if (found.kind === "missing") return `there is no pidfile ${this.#path}`;
      if (!this.#isFresh(found)) {
        return `pidfile ${this.#path} is from before the command was started`;
      }
      if (found.kind !== "pid") return `pidfile (${this.#path}) does not contain a valid pid`;
      const verdict = judgePidfile(found, undefined);
      if (verdict.kind === "unclear") return explain(verdict);
      const daemon = verdict.kind === "own" ? verdict.process : undefined;
      if (daemon === undefined) return `process ${found.pid} (${this.#path}) does not run`;
      return findDistrust(this.#path, found, daemon)?.fact ?? daemon;
    } catch (error) {
      if (error instanceof CommandError) return error.message;
      throw error;
    }
  }

  /**
   * The daemon, when it has written the pidfile; its PID alone, when it is dead by then; undefined
   * when there is none in time. The command's own PID is no daemon's, it may still be replaced.
   */
  async #waitForDaemon(wait: number, command: number): Promise<Process | Pid | undefined> {
    if (wait === 0) return undefined;
    for (const end = performance.now() + wait; performance.now() < end;) {
      const daemon = await this.#findDaemon();
      if (daemon !== undefined) return daemon;
      const dead = await this.#freshPid();
      if (dead !== undefined && dead !== command && findProcess(dead) === undefined) return dead;
      await delay(LIVELY);
    }
    const doubt = await this.#daemonOrDoubt();
    error(`the command ended and left no daemon within ${formatDuration(wait)}: ${doubt}`);
    return undefined;
  }

  /** The PID that was written into the pidfile since the command was started. */
  async #freshPid(): Promise<Pid | undefined> {
    const found = await tryReadPidfile(this.#path);
    return found?.kind === "pid" && this.#isFresh(found) ? found.pid : undefined;
  }

  /** Whether the pidfile was written since the command was started, whatever the clocks say. */
  #isFresh(found: PidfileState): boolean {
    return this.#before === undefined || !isUnchanged(found, this.#before);
  }

  /** Returns when the daemon is gone, and no other has taken its place in the pidfile. */
  async #watch(daemon: Process): Promise<void> {
    for (let one: Process | undefined = daemon; one !== undefined;) {
      this.#lastEvent = performance.now();
      while (isRunning(one)) await this.#pause();
      // An upgrade, as of nginx by SIGUSR2, ends with another process in the same pidfile.
      one = await this.#findDaemon();
    }
  }

  /** Sleeps until it is time for the next look. Light, since it is done for months. */
  #pause(): Promise<void> {
    const now = performance.now();
    const calm = Math.min(LATE, Math.max(SOON, (now - this.#lastEvent) / 20));
    const ms = now < this.#livelyUntil ? LIVELY : calm;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Why a signal goes to the command. */
function whyNot(daemon: Process | string): string {
  const doubt = typeof daemon === "string" ? daemon : `${describe(daemon)} cannot be signalled`;
  return `, the command: ${doubt}`;
}

async function tryReadPidfile(path: string): Promise<PidfileState | undefined> {
  try {
    return await readPidfile(path);
  } catch (error) {
    if (error instanceof CommandError) return undefined; // what is wrong with it is told with a signal
    throw error;
  }
}
