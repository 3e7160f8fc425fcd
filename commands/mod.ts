/**
 * The table of commands. Their files are loaded when they are called: a start script waits for the
 * code of its own command alone.
 */
import type { Command, Declared } from "../lib/cli/args.ts";

/** A line of the table. */
export interface Entry extends Pick<Command, "name" | "purpose"> {
  /** The whole of it. */
  readonly load: () => Promise<Command>;
}

/** In the order of the help. */
export const commands: readonly Entry[] = [
  entry(
    "claim",
    "Write a PID into a pidfile, unless a running process has it already",
    async () => (await import("./claim.ts")).claim,
  ),
  entry(
    "kill",
    "Stop the process that a pidfile names, by SIGTERM and in the end by SIGKILL, and remove the " +
      "pidfile",
    async () => (await import("./kill.ts")).kill,
  ),
  entry(
    "status",
    "Tell whether the process that a pidfile names is running",
    async () => (await import("./status.ts")).status,
  ),
  entry(
    "wait-until-healthy",
    "Probe a URL until it answers with HTTP status 200",
    async () => (await import("./wait_until_healthy.ts")).waitUntilHealthy,
  ),
  entry(
    "pidproxy",
    "Run COMMAND, pass signals on to the process that PID_FILE names, and end when both have ended",
    async () => (await import("./pidproxy.ts")).pidproxy,
  ),
  entry(
    "help",
    "Show the help of sipid, or of one command",
    async () => (await import("./help.ts")).help,
  ),
  entry(
    "completions",
    "Print the script by which a shell completes the command line of sipid",
    async () => (await import("./completions.ts")).completions,
  ),
];

function entry(name: string, purpose: string, load: () => Promise<Declared>): Entry {
  return { name, purpose, load: async () => ({ name, purpose, ...await load() }) };
}

/** All commands, whole. */
export async function loadAll(): Promise<readonly Command[]> {
  return await Promise.all(commands.map(({ load }) => load()));
}
