import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess, holdProcess } from "../../lib/process/process.ts";
import { processTarget, runSchedule } from "../../lib/process/run_schedule.ts";
import { formatSchedule, parseSchedule, type Step } from "../../lib/process/schedule.ts";
import { parseSignal } from "../../lib/signal_names.ts";
import { Running, SLACK_MS } from "../support.ts";

Deno.test("parseSchedule() reads start-stop-daemon's schedules, with units", () => {
  const steps = (text: string): unknown =>
    parseSchedule(text).map(({ signal, waitMs }) => [signal, waitMs]);
  assertEquals(steps("INT/30s/QUIT/10s/KILL/5s"), [
    ["SIGINT", 30_000],
    ["SIGQUIT", 10_000],
    ["SIGKILL", 5_000],
  ]);
  assertEquals(steps("TERM/20/-9/5"), [["SIGTERM", 20_000], ["SIGKILL", 5_000]]);
  assertEquals(steps("sigterm/1.5"), [["SIGTERM", 1_500]]);
  assertEquals(steps("TERM/0/INT/0s"), [["SIGTERM", 0], ["SIGINT", 0]]);
  assertEquals(steps("TERM/INT"), [["SIGTERM", 0], ["SIGINT", 0]]);
  assertEquals(steps("TERM/1m30s/KILL"), [["SIGTERM", 90_000], ["SIGKILL", 5_000]]);
  for (const text of ["", "/", "20", "20/TERM", "TERM/5/5", "TERM//5", "FOO/5", "TERM/5x", "-99"]) {
    assertThrows(() => parseSchedule(text), UsageError);
  }
});

Deno.test("runSchedule() ends as soon as the process has exited, and reports one that remains", async () => {
  await using job = await Running.start("sh", [
    "-c",
    "trap '' TERM; trap 'sleep 0.1; exit' INT; echo ready; while :; do sleep 0.05; done",
  ]);
  const process = findProcess(job.pid as Pid);
  assert(process !== undefined);
  using held = holdProcess(process)!;
  const target = processTarget(held);
  const wait = (signal: Deno.Signal, waitMs: number): Step => ({ signal, waitMs });
  assertEquals(await runSchedule(target, [wait("SIGTERM", 0), wait("SIGTERM", 50)]), {
    kind: "running",
  });
  const begin = performance.now();
  const still: number[] = [];
  const steps = [wait("SIGTERM", 50), wait("SIGINT", 60_000), wait("SIGKILL", 60_000)];
  const ending = await runSchedule(target, steps, { stillRunning: (index) => still.push(index) });
  assertEquals([ending, still], [{ kind: "exited", last: "SIGINT" }, [0]]);
  assertLess(performance.now() - begin, 50 + 200 + SLACK_MS);
  // Between two elements.
  assertEquals(await runSchedule(target, steps), { kind: "exited", last: undefined });
});

Deno.test("formatSchedule() writes what parseSchedule() reads", () => {
  const text = "INT/1m30s/QUIT/500ms/KILL/5s";
  assertEquals(formatSchedule(parseSchedule(text)), text);
});

Deno.test("parseSignal() reads names and numbers, and no realtime signals", () => {
  for (const text of ["HUP", "hup", "SIGHUP", "sighup", "1"]) {
    assertEquals(parseSignal(text), "SIGHUP", text);
  }
  assertEquals([parseSignal("31"), parseSignal("SIGPOLL")], ["SIGSYS", "SIGIO"]);
  for (const text of ["34", "64", "RTMIN", "SIGRTMIN+3", "RTMAX-1"]) {
    assertThrows(() => parseSignal(text), UsageError, "realtime signals");
  }
  for (const text of ["", "0", "-1", "65", "1.5", "FOO", "SIG", "SIGSIGHUP", "undefined"]) {
    assertThrows(() => parseSignal(text), UsageError, "expected a signal");
  }
});
