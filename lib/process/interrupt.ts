/** The signals that end sipid itself, for a command that has something to clean up first. */
import { delay } from "@std/async/delay";
import { readProc } from "./proc.ts";

/** Those that a terminal, an init system or a person sends, and their numbers. */
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };
const SIGNALS = Object.keys(NUMBERS) as Interrupt[];

/** Milliseconds in which a signal to oneself arrives. */
const RAISE_TIMEOUT_MS = 500;

/** A signal that asks sipid to exit. */
export type Interrupt = "SIGHUP" | "SIGINT" | "SIGQUIT" | "SIGTERM";

/** sipid was asked to exit. */
export class Interrupted extends Error {
  /** Its name where it is printed. */
  override readonly name = "Interrupted";

  /** Remembers which signal it was. */
  constructor(readonly signal: Interrupt) {
    super(`interrupted by ${signal}`);
  }
}

/**
 * Calls `handle` with these signals, which no longer end this process, until it is disposed.
 * Signals that were ignored when the process started, as nohup(1) has it, stay ignored.
 */
export function onInterrupt(handle: (interrupted: Interrupted) => void): Disposable {
  const ignored = ignoredSignals();
  const listeners = SIGNALS.filter((signal) => !ignored(NUMBERS[signal])).map((signal) => {
    const listener = (): void => handle(new Interrupted(signal));
    Deno.addSignalListener(signal, listener);
    return { signal, listener };
  });
  keepIgnoring(SIGNALS.filter((signal) => ignored(NUMBERS[signal])));
  return {
    [Symbol.dispose](): void {
      for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}

/**
 * Deno 2.9 catches SIGHUP, SIGINT and SIGTERM too as soon as there is a listener of any signal, and
 * exits when one comes that has no listener. Where a signal is still ignored a listener would end
 * that, for the processes that are started from here as well.
 */
function keepIgnoring(signals: readonly Interrupt[]): void {
  if (signals.length === 0) return;
  const ignored = ignoredSignals();
  for (const signal of signals) {
    if (!ignored(NUMBERS[signal])) Deno.addSignalListener(signal, ignore);
  }
}

/** Does nothing, for as long as this process runs. */
function ignore(): void {}

/**
 * Ends this process with the signal, so that the caller sees what ended it: a shell stops a script
 * only if SIGINT killed its command.
 *
 * @returns the exit status that a shell shows for it, if the signal is blocked or comes late
 */
export async function raise(signal: Interrupt): Promise<number> {
  Deno.kill(Deno.pid, signal);
  await delay(RAISE_TIMEOUT_MS);
  return 128 + NUMBERS[signal];
}

/** Returns which signals this process ignores, by their numbers. */
export function ignoredSignals(): (number: number) => boolean {
  const [, hex = "0"] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readProc("self/status") ?? "") ?? [];
  const mask = BigInt(`0x${hex}`);
  return (number) => (mask >> BigInt(number - 1) & 1n) === 1n;
}
