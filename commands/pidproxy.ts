/**
 * `sipid pidproxy`: runs a command and forwards signals to the daemon that its pidfile names.
 * After the manual page of Supervisor's pidproxy.
 */
import { command, type Definition, flag } from "../lib/cli/command.ts";
import { PidProxy } from "../lib/proxy/pid_proxy.ts";
import { duration } from "./flags.ts";

/** The command `pidproxy`. */
export const pidproxy: Definition = command({
  flags: {
    "wait": flag(
      "DURATION",
      "how long to wait for PID_FILE after COMMAND exited with status 0, or was asked to stop",
      duration,
    ).or("0s"),
  },
  operands: { usage: "PID_FILE COMMAND [ARG ...]", min: 2 },
  statuses: {
    "0": "COMMAND's own; or all has stopped after a stop request",
    "1": "COMMAND's own; or the daemon exited by itself, or did not appear within --wait",
    "2": "COMMAND's own; or wrong usage",
    "126": "COMMAND cannot be executed",
    "127": "COMMAND was not found",
    "128+N": "signal N ended COMMAND, without a stop request",
  },
  examples: [
    "sipid pidproxy /run/mysqld/mysqld.pid /usr/bin/mysqld_safe",
    "sipid pidproxy --wait 5s /run/nginx.pid nginx",
  ],
  run: async ({ wait }, [path, name, ...args]) => {
    // 1. Catch signals from here on; what is in the pidfile now is from an earlier run.
    const proxy = await PidProxy.prepare(path!, { waitMs: wait });
    // 2. Start the command.
    proxy.start(name!, args);
    // 3. Forward signals until command and daemon have exited.
    await proxy.forwardUntilExit();
    // 4. Report what could not be delivered, and how it ended.
    return proxy.finish();
  },
});
