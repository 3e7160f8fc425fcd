/** Stopping what a pidfile names by a schedule, with a line for each signal. */
import { info } from "../cli/output.ts";
import { reportWaiting } from "../cli/waiting.ts";
import { formatDuration } from "../duration.ts";
import { CommandError } from "../errors.ts";
import { describe, describeAll, stateOf } from "../process/process.ts";
import { runSchedule } from "../process/run_schedule.ts";
import type { Step } from "../process/schedule.ts";
import { ignores, maySignal } from "../process/signals.ts";
import { shellQuote } from "../shell_quote.ts";
import { notSent } from "./signallable.ts";
import type { Signallable } from "./target.ts";

/** Returns what would be done, line by line. */
export function planOf(found: Signallable, steps: readonly Step[], path: string): string[] {
  const { target, name, isGroup } = found;
  const running = target.running();
  const members = isGroup ? ` (${describeAll(running)})` : "";
  // kill(2) of a group succeeds if one member may be signalled.
  if (running.length > 0 && !running.some(maySignal)) {
    throw notSent(found, "denied", steps[0]!.signal, path);
  }
  return [
    ...steps.map(({ signal, waitMs }, index) => {
      const wait = `wait up to ${formatDuration(waitMs)}`;
      return index === 0
        ? `would send ${signal} to ${name}${members}; ${wait}`
        : `would then send ${signal}; ${wait}`;
    }),
    `would remove ${shellQuote(path)} as soon as it has exited`,
  ];
}

/** Returns when it has exited. */
export async function stop(
  found: Signallable,
  steps: readonly Step[],
  path: string,
): Promise<void> {
  const { target, name, isGroup } = found;
  const begin = performance.now();
  let waited = 0;
  let isIgnored = false;
  const ending = await runSchedule(target, steps, {
    // Not asked afterwards: a daemon may ignore a signal as soon as it has got it.
    sending: (signal) => {
      isIgnored = !isGroup && target.running().some((process) => ignores(process, signal));
    },
    sent: (signal) => {
      // A stopped process that ignores SIGCONT is continued all the same.
      const ignored = isIgnored && signal !== "SIGCONT" ? ", which ignores it" : "";
      info(`sent ${signal} to ${name}${ignored}`);
    },
    waiting: (index) => {
      const next = steps[index + 1]?.signal;
      const { waitMs } = steps[index]!;
      return reportWaiting(
        waitMs,
        (elapsed) =>
          `waiting for ${name}: ${formatDuration(elapsed)} of ${formatDuration(waitMs)}` +
          (next === undefined ? "" : `, then ${next}`),
      );
    },
    stillRunning: (index) => {
      waited += steps[index]!.waitMs;
      const isLast = index === steps.length - 1;
      if (!isLast && waited > 0) {
        info(`${name} is still running after ${formatDuration(waited)}`);
      }
    },
  });
  switch (ending.kind) {
    case "exited": {
      const how = ending.last === "SIGKILL" ? "was killed" : "exited";
      return info(`${name} ${how} after ${formatDuration(performance.now() - begin)}`);
    }
    case "running":
      throw survived(found, steps, path, waited);
    default:
      throw notSent(found, ending.kind, ending.signal, path);
  }
}

function survived(
  { target, name, isGroup }: Signallable,
  steps: readonly Step[],
  path: string,
  waited: number,
): CommandError {
  const running = target.running();
  const kept = `${shellQuote(path)} is kept, so that no second instance starts`;
  // The kernel signals those of a group that it may.
  const denied = running.filter((process) => !maySignal(process));
  if (denied.length > 0) {
    return new CommandError(
      `${name} is still running after ${formatDuration(waited)}; no permission to signal ` +
        `${describeAll(denied)}; ${kept}; run this as root`,
    );
  }
  if (!steps.some(({ signal }) => signal === "SIGKILL")) {
    const members = isGroup ? `: ${describeAll(running)}` : "";
    return new CommandError(
      `${name} is still running after ${formatDuration(waited)}${members}; ${kept}; ` +
        "a schedule that ends with KILL/5s kills it",
    );
  }
  const states = running.map((process) => {
    const state = stateOf(process) ?? "in a hidden state";
    return isGroup ? `${describe(process)} is ${state}` : `it is ${state}`;
  });
  return new CommandError(
    `${name} survived SIGKILL: ${states.join(", ")}; ${kept}; fix what it waits for, then retry`,
  );
}
