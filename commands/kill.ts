/** `sipid kill`: stops the process a pidfile names, and removes the pidfile. */
import { command, type Definition, flag, flagSwitch, type Values } from "../lib/cli/command.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { waitForExit } from "../lib/process/wait_for_exit.ts";
import { findHolderSettled } from "../lib/process/identity.ts";
import {
  isUnchanged,
  LockedElsewhere,
  type PidfileState,
  readSettledPidfile,
  withLock,
} from "../lib/pidfile/pidfile.ts";
import {
  describe,
  findProcess,
  isStopped,
  type Process,
  send,
  stateOf,
} from "../lib/process/process.ts";
import { info } from "../lib/cli/output.ts";
import { untrustedReason } from "../lib/pidfile/trust.ts";
import { duration, execFlag, pidFileFlag } from "./flags.ts";

/** Milliseconds that a process is given to dump its stacks after SIGQUIT. */
const STACK_DUMP_TIMEOUT_MS = 1_000;
/** Milliseconds that the kernel is given to end a process after SIGKILL. */
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
    0: "no process of this pidfile runs any more",
    1: "refused or failed: the file holds no PID, no permission, the process survived",
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
  // 1. The PID.
  const found = await readSettledPidfile(path);
  if (found.kind === "missing") {
    info(`there is no pidfile ${path}: nothing to kill`);
    return 0;
  }
  if (found.kind === "invalid") {
    throw new CommandError(
      `pidfile (${path}) does not contain a valid pid; nothing was signalled and the file is kept: ` +
        "look into it, and remove it if its process is gone",
    );
  }

  // 2. A file without a running process of its own is stale.
  if (found.kind === "empty") {
    const outcome = await remove(path, found, `pidfile ${path} is empty`);
    // Written at the last moment: there is a process after all.
    return outcome === "changed" ? await killByPidfile(values) : 0;
  }
  const holder = await findHolderSettled(found.pid, exec);
  if (holder.kind !== "own") {
    const fact = holder.kind === "stranger"
      ? `${describe(holder.process)} is not ${exec} and was left alone`
      : `process ${found.pid} does not run`;
    await remove(path, found, fact);
    return 0;
  }
  const doubt = untrustedReason(path, found, holder.process);
  if (doubt !== undefined) {
    throw new CommandError(`${doubt}; ${describe(holder.process)} was not signalled`);
  }

  // 3. to 6. The process.
  await stop(holder.process, path, grace, showStacks);

  // 7. The file.
  await remove(path, found);
  return 0;
}

/** Ends the process; returns when it is gone. */
async function stop(
  one: Process,
  path: string,
  grace: number,
  showStacks: boolean,
): Promise<void> {
  const begin = performance.now();
  const exited = (): void =>
    info(
      `${describe(one)} exited after ${formatDuration(performance.now() - begin)}`,
    );

  // 3. SIGTERM, and SIGCONT so that a stopped process can act on it.
  signal(one, "SIGTERM", path);
  if (isStopped(one)) signal(one, "SIGCONT", path);
  // 4. The grace period.
  if (await waitForExit(one, grace)) return exited();
  info(
    `${describe(one)} still runs after the grace period of ${formatDuration(grace)}`,
  );

  // 5. SIGQUIT for the stacks, then SIGKILL.
  if (showStacks) {
    signal(one, "SIGQUIT", path);
    if (await waitForExit(one, STACK_DUMP_TIMEOUT_MS)) return exited();
  }
  signal(one, "SIGKILL", path);
  // 6. Not even SIGKILL ends a process at once, and some never.
  if (await waitForExit(one, SIGKILL_TIMEOUT_MS)) return exited();
  throw new CommandError(
    `${describe(one)} survived SIGKILL; it is ${stateOf(one) ?? "in a state that is hidden"}; ` +
      `${path} is kept, so that no second one starts beside it: ` +
      "mend what it waits for, then kill again",
  );
}

function signal(one: Process, name: Deno.Signal, path: string): void {
  const outcome = send(one, name);
  if (outcome === "sent") info(`sent ${name} to ${describe(one)}`);
  if (outcome === "denied") {
    throw new CommandError(
      `no permission to send ${name} to ${describe(one)}; ${path} is kept: ` +
        "run it as root, or as the user of that process",
    );
  }
}

/**
 * Removes the pidfile under its lock, if it still is what was found and stands for no process.
 *
 * @param fact what makes it stale, for the message; undefined where that was told already
 */
async function remove(
  path: string,
  found: PidfileState,
  fact?: string,
): Promise<"removed" | "changed" | undefined> {
  const because = fact === undefined ? "" : `${fact}: `;
  try {
    const outcome = await withLock(path, { create: false }, (file) => {
      if (!isStillStale(file.state, found)) return "changed";
      file.remove();
      return "removed";
    });
    if (outcome === "removed") {
      info(
        `${because}removed ${fact === undefined ? "" : "the stale pidfile "}${path}`,
      );
    } else if (outcome === "changed") {
      info(`${because}left ${path}, which was written anew meanwhile`);
    } else if (fact !== undefined) {
      info(`${because}${path} is gone already`);
    }
    return outcome;
  } catch (error) {
    if (!(error instanceof LockedElsewhere)) throw error;
    info(
      `${because}left ${path}: ${error.message}; the next claim will see that it is stale`,
    );
    return undefined;
  }
}

/**
 * The same PID again may be another claim, of another process that got the number: then the file
 * was written since, and a process runs.
 */
function isStillStale(now: PidfileState, found: PidfileState): boolean {
  if (isUnchanged(now, found)) return true;
  return now.kind === "pid" && found.kind === "pid" && now.pid === found.pid &&
    findProcess(now.pid) === undefined;
}
