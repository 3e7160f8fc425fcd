/** `sipid signal`: sends one signal to the process a pidfile names. */
import { command, type Definition, flagSwitch } from "../lib/cli/command.ts";
import { info } from "../lib/cli/output.ts";
import { CommandError } from "../lib/errors.ts";
import { notSent } from "../lib/pidfile/signallable.ts";
import { findTarget } from "../lib/pidfile/target.ts";
import { shellQuote } from "../lib/shell_quote.ts";
import { execFlag, groupFlag, pidFileFlag, signalFlag } from "./flags.ts";

/** The command `signal`. */
export const signal: Definition = command({
  flags: {
    "pid-file": pidFileFlag("the pidfile of the process to signal").required(),
    "signal": signalFlag("what is sent: a name such as HUP, or a number").required(),
    "exec": execFlag,
    "group": groupFlag,
    "if-running": flagSwitch("succeed silently if no process of the pidfile is running"),
  },
  statuses: {
    0: "the signal was sent, or nothing is running and --if-running was given",
    1: "refused or failed: nothing is running, no PID in the file, unclear whose it is, or no " +
      "permission",
    2: "wrong usage",
  },
  examples: [
    "sipid signal --pid-file /run/nginx.pid --signal HUP",
    "sipid signal --pid-file /run/web.pid --signal USR1 --if-running --quiet",
  ],
  async run({ "pid-file": path, signal, exec, group, "if-running": isIfRunning }) {
    const stopped = (fact: string): number => {
      if (isIfRunning) return 0;
      throw new CommandError(
        `${shellQuote(path)}: ${fact}; ${signal} was not sent; ` +
          "start the service first, or accept this with --if-running",
      );
    };
    // 1. Find the process, and refuse what must not be signalled.
    using found = await findTarget(path, exec, group);
    if (found.kind === "nothing") return stopped(found.fact);
    if (found.warning !== undefined) info(`warning: ${found.warning}`);

    // 2. Send the signal.
    const outcome = found.target.send(signal);
    if (outcome === "exited") return stopped(`${found.name} has exited`);
    if (outcome !== "sent") throw notSent(found, outcome, signal, path);
    info(`sent ${signal} to ${found.name}`);
    return 0;
  },
});
