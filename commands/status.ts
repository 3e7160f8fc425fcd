/** `sipid status`: tells whether the process of a pidfile runs. Exit statuses after LSB. */
import { command, type Definition, flagSwitch } from "../lib/cli/command.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { findHolder } from "../lib/process/identity.ts";
import { readSettledPidfile } from "../lib/pidfile/pidfile.ts";
import { type Process, startedAt } from "../lib/process/process.ts";
import { info, writeStdout } from "../lib/cli/output.ts";
import { untrustedReason } from "../lib/pidfile/trust.ts";
import { execFlag, pidFileFlag } from "./flags.ts";

/** What was found out. `stopped`: there is no pidfile. */
type Status =
  | { readonly state: "running"; readonly process: Process }
  | { readonly state: "dead"; readonly pid: number | undefined }
  | { readonly state: "stopped" }
  | { readonly state: "unknown"; readonly reason: string };

/** Source: Linux Standard Base, Core Specification, Init Script Actions. */
const LSB = { running: 0, dead: 1, stopped: 3, unknown: 4 } as const;

/** The command `status`. */
export const status: Definition = command({
  flags: {
    "pid-file": pidFileFlag("the pidfile").required(),
    "exec": execFlag,
    "json": flagSwitch("print an object: pid, state, program, startedAt, uptimeSeconds, pidFile"),
  },
  statuses: {
    0: "it is running",
    1: "it is dead, but its pidfile remains",
    2: "wrong usage",
    3: "it is not running: there is no pidfile",
    4: "unknown: the pidfile cannot be read, or holds no PID",
  },
  examples: [
    "sipid status --pid-file /var/vcap/sys/run/web/web.pid",
    "sipid status --pid-file /run/web.pid --exec /usr/sbin/web --json",
  ],
  async run({ "pid-file": path, exec, json }) {
    const found = await find(path, exec);
    if (json && found.state === "unknown") info(found.reason);
    writeStdout(`${json ? JSON.stringify(toJson(found, path)) : inWords(found)}\n`);
    return LSB[found.state];
  },
});

async function find(path: string, exec: string | undefined): Promise<Status> {
  try {
    const found = await readSettledPidfile(path);
    if (found.kind === "missing") return { state: "stopped" };
    if (found.kind === "empty") return { state: "dead", pid: undefined };
    if (found.kind === "invalid") {
      return { state: "unknown", reason: `pidfile (${path}) does not contain a valid pid` };
    }
    const holder = findHolder(found.pid, exec);
    if (holder.kind !== "own") return { state: "dead", pid: found.pid };
    const doubt = untrustedReason(path, found, holder.process);
    if (doubt !== undefined) info(`warning: ${doubt}`);
    return { state: "running", process: holder.process };
  } catch (error) {
    if (error instanceof CommandError) return { state: "unknown", reason: error.message };
    throw error;
  }
}

function inWords(found: Status): string {
  switch (found.state) {
    case "running": {
      const { pid, program } = found.process;
      const seconds = uptimeOf(found.process);
      const up = seconds === undefined ? "" : `, up ${formatDuration(seconds * 1000)}`;
      return `running ${pid}${program === undefined ? "" : ` (${program})`}${up}`;
    }
    case "dead":
      return "dead, but its pidfile remains";
    case "stopped":
      return "not running";
    case "unknown":
      return `unknown: ${found.reason}`;
  }
}

function toJson(found: Status, pidFile: string): Record<string, unknown> {
  const process = found.state === "running" ? found.process : undefined;
  const pid = found.state === "dead" ? found.pid : process?.pid;
  const start = process === undefined ? undefined : startedAt(process);
  return {
    pid: pid ?? null,
    state: found.state,
    program: process?.program ?? null,
    startedAt: start?.toISOString() ?? null,
    uptimeSeconds: process === undefined ? null : uptimeOf(process) ?? null,
    pidFile,
  };
}

/** Whole seconds since it started. */
function uptimeOf(process: Process): number | undefined {
  const start = startedAt(process);
  return start === undefined ? undefined : Math.floor((Date.now() - start.getTime()) / 1000);
}
