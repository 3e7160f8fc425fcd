/** Sending and catching signals. Source: kill(2), signal(7). */
import { errnoOf, isDenied } from "../errors.ts";
import { signalNumber } from "../signal_names.ts";
import { readProc } from "./proc.ts";
import { isRunning, type Process } from "./process.ts";
import { unblockSignals } from "./signal_mask.ts";

/**
 * Sends a signal to this process and to no other.
 *
 * @returns `exited` if it is no longer running, `denied` if this user may not signal it
 */
export function sendSignal(to: Process, signal: Deno.Signal): "sent" | "exited" | "denied" {
  if (!isRunning(to)) return "exited";
  try {
    Deno.kill(to.pid, signal);
    return "sent";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "exited";
    if (isDenied(error)) return "denied";
    throw error;
  }
}

/** Returns whether this user may signal a process; sends nothing. */
export function maySignal({ pid }: Process): boolean {
  try {
    // Deno.kill has no signal 0.
    // deno-lint-ignore no-process-global -- an import would cost every start a tenth of its time
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (isDenied(error)) return false;
    if (errnoOf(error) === "ESRCH") return true;
    throw error;
  }
}

/**
 * Calls `handle` for each of these signals, also where a parent had blocked it; none of them
 * terminates or stops this program then.
 */
export function catchSignals(
  signals: readonly Deno.Signal[],
  handle: (signal: Deno.Signal) => void,
): void {
  for (const signal of signals) Deno.addSignalListener(signal, () => handle(signal));
  unblockSignals();
}

/** Returns whether a process has a handler for a signal; false if /proc hides that. */
export function hasHandler(process: Process, signal: Deno.Signal): boolean {
  return isInMask("SigCgt", process, signal);
}

/** Returns whether a process ignores a signal; false if /proc hides that. */
export function ignores(process: Process, signal: Deno.Signal): boolean {
  return isInMask("SigIgn", process, signal);
}

function isInMask(mask: string, { directory }: Process, signal: Deno.Signal): boolean {
  const status = (directory && readProc(`${directory}/status`)) ?? "";
  const bits = new RegExp(`^${mask}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0";
  return (BigInt(`0x${bits}`) >> BigInt(signalNumber(signal) - 1) & 1n) === 1n;
}

/** Stops this program until it gets SIGCONT. */
export function stopSelf(): void {
  Deno.kill(Deno.pid, "SIGSTOP");
}
