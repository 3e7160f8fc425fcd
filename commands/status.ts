/** `sipid status`: reports whether the process of a pidfile is running, with LSB's statuses. */
import { command, type Definition, flagSwitch } from "../lib/cli/command.ts";
import { info, writeStdout } from "../lib/cli/output.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError, errnoOf, toCommandError } from "../lib/errors.ts";
import { invalidFact } from "../lib/pidfile/content.ts";
import { readAndJudge } from "../lib/pidfile/pidfile.ts";
import { findDistrust } from "../lib/pidfile/trust.ts";
import { explain } from "../lib/process/verdict.ts";
import { describe, type Process, startedAt } from "../lib/process/process.ts";
import { printable, shellQuote } from "../lib/shell_quote.ts";
import { execFlag, pidFileFlag } from "./flags.ts";

/** What was found. `stopped`: there is no pidfile. */
type Status =
  | { readonly state: "running"; readonly process: Process }
  | { readonly state: "dead"; readonly pid: number | undefined; readonly reason: string }
  | { readonly state: "stopped" }
  | { readonly state: "unknown"; readonly pid: number | undefined; readonly reason: string };

/** Source: Linux Standard Base, Core Specification, Init Script Actions. */
const LSB = { running: 0, dead: 1, stopped: 3, unknown: 4 } as const;

/** The command `status`. */
export const status: Definition = command({
  flags: {
    "pid-file": pidFileFlag("the pidfile").required(),
    "exec": execFlag,
    "json": flagSwitch(
      `print an object: pid, state (${Object.keys(LSB).join(", ")}), reason, program, startedAt, ` +
        "uptimeSeconds, pidFile",
    ),
  },
  statuses: {
    0: "running",
    1: "dead: the pidfile is stale",
    2: "wrong usage",
    3: "not running: there is no pidfile",
    4: "unknown: the pidfile cannot be read or does not contain a PID, or it is unclear whether " +
      "the process with its PID is its own",
  },
  examples: [
    "sipid status --pid-file /var/vcap/sys/run/web/web.pid",
    "sipid status --pid-file /run/web.pid --exec /usr/sbin/web --json",
  ],
  async run({ "pid-file": path, exec, json, quiet }) {
    const found = await find(path, exec);
    const text = json ? JSON.stringify(toJson(found, path)) : printable(inWords(found));
    if (!quiet) writeStdout(`${text}\n`);
    return LSB[found.state];
  },
});

async function find(path: string, exec: string | undefined): Promise<Status> {
  try {
    const { state, verdict } = await readAndJudge(path, exec);
    if (state.kind === "missing") return { state: "stopped" };
    const stale = `stale pidfile ${shellQuote(path)}`;
    if (state.kind === "empty") {
      return { state: "dead", pid: undefined, reason: `empty pidfile ${shellQuote(path)}` };
    }
    if (state.kind === "invalid") {
      const reason = `${shellQuote(path)}: ${invalidFact(state)}`;
      return { state: "unknown", pid: undefined, reason };
    }
    switch (verdict.kind) {
      case "none": {
        const reason = `process ${state.pid} is not running; ${stale}`;
        return { state: "dead", pid: state.pid, reason };
      }
      case "unrelated": {
        const reason = `${describe(verdict.process)} ${verdict.reason}; ${stale}`;
        return { state: "dead", pid: state.pid, reason };
      }
      case "unclear": {
        const reason = `${shellQuote(path)}: ${explain(verdict)}; ${verdict.hint}`;
        return { state: "unknown", pid: state.pid, reason };
      }
      case "own": {
        const distrust = findDistrust(path, state, verdict.process);
        if (distrust !== undefined) info(`warning: ${distrust.fact}; ${distrust.hint}`);
        return { state: "running", process: verdict.process };
      }
    }
  } catch (error) {
    // Also where a shortage keeps /proc from being read: 1 would mean that it is dead.
    if (!(error instanceof CommandError) && errnoOf(error) === undefined) throw error;
    const { message } = toCommandError(`cannot examine ${shellQuote(path)}`, error);
    return { state: "unknown", pid: undefined, reason: message };
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
    case "stopped":
      return "not running";
    default:
      return `${found.state}: ${found.reason}`;
  }
}

function toJson(found: Status, pidFile: string): Record<string, unknown> {
  const process = found.state === "running" ? found.process : undefined;
  const isRead = found.state === "dead" || found.state === "unknown";
  const start = process === undefined ? undefined : startedAt(process);
  return {
    pid: (isRead ? found.pid : process?.pid) ?? null,
    state: found.state,
    reason: isRead ? found.reason : null,
    program: process?.program ?? null,
    startedAt: start === undefined ? null : new Date(start).toISOString(),
    uptimeSeconds: process === undefined ? null : uptimeOf(process) ?? null,
    pidFile,
  };
}

/** Returns whole seconds since its start. */
function uptimeOf(process: Process): number | undefined {
  const start = startedAt(process);
  return start === undefined ? undefined : Math.max(0, Math.floor((Date.now() - start) / 1000));
}
