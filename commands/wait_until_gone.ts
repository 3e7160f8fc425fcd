/** `sipid wait-until-gone`: waits until no process of a pidfile is running. */
import { command, type Definition, flag, flagSwitch } from "../lib/cli/command.ts";
import { info } from "../lib/cli/output.ts";
import { reportWaiting } from "../lib/cli/waiting.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError } from "../lib/errors.ts";
import { findRunning } from "../lib/pidfile/target.ts";
import { describeAll } from "../lib/process/process.ts";
import { shellQuote } from "../lib/shell_quote.ts";
import { duration, execFlag, pidFileFlag } from "./flags.ts";

/** The command `wait-until-gone`. */
export const waitUntilGone: Definition = command({
  flags: {
    "pid-file": pidFileFlag("the pidfile of the process to wait for").required(),
    "exec": execFlag,
    "group": flagSwitch("wait for the whole process group, if the process leads one"),
    "timeout": flag("DURATION", "how long to wait; 0s checks once", duration).or("1m"),
  },
  statuses: {
    0: "no process of this pidfile is running",
    1: "one is still running at the timeout, or there is no PID in the file",
    2: "wrong usage",
  },
  examples: [
    "sipid wait-until-gone --pid-file /run/web.pid --timeout 5m",
    "sipid signal --pid-file F --signal QUIT && sipid wait-until-gone --pid-file F",
  ],
  async run({ "pid-file": path, exec, group, timeout }) {
    const name = shellQuote(path);
    const begin = performance.now();
    let awaited: string | undefined;
    for (;;) {
      // 1. Find what is running: a process, its group, or what is left of that.
      using found = await findRunning(path, exec, group);
      if (found.kind === "nothing") {
        info(`${name}: ${awaited === undefined ? found.fact : `${awaited} has exited`}`);
        return 0;
      }
      if (found.warning !== undefined && awaited === undefined) info(`warning: ${found.warning}`);
      awaited = found.name;

      // 2. Wait until it has exited; then the pidfile may name another one.
      const left = Math.max(0, timeout - (performance.now() - begin));
      using _report = reportWaiting(
        left,
        () =>
          `waiting for ${found.name}: ${formatDuration(performance.now() - begin)} of ` +
          formatDuration(timeout),
      );
      if (await found.target.waitForExit(left)) continue;
      const members = found.isGroup ? `: ${describeAll(found.target.running())}` : "";
      throw new CommandError(
        `${name}: ${found.name} is still running after ${formatDuration(timeout)}${members}`,
      );
    }
  },
});
