/** `sipid kill`: stops the process a pidfile names, and removes the pidfile. */
import { command, type Definition, flag, flagSwitch, type Values } from "../lib/cli/command.ts";
import { info } from "../lib/cli/output.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { LockedElsewhere } from "../lib/pidfile/lock.ts";
import { isUnchanged, judgePidfile, type PidfileState } from "../lib/pidfile/pidfile.ts";
import { readAndJudge, withLock } from "../lib/pidfile/pidfile.ts";
import { findDistrust } from "../lib/pidfile/trust.ts";
import { explain } from "../lib/process/identity.ts";
import { describe, holdProcess, isStopped, type Process, stateOf } from "../lib/process/process.ts";
import { sendSignal } from "../lib/process/signals.ts";
import { waitForExit } from "../lib/process/wait_for_exit.ts";
import { shellQuote } from "../lib/shell_quote.ts";
import { duration, execFlag, pidFileFlag } from "./flags.ts";

/** Milliseconds that a process gets to dump its stacks after SIGQUIT. */
const STACK_DUMP_TIMEOUT_MS = 1_000;
/** Milliseconds that the kernel gets to terminate a process after SIGKILL. */
const SIGKILL_TIMEOUT_MS = 5_000;

const flags = {
  "pid-file": pidFileFlag("the pidfile of the process to stop").required(),
  "exec": execFlag,
  "grace-period": flag(
    "DURATION",
    "how long the process has after SIGTERM",
    duration,
  ).or("20s"),
  "show-stacks": flagSwitch(
    "after the grace period, before SIGKILL, send SIGQUIT for a stack dump",
  ),
};

/** The command `kill`. */
export const kill: Definition = command({
  flags,
  statuses: {
    0: "no process of this pidfile is running",
    1: "refused or failed: no PID in the file, unclear whose it is, no permission, or the process " +
      "survived",
    2: "wrong usage",
  },
  examples: [
    "sipid kill --pid-file /var/vcap/sys/run/web/web.pid",
    "sipid kill --pid-file /run/web.pid --grace-period 1m --show-stacks",
  ],
  run: killByPidfile,
});

async function killByPidfile(values: Values<typeof flags>): Promise<number> {
  const { "pid-file": path, "grace-period": grace, "show-stacks": showStacks, exec } = values;
  const name = shellQuote(path);
  // 1. Read the PID, and decide whose it is.
  const { state, verdict } = await readAndJudge(path, exec);
  if (state.kind === "missing") {
    info(`${name}: does not exist; nothing to kill`);
    return 0;
  }
  if (state.kind === "invalid") {
    throw new CommandError(
      `${name}: does not contain a valid pid; nothing was signalled; ` +
        "inspect the file and remove it if its process has exited",
    );
  }
  if (verdict.kind === "unclear") {
    throw new CommandError(
      `${name}: ${explain(verdict)}; nothing was signalled; ${verdict.hint}`,
    );
  }

  // 2. Without a process of its own the pidfile is stale.
  if (verdict.kind !== "own") {
    const fact = verdict.kind === "unrelated"
      ? `${describe(verdict.process)} ${verdict.reason} and was not signalled`
      : state.kind === "empty"
      ? "is empty"
      : `process ${state.pid} is not running`;
    const outcome = await remove(path, state, fact, exec);
    // Written at the last moment: there is a process after all.
    return outcome === "changed" ? await killByPidfile(values) : 0;
  }
  const { process } = verdict;
  const distrust = findDistrust(path, state, process);
  if (distrust !== undefined) {
    throw new CommandError(
      `${distrust.fact}; ${describe(process)} was not signalled; ${distrust.hint}`,
    );
  }

  // 3. to 6. Stop the process.
  await stop(process, path, grace, showStacks);

  // 7. Remove the pidfile.
  await remove(path, state, undefined, exec);
  return 0;
}

/** Returns when the process has exited. */
async function stop(
  target: Process,
  path: string,
  grace: number,
  showStacks: boolean,
): Promise<void> {
  const begin = performance.now();
  const report = (what: string): void =>
    info(`${describe(target)} ${what} after ${formatDuration(performance.now() - begin)}`);
  using process = holdProcess(target);
  if (process === undefined) return report("exited");

  // 3. SIGTERM, and SIGCONT so that a stopped process can act on it.
  signal(process, "SIGTERM", path);
  if (isStopped(process)) signal(process, "SIGCONT", path);
  // 4. The grace period.
  if (await waitForExit(process, grace)) return report("exited");
  info(`${describe(process)} is still running after ${formatDuration(grace)}`);

  // 5. SIGQUIT for the stacks, then SIGKILL.
  if (showStacks) {
    signal(process, "SIGQUIT", path);
    if (await waitForExit(process, STACK_DUMP_TIMEOUT_MS)) return report("exited");
  }
  signal(process, "SIGKILL", path);
  // 6. Even SIGKILL takes a moment, and some processes never act on it.
  if (await waitForExit(process, SIGKILL_TIMEOUT_MS)) return report("was killed");
  throw new CommandError(
    `${describe(process)} survived SIGKILL: it is ${stateOf(process) ?? "in a hidden state"}; ` +
      `${shellQuote(path)} is kept, so that no second instance starts; ` +
      "fix what it waits for, then retry",
  );
}

function signal(to: Process, name: Deno.Signal, path: string): void {
  const outcome = sendSignal(to, name);
  if (outcome === "sent") info(`sent ${name} to ${describe(to)}`);
  if (outcome === "denied") {
    throw new CommandError(
      `no permission to send ${name} to ${describe(to)}; ${shellQuote(path)} is kept; ` +
        "run this as root, or as the user of that process",
    );
  }
}

/**
 * Removes the pidfile under its lock, if it is still what was found, or again without a process of
 * its own.
 *
 * @param fact what makes it stale, for the message; undefined if that was reported already
 */
async function remove(
  path: string,
  found: PidfileState,
  fact: string | undefined,
  exec: string | undefined,
): Promise<"removed" | "changed" | undefined> {
  const name = shellQuote(path);
  const prefix = fact === undefined ? "" : `${name}: ${fact}; `;
  try {
    const outcome = await withLock(path, { create: false }, (file) => {
      const isStale = isUnchanged(file.state, found) ||
        (file.state.kind === "pid" && judgePidfile(file.state, exec).kind === "none");
      if (!isStale) return "changed";
      file.remove();
      return "removed";
    });
    if (outcome === "removed") {
      info(fact === undefined ? `removed ${name}` : `${prefix}removed the stale pidfile`);
    } else if (outcome === "changed") {
      info(`${prefix}kept ${name}, which was written again meanwhile`);
    } else if (fact !== undefined) {
      info(`${prefix}it no longer exists`);
    }
    return outcome;
  } catch (error) {
    if (!(error instanceof LockedElsewhere)) throw error;
    info(`${prefix}kept ${name}: ${error.message}; the next claim will replace it`);
    return undefined;
  }
}
