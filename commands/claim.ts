/** `sipid claim`: writes a PID into a pidfile unless a running process has it. */
import { command, type Definition, flag } from "../lib/cli/command.ts";
import { info } from "../lib/cli/output.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import {
  type ExistingPidfile,
  judgePidfile,
  type LockedPidfile,
  withLock,
} from "../lib/pidfile/pidfile.ts";
import { findDistrust, isRootsAlone, untrustedOwnerReason } from "../lib/pidfile/trust.ts";
import type { Written } from "../lib/pidfile/write.ts";
import type { Verdict } from "../lib/process/verdict.ts";
import type { Pid } from "../lib/process/pid.ts";
import { describe, findProcess, type Process, startedAt } from "../lib/process/process.ts";
import { shellQuote } from "../lib/shell_quote.ts";
import { userName } from "../lib/users.ts";
import { execFlag, pid, pidFileFlag } from "./flags.ts";

const flags = {
  "pid": flag("PID", "the PID to write, $$ in a script", pid).required(),
  "pid-file": pidFileFlag("the pidfile; its directory is created").required(),
  "exec": execFlag,
};

/** The command `claim`. */
export const claim: Definition = command({
  flags,
  statuses: {
    0: "the pidfile names PID",
    1: "refused: a running process has the pidfile, another process locks it, or it cannot be " +
      "written",
    2: "wrong usage",
  },
  examples: [
    "sipid claim --pid $$ --pid-file /var/vcap/sys/run/web/web.pid || exit 1",
    "exec chpst -u vcap:vcap /var/vcap/packages/web/bin/web",
  ],
  async run({ pid, "pid-file": path, exec }) {
    // Before anything that may take long: another process could have got the PID afterwards.
    const process = findProcess(pid);
    // Another user's stale pidfile gives way to a new one; once, because they can put one there again.
    const isDone = await claimPidfile(path, pid, process, exec, { mayRemove: true });
    if (!isDone) await claimPidfile(path, pid, process, exec, { mayRemove: false });
    return 0;
  },
});

/** Returns whether it was claimed; otherwise the pidfile was another user's, and was removed. */
async function claimPidfile(
  path: string,
  pid: Pid,
  process: Process | undefined,
  exec: string | undefined,
  { mayRemove }: { mayRemove: boolean },
): Promise<boolean> {
  // 1. Create the pidfile and its directory, and lock it until the PID is written.
  const isDone = await withLock(path, { create: true }, (file) => {
    // 2. Refuse if a running process has it, or may have it.
    const verdict = judgePidfile(file.state, exec);
    const conflict = findConflict(path, verdict, pid, exec);
    if (conflict !== undefined) throw new CommandError(conflict);
    // 3. Refuse to overwrite what is not a pidfile, or is another user's.
    const foreign = foreignContentReason(path, file.state);
    if (foreign !== undefined) throw new CommandError(foreign);
    const objection = untrustedOwnerReason(path, file.state) ?? unwritableReason(path, file);
    if (objection !== undefined) {
      if (!mayRemove) throw new CommandError(objection);
      file.unlink();
      info(`${shellQuote(path)}: was stale and owned by ${userName(file.state.stat.uid)}; removed`);
      return false;
    }
    // 4. Write the PID, and record which process has it.
    const written = file.write(pid, process);
    if (verdict.kind === "unrelated") {
      info(
        `${shellQuote(path)}: was stale (${describe(verdict.process)} ${verdict.reason}); ` +
          `claimed for process ${pid}`,
      );
    }
    // 5. Warn of what a later kill depends on.
    warningsOf(path, pid, written).forEach((warning) => info(`warning: ${warning}`));
    return true;
  });
  return isDone === true;
}

function unwritableReason(path: string, { isWritable }: LockedPidfile): string | undefined {
  return isWritable ? undefined : `cannot write ${shellQuote(path)}: permission denied; remove it`;
}

/** Returns why the claim conflicts with the process in the pidfile; undefined if it does not. */
function findConflict(
  path: string,
  verdict: Verdict,
  claimed: Pid,
  exec: string | undefined,
): string | undefined {
  if (verdict.kind === "none" || verdict.kind === "unrelated") return undefined;
  const { process } = verdict;
  const isItself = process.pid === claimed;
  // A process that came after the pidfile was written is claiming it for the first time, as PID 1
  // of a restarted container does; or for the second, and then nothing changes.
  if (isItself && verdict.kind === "unclear" && verdict.isNewcomer) return undefined;
  const named = `process ${process.pid} (${shellQuote(path)})`;
  if (verdict.kind === "unclear" && verdict.isElsewhere) {
    return `${named} already exists: ${verdict.reason}; ${verdict.hint}`;
  }
  const facts = `${process.program ?? "its program is hidden"}, ${runningSince(process)}`;
  if (isItself && verdict.kind === "own") {
    return `${named} is already in the pidfile: ${facts}; there is nothing to claim`;
  }
  const option = exec === undefined ? "" : ` --exec ${shellQuote(exec)}`;
  const stop = process.pid === 1
    ? "remove the pidfile if it is from another machine or container"
    : `stop it first: sipid kill --pid-file ${shellQuote(path)}${option}`;
  return verdict.kind === "own"
    ? `${named} already exists: ${facts}; ${stop}`
    : `${named} already exists: ${facts}; but ${verdict.reason}; ${verdict.hint}`;
}

function runningSince(process: Process): string {
  const start = startedAt(process);
  if (start === undefined) return "running";
  const up = formatDuration(Math.max(0, Math.floor((Date.now() - start) / 1000)) * 1000);
  return `running since ${new Date(start).toISOString().slice(0, 19)}Z (${up})`;
}

/** Returns why a kill might not find the process, or refuse to signal it. */
function warningsOf(
  path: string,
  pid: Pid,
  { state, process, recordError }: Written,
): readonly string[] {
  if (process === undefined) {
    return [
      `${
        shellQuote(path)
      }: process ${pid} is not running; claim the PID of one that is, such as $$`,
    ];
  }
  const warnings = recordError === undefined
    ? []
    : [`${shellQuote(path)}: has no claim record, so start times decide later: ${recordError}`];
  // PID 1 claims in every container, and is stopped with it.
  if (pid === 1 || isRootsAlone(state)) return warnings;
  const distrust = findDistrust(path, state, process);
  return distrust === undefined
    ? warnings
    : [...warnings, `${distrust.fact}, so kill will not signal it; ${distrust.hint}`];
}

/** Returns why the content must be kept; undefined if it may be replaced. */
function foreignContentReason(path: string, state: ExistingPidfile): string | undefined {
  if (state.kind === "empty" || state.foreign === undefined) return undefined;
  return `${shellQuote(path)}: is not a pidfile: it begins with ${JSON.stringify(state.foreign)} ` +
    `(${state.stat.size} bytes); use another path, or remove it`;
}
