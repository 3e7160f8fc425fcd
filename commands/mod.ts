/**
 * The table of commands. Only the file of the command that is called is loaded: a start script does
 * not wait for the code of the others.
 */
import type { Command, Definition, Entry } from "../lib/cli/command.ts";

/** The commands, in the order of the help. */
export const commands: readonly Entry[] = [
  entry(
    "claim",
    "Write a PID into a pidfile, unless a running process already has it",
    async () => (await import("./claim.ts")).claim,
  ),
  entry(
    "kill",
    "Stop the process named by a pidfile, with SIGTERM and at last with SIGKILL, and remove the " +
      "pidfile",
    async () => (await import("./kill.ts")).kill,
  ),
  entry(
    "signal",
    "Send one signal to the process named by a pidfile",
    async () => (await import("./signal.ts")).signal,
  ),
  entry(
    "wait-until-gone",
    "Wait until the process named by a pidfile has exited",
    async () => (await import("./wait_until_gone.ts")).waitUntilGone,
  ),
  entry(
    "status",
    "Report whether the process named by a pidfile is running",
    async () => (await import("./status.ts")).status,
  ),
  entry(
    "wait-until-healthy",
    "Wait until a service answers: poll a URL, a TCP port, a Unix socket or a command",
    async () => (await import("./wait_until_healthy.ts")).waitUntilHealthy,
  ),
  entry(
    "pidproxy",
    "Run COMMAND, forward signals to the daemon named by PID_FILE, and exit when both have exited",
    async () => (await import("./pidproxy.ts")).pidproxy,
  ),
  entry(
    "help",
    "Show the help of sipid or of one command",
    async () => (await import("./help.ts")).help,
  ),
  entry(
    "completions",
    "Print a shell's completion script for sipid",
    async () => (await import("./completions.ts")).completions,
  ),
];

function entry(name: string, summary: string, load: () => Promise<Definition>): Entry {
  return {
    name,
    summary,
    load: async (): Promise<Command> => ({ name, summary, ...await load() }),
  };
}
