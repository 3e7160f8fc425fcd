/**
 * Stopping by a schedule: its signals are sent to a process or a process group until it no longer
 * runs.
 */
import { preparePidfd } from "./pidfd.ts";
import { isRunning, isStopped, type Process } from "./process.ts";
import type { Step } from "./schedule.ts";
import { sendSignal } from "./signals.ts";
import { waitForExit } from "./wait_for_exit.ts";

/**
 * What became of a signal. `unclear`: it was not sent, because the process group can no longer be
 * distinguished from a later one with the same number.
 */
export type Outcome = "sent" | "exited" | "denied" | "unclear";

/** What a schedule stops: a process, or all processes of a group. */
export interface Target {
  /** Gets ready to wait until disposed, so that one which exits at once is not noticed late. */
  prepareWait?(): Disposable;
  /** Sends a signal, if it is still running. */
  send(signal: Deno.Signal): Outcome;
  /** Waits until it has exited, for at most `timeoutMs`; 0 checks once. */
  waitForExit(timeoutMs: number): Promise<boolean>;
  /** Returns whether a signal has stopped it, so that it acts on none but SIGCONT and SIGKILL. */
  isStopped(): boolean;
  /** Returns the processes of it that are running. */
  running(): readonly Process[];
}

/** How a schedule ended. */
export type Ending =
  /** It has exited. `last`: the last signal of the schedule that was sent, if any. */
  | { readonly kind: "exited"; readonly last: Deno.Signal | undefined }
  /** It is still running after the last wait. */
  | { readonly kind: "running" }
  /** This signal could not be sent, for the reason that `Outcome` gives. */
  | { readonly kind: "denied" | "unclear"; readonly signal: Deno.Signal };

/** Called as a schedule goes on. */
export interface Watcher {
  /** A signal is about to be sent. */
  readonly sending?: (signal: Deno.Signal) => void;
  /** A signal was sent: that of a step, or SIGCONT to a stopped process. */
  readonly sent?: (signal: Deno.Signal) => void;
  /** The wait of `steps[index]` begins; what this returns is disposed when it is over. */
  readonly waiting?: (index: number) => Disposable;
  /** The wait of `steps[index]` is over, and it is still running. */
  readonly stillRunning?: (index: number) => void;
}

/** Those after which a stopped process is not to be continued: it is dead, or meant to be stopped. */
const LEAVE_STOPPED: readonly Deno.Signal[] = [
  "SIGKILL",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
];

/** Returns one process as the target of a schedule. Hold it as long as the schedule runs. */
export function processTarget(process: Process): Target {
  return {
    prepareWait: preparePidfd,
    send: (signal) => sendSignal(process, signal),
    waitForExit: (timeoutMs) => waitForExit(process, timeoutMs),
    isStopped: () => isStopped(process),
    running: () => isRunning(process) ? [process] : [],
  };
}

/**
 * Sends each signal and waits, until the target has exited or the schedule ends. A stopped process
 * is continued, so that it can act on the signal.
 */
export async function runSchedule(
  target: Target,
  steps: readonly Step[],
  watcher: Watcher = {},
): Promise<Ending> {
  let last: Deno.Signal | undefined;
  using _ready = target.prepareWait?.();
  for (const [index, { signal, waitMs }] of steps.entries()) {
    watcher.sending?.(signal);
    const outcome = target.send(signal);
    if (outcome === "exited") return { kind: "exited", last };
    if (outcome !== "sent") return { kind: outcome, signal };
    last = signal;
    watcher.sent?.(signal);
    if (!LEAVE_STOPPED.includes(signal) && target.isStopped()) {
      if (target.send("SIGCONT") === "sent") watcher.sent?.("SIGCONT");
    }
    {
      using _wait = watcher.waiting?.(index);
      if (await target.waitForExit(waitMs)) return { kind: "exited", last };
    }
    watcher.stillRunning?.(index);
  }
  return { kind: "running" };
}
