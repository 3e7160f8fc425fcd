/** `sipid claim`: writes a PID into a pidfile unless a running process has it. */
import { command, type Definition, flag } from "../lib/cli/command.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { findRival, type Holder } from "../lib/process/identity.ts";
import { createDirectory, type PidfileState, withLock } from "../lib/pidfile/pidfile.ts";
import { describe, type Pid, type Process, startedAt } from "../lib/process/process.ts";
import { info } from "../lib/cli/output.ts";
import { untrustedOwnerReason } from "../lib/pidfile/trust.ts";
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
    1: "refused: a running process has the pidfile, or somebody locks it, or it cannot be written",
    2: "wrong usage",
  },
  examples: [
    "sipid claim --pid $$ --pid-file /var/vcap/sys/run/web/web.pid",
    "exec chpst -u vcap:vcap /var/vcap/packages/web/bin/web",
  ],
  async run({ pid, "pid-file": path, exec }) {
    // 1. The directory.
    createDirectory(path);
    // 2. The lock, held until the PID is written.
    await withLock(path, { create: true }, (file) => {
      // 3. A running process in the file is an obstacle, unless it is a stranger.
      const { state } = file;
      const holder = state.kind === "pid" ? findRival(state.pid, pid, exec) : NOBODY;
      if (holder.kind === "own") {
        throw new CommandError(obstacle(holder.process, path, state, pid));
      }
      // 4. Anything else is replaced, but in the hands of root or our own only.
      const doubt = untrustedOwnerReason(path, state);
      if (doubt !== undefined) throw new CommandError(doubt);
      file.write(pid);
      if (holder.kind === "stranger") {
        info(`${describe(holder.process)} is not ${exec}: took the pidfile ${path} over`);
      }
    });
    return 0;
  },
});

const NOBODY: Holder = { kind: "none" };

function obstacle(holder: Process, path: string, state: PidfileState, claimed: Pid): string {
  const named = `process ${holder.pid} (${path})`;
  const start = startedAt(holder);
  const facts = `${holder.program ?? "its program is hidden"}, ${runningSince(start)}`;
  if (holder.pid === claimed) {
    return `${named} is already in the pidfile: ${facts}; nothing is left to claim`;
  }
  return isRecycled(start, state)
    ? `${named} already exists: ${facts}; it started after the pidfile was written, so its PID was ` +
      "probably recycled: --exec PATH, with the path of your program, settles it"
    : `${named} already exists: ${facts}; stop it first: sipid kill --pid-file ${path}`;
}

/** Whether the process started after the pidfile was written; both are known to a second or so. */
function isRecycled(start: Date | undefined, state: PidfileState): boolean {
  const written = state.kind === "missing" ? undefined : state.stat.mtime;
  return start !== undefined && written !== undefined && start.getTime() > written + 2_000;
}

function runningSince(start: Date | undefined): string {
  if (start === undefined) return "running";
  const up = formatDuration(Math.floor((Date.now() - start.getTime()) / 1000) * 1000);
  return `running since ${start.toISOString().slice(0, 19)}Z (${up})`;
}
