/**
 * `sipid pidproxy`: runs a command and forwards signals to the daemon that its pidfile names.
 * After the manual page of Supervisor's pidproxy.
 */
import { command, type Definition, flag, flagSwitch } from "../lib/cli/command.ts";
import { UsageError } from "../lib/errors.ts";
import { OTHER_SIGNALS, STOP_SIGNALS } from "../lib/proxy/forwarded.ts";
import { PidProxy } from "../lib/proxy/pid_proxy.ts";
import { parseSignal, shortName } from "../lib/signal_names.ts";
import { duration } from "./flags.ts";

const STOP_SIGNAL_NAMES = OTHER_SIGNALS.map(shortName);

/** The command `pidproxy`. */
export const pidproxy: Definition = command({
  flags: {
    "wait": flag(
      "DURATION",
      "how long to wait for PID_FILE after COMMAND exited with status 0, or was asked to stop",
      duration,
    ).or("0s"),
    "stop-signal": flag(
      "SIG",
      "a signal that asks to stop, besides TERM, INT and QUIT",
      stopSignal,
      undefined,
      STOP_SIGNAL_NAMES,
    ).repeated(),
    "grace-period": flag(
      "DURATION",
      "how long the daemon and COMMAND have after a stop request, before SIGKILL (default: no limit)",
      duration,
    ).optional(),
    "group": flagSwitch(
      "send SIGKILL to the daemon's process group, if it leads one, and stop what is left of the " +
        "group when the daemon has exited",
    ),
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
    "sipid pidproxy --wait 5s --grace-period 8s --group /run/nginx.pid nginx",
  ],
  run: async (values, [path, name, ...args]) => {
    // 1. Catch signals from here on; what is in the pidfile now is from an earlier run.
    const proxy = await PidProxy.prepare(path!, {
      waitMs: values.wait,
      stopSignals: values["stop-signal"],
      graceMs: values["grace-period"],
      isGroup: values.group,
    });
    // 2. Start the command.
    proxy.start(name!, args);
    // 3. Forward signals until the command and the daemon have exited.
    await proxy.forwardUntilExit();
    const status = proxy.conclude();
    // 4. Stop what is left of the daemon's process group.
    const isAllGone = await proxy.stopRest();
    // 5. Report the signals that could not be delivered.
    await proxy.reportUndelivered();
    return isAllGone || status !== 0 ? status : 1;
  },
});

function stopSignal(text: string): Deno.Signal {
  const parsed = parseSignal(text);
  if ([...STOP_SIGNALS, ...OTHER_SIGNALS].includes(parsed)) return parsed;
  throw new UsageError(`expected one of ${STOP_SIGNAL_NAMES.join(", ")}`);
}
