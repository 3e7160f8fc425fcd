/** `sipid claim`: writes a PID into a pidfile unless a running process has it. */
import { command, flag } from "../lib/cli.ts";
import { formatDuration } from "../lib/duration.ts";
import { Refusal } from "../lib/errors.ts";
import { type Content, createDirectory, withLock } from "../lib/pidfile.ts";
import { findProcess, type Pid, type Process, startedAt } from "../lib/process.ts";
import { distrustOwner } from "../lib/trust.ts";
import { pid, pidFileFlag } from "./flags.ts";

const flags = {
  "pid": flag("PID", "the PID to write, $$ in a script", pid).required(),
  "pid-file": pidFileFlag("the pidfile; its directory is created").required(),
};

export const claim = command({
  name: "claim",
  purpose: "Write a PID into a pidfile, unless a running process has it already",
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
  async run({ pid, "pid-file": path }) {
    // 1. The directory.
    await createDirectory(path);
    // 2. The lock, held until the PID is written.
    await withLock(path, { create: true }, (file) => {
      // 3. A running process in the file is an obstacle.
      const holder = holderOf(file.look);
      if (holder !== undefined) throw new Refusal(obstacle(holder, path, pid));
      // 4. Anything else is replaced, but in the hands of root or our own only.
      const doubt = distrustOwner(path, file.look);
      if (doubt !== undefined) throw new Refusal(doubt);
      file.write(pid);
    });
    return 0;
  },
});

function holderOf(content: Content): Process | undefined {
  return content.kind === "pid" ? findProcess(content.pid) : undefined;
}

function obstacle(holder: Process, path: string, claimed: Pid): string {
  const named = `process ${holder.pid} (${path})`;
  const facts = [
    holder.program ?? "its program is hidden",
    runningSince(holder),
  ].join(", ");
  return holder.pid === claimed
    ? `${named} is already in the pidfile: ${facts}; nothing is left to claim`
    : `${named} already exists: ${facts}; stop it first: sipid kill --pid-file ${path}`;
}

function runningSince(holder: Process): string {
  const start = startedAt(holder);
  if (start === undefined) return "running";
  const up = formatDuration(
    Math.floor((Date.now() - start.getTime()) / 1000) * 1000,
  );
  return `running since ${start.toISOString().slice(0, 19)}Z (${up})`;
}
