/** `sipid kill`: stops the process a pidfile names, and removes the pidfile. */
import { command, type Definition, flag, flagSwitch, type Values } from "../lib/cli/command.ts";
import { info, writeStdout } from "../lib/cli/output.ts";
import { CommandError, UsageError } from "../lib/errors.ts";
import { LockedElsewhere } from "../lib/pidfile/lock.ts";
import {
  isUnchanged,
  judgePidfile,
  type PidfileState,
  readAndJudge,
  withLock,
} from "../lib/pidfile/pidfile.ts";
import { findTarget } from "../lib/pidfile/target.ts";
import { describe, type Process } from "../lib/process/process.ts";
import {
  formatSchedule,
  parseSchedule,
  SIGKILL_TIMEOUT_MS,
  type Step,
} from "../lib/process/schedule.ts";
import type { Verdict } from "../lib/process/verdict.ts";
import { printable, shellQuote } from "../lib/shell_quote.ts";
import { duration, execFlag, groupFlag, pidFileFlag, signalFlag } from "./flags.ts";

/** Milliseconds that a process gets to dump its stacks after SIGQUIT. */
const STACK_DUMP_TIMEOUT_MS = 1_000;
const DEFAULT_GRACE_PERIOD = "20s";

const flags = {
  "pid-file": pidFileFlag("the pidfile of the process to stop").required(),
  "exec": execFlag,
  "signal": signalFlag("what is sent first, instead of SIGTERM").optional(),
  "grace-period": flag(
    "DURATION",
    `how long the process has after the first signal (default ${DEFAULT_GRACE_PERIOD})`,
    duration,
  ).optional(),
  "show-stacks": flagSwitch(
    "after the grace period, before SIGKILL, send SIGQUIT for a stack dump",
  ),
  "schedule": flag(
    "SCHEDULE",
    "what is sent, and how long to wait after each signal (0s unless given, 5s after a last KILL), " +
      "such as INT/30s/QUIT/10s/KILL/5s; a bare number is seconds; without KILL the process is " +
      "never killed",
    parseSchedule,
  ).optional(),
  "group": groupFlag,
  "dry-run": flagSwitch("print what would be done; signal and change nothing"),
};

/** The command `kill`. */
export const kill: Definition = command({
  flags,
  statuses: {
    0: "no process of this pidfile is running",
    1: "refused or failed: no PID in the file, unclear whose it is, no permission, the process " +
      "survived, or another one has taken the pidfile over",
    2: "wrong usage",
  },
  examples: [
    "sipid kill --pid-file /var/vcap/sys/run/web/web.pid",
    "sipid kill --pid-file /run/unicorn.pid --group --schedule QUIT/30s/KILL/5s",
  ],
  run: (values) => {
    refuseReplaced(values);
    return killByPidfile(values);
  },
});

/** Returns the schedule that the flags make without `--schedule`. */
function stepsOf(values: Values<typeof flags>): readonly Step[] {
  const { signal = "SIGTERM", "grace-period": grace, "show-stacks": showStacks } = values;
  const kill: Step = { signal: "SIGKILL", waitMs: SIGKILL_TIMEOUT_MS };
  return [
    { signal, waitMs: grace ?? duration(DEFAULT_GRACE_PERIOD) },
    ...(showStacks ? [{ signal: "SIGQUIT", waitMs: STACK_DUMP_TIMEOUT_MS } as const] : []),
    ...(signal === "SIGKILL" && !showStacks ? [] : [kill]),
  ];
}

/** Refuses the flags that `--schedule` replaces. */
function refuseReplaced(values: Values<typeof flags>): void {
  const others = [
    ...(values.signal === undefined ? [] : ["--signal"]),
    ...(values["grace-period"] === undefined ? [] : ["--grace-period"]),
    ...(values["show-stacks"] ? ["--show-stacks"] : []),
  ];
  if (values.schedule === undefined || others.length === 0) return;
  throw new UsageError(
    `--schedule replaces ${others.join(", ")}; the schedule of these is ` +
      formatSchedule(stepsOf(values)),
  );
}

async function killByPidfile(values: Values<typeof flags>): Promise<number> {
  const { "pid-file": path, exec, group, "dry-run": isDryRun, quiet } = values;
  const name = shellQuote(path);
  const plan = (text: string): void => quiet ? undefined : writeStdout(`${printable(text)}\n`);

  // 1. Find the process, and refuse what must not be signalled.
  using found = await findTarget(path, exec, group);

  // 2. Without a process of its own the pidfile is stale.
  if (found.kind === "nothing") {
    if (found.state.kind === "missing") {
      info(`${name}: does not exist; nothing to kill`);
    } else if (isDryRun) {
      plan(`${name}: ${found.fact}; would remove the stale pidfile`);
    } else {
      const outcome = await remove(path, found.state, found.fact, exec);
      // Written at the last moment: there is a process after all.
      if (outcome === "changed") return await killByPidfile(values);
    }
    return 0;
  }
  if (found.warning !== undefined) info(`warning: ${found.warning}`);
  const steps = values.schedule ?? stepsOf(values);
  const { planOf, stop } = await import("../lib/pidfile/live.ts");
  if (isDryRun) {
    planOf(found, steps, path).forEach(plan);
    return 0;
  }

  // 3. Run the schedule.
  await stop(found, steps, path);

  // 4. Remove the pidfile, unless another process has it by now.
  const outcome = await remove(path, found.state, undefined, exec);
  if (outcome === "changed" || outcome === undefined) await refuseSuccessor(path, exec);
  return 0;
}

/**
 * Removes the pidfile, unless it has changed, and reports what became of it.
 *
 * @param fact what makes it stale, for the message; undefined if that was reported already
 * @throws {CommandError} it cannot be removed; or nothing was signalled, and it stays locked
 */
async function remove(
  path: string,
  found: PidfileState,
  fact: string | undefined,
  exec: string | undefined,
): Promise<"removed" | "changed" | undefined> {
  const name = shellQuote(path);
  const prefix = fact === undefined ? "" : `${name}: ${fact}; `;
  const outcome = await removeLocked(path, found, exec);
  if (outcome instanceof LockedElsewhere) {
    // A service may be starting that writes its PID under the lock.
    if (fact !== undefined) {
      throw new CommandError(`${prefix}nothing was signalled: ${outcome.message}`);
    }
    info(`kept ${name}: ${outcome.fact}; a later claim or kill replaces it`);
    return undefined;
  }
  switch (outcome) {
    case "removed":
    case "emptied":
      info(fact === undefined ? `${outcome} ${name}` : `${prefix}${outcome} the stale pidfile`);
      return "removed";
    case "rewritten":
    case "truncated": {
      const change = outcome === "rewritten" ? "written again" : "emptied";
      info(`${prefix}kept ${name}, which was ${change} meanwhile`);
      return "changed";
    }
    case undefined:
      if (fact !== undefined) info(`${prefix}it no longer exists`);
      return undefined;
  }
}

/**
 * Removes the pidfile under its lock, if it is still what was found, or again without a process of
 * its own.
 *
 * @returns what became of it; undefined if it no longer exists
 */
async function removeLocked(
  path: string,
  found: PidfileState,
  exec: string | undefined,
): Promise<"removed" | "emptied" | "rewritten" | "truncated" | LockedElsewhere | undefined> {
  try {
    return await withLock(path, { create: false }, (file) => {
      const isStale = isUnchanged(file.state, found) ||
        (file.state.kind === "pid" && judgePidfile(file.state, exec).kind === "none");
      if (isStale) return file.remove();
      // By a daemon that may not remove it, or by one that is about to write it.
      return file.state.kind === "empty" ? "truncated" : "rewritten";
    });
  } catch (error) {
    if (!(error instanceof LockedElsewhere)) throw error;
    // A daemon with pidfile(3) writes its PID under a lock that it keeps.
    const { state, verdict } = await readAndJudge(path, exec);
    if (state.kind === "missing") return undefined;
    return mayRun(verdict) ? "rewritten" : error;
  }
}

function mayRun(verdict: Verdict): verdict is Verdict & { readonly process: Process } {
  return verdict.kind === "own" || verdict.kind === "unclear";
}

/** Fails if another process has taken the pidfile over, as in a hand-over on SIGTERM. */
async function refuseSuccessor(path: string, exec: string | undefined): Promise<void> {
  const { verdict } = await readAndJudge(path, exec);
  if (!mayRun(verdict)) return;
  throw new CommandError(
    `${shellQuote(path)}: ${describe(verdict.process)} has taken it over, is running, and was ` +
      "not signalled; run the same command again to stop it",
  );
}
