/**
 * Stopping by a schedule: signals, each followed by a time to wait for the exit, sent to a process
 * or a process group until it no longer runs.
 */
import { formatDuration, parseDuration } from "../duration.ts";
import { UsageError } from "../errors.ts";
import { parseSignal, shortName } from "../signal_names.ts";
import { isRunning, isStopped, type Process } from "./process.ts";
import { sendSignal } from "./signals.ts";
import { waitForExit } from "./wait_for_exit.ts";

/** One signal, and how long to wait for the exit afterwards. */
export interface Step {
  /** What is sent. */
  readonly signal: Deno.Signal;
  /** Milliseconds; 0 checks once. */
  readonly waitMs: number;
}

/**
 * What became of a signal. `unclear`: it was not sent, because the process group can no longer be
 * told from a later one with the same number.
 */
export type Outcome = "sent" | "exited" | "denied" | "unclear";

/** What a schedule stops: a process, or all processes of a group. */
export interface Target {
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

/** Milliseconds that the kernel gets to terminate a process after a SIGKILL without a wait. */
export const SIGKILL_TIMEOUT_MS = 5_000;

/** Returns one process as the target of a schedule. Hold it as long as the schedule runs. */
export function processTarget(process: Process): Target {
  return {
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
  for (const [index, { signal, waitMs }] of steps.entries()) {
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

/**
 * Parses a schedule such as `INT/30s/QUIT/10s/KILL/5s`: signals, each followed by a duration or not;
 * a bare number is seconds, as in start-stop-daemon. A last SIGKILL without one gets 5 s, since the
 * kernel takes a moment.
 *
 * @throws {UsageError} it is not a schedule
 */
export function parseSchedule(text: string): readonly Step[] {
  const steps: Step[] = [];
  let hasWait = true;
  for (const item of text.split("/")) {
    // A dash makes a signal of a number, as in start-stop-daemon: -9.
    const waitMs = /^[\d.]/.test(item) ? parseWait(item) : undefined;
    if (waitMs !== undefined) {
      const step = steps.pop();
      if (step === undefined) {
        throw new UsageError("expected a signal first, as in TERM/20s/KILL/5s");
      }
      if (hasWait) {
        throw new UsageError(`expected a signal after ${shortName(step.signal)}, not "${item}"`);
      }
      steps.push({ ...step, waitMs });
      hasWait = true;
    } else {
      steps.push({ signal: parseSent(item), waitMs: 0 });
      hasWait = false;
    }
  }
  const last = steps.at(-1)!;
  if (!hasWait && last.signal === "SIGKILL") {
    steps[steps.length - 1] = { ...last, waitMs: SIGKILL_TIMEOUT_MS };
  }
  return steps;
}

function parseWait(text: string): number {
  const waitMs = parseDuration(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
  if (typeof waitMs === "string") throw new UsageError(`"${text}": ${waitMs}`);
  return waitMs;
}

function parseSent(text: string): Deno.Signal {
  try {
    return parseSignal(text.replace(/^-/, ""));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`"${text}": ${error.message}`, error.typo);
  }
}

/** Writes a schedule as `parseSchedule` reads it. */
export function formatSchedule(steps: readonly Step[]): string {
  return steps.map(({ signal, waitMs }) => `${shortName(signal)}/${formatDuration(waitMs)}`)
    .join("/");
}
