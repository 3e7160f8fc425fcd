import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { findGroup, Leftovers, ProcessGroup } from "../../lib/process/process_group.ts";
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess, type HeldProcess, holdProcess, readStat } from "../../lib/process/process.ts";
import { runSchedule } from "../../lib/process/run_schedule.ts";
import { isRunning, ROOT, run, Running, SLACK_MS, until } from "../support.ts";

/** Starts a process that leads a group. `script` prints `ready`, and before it what the test reads. */
function leader(script: string): Promise<Running> {
  return Running.start("setsid", ["sh", "-c", script]);
}

function hold(pid: number): HeldProcess {
  const process = findProcess(pid as Pid);
  assert(process !== undefined);
  return holdProcess(process)!;
}

function groupOf(held: HeldProcess): ProcessGroup {
  const group = findGroup(held);
  assert(group instanceof ProcessGroup, String(group));
  return group;
}

async function pidIn(job: Running, name: string): Promise<number> {
  return Number((await job.line(new RegExp(`${name} (\\d+)`)))[1]);
}

Deno.test("findGroup() says why a process has no group that can be signalled", async () => {
  await using job = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  using held = hold(job.pid);
  assertEquals(findGroup(held), "leads no process group");
});

Deno.test("a group is signalled as a whole, and waited for until its last member has exited", async () => {
  const slow = "trap 'sleep 0.5; exit' TERM; echo child ready; while :; do sleep 0.1; done";
  await using job = await leader(
    `sh -c "${slow}" & echo slow $!; sleep 600 & echo fast $!; trap exit TERM; echo ready; wait`,
  );
  await job.line(/child ready/);
  const [slowPid, fastPid] = [await pidIn(job, "slow"), await pidIn(job, "fast")];
  using held = hold(job.pid);
  using group = groupOf(held);
  const pids = group.running().map(({ pid }) => pid as number);
  assert([job.pid, slowPid, fastPid].every((pid) => pids.includes(pid)), `${pids}`);
  const begin = performance.now();
  assertEquals(group.send("SIGTERM"), "sent");
  assertEquals(await group.waitForExit(100), false);
  assert(isRunning(slowPid) && !isRunning(fastPid));
  assertEquals(await group.waitForExit(60_000), true);
  assertGreaterOrEqual(performance.now() - begin, 400);
  assert(!isRunning(slowPid));
  assertEquals([group.send("SIGKILL"), group.running()], ["exited", []]);
});

Deno.test("members that were seen keep the group signallable after its leader has exited", async () => {
  await using job = await leader("sleep 600 & echo child $!; trap exit TERM; echo ready; wait");
  const child = await pidIn(job, "child");
  using held = hold(job.pid);
  using group = groupOf(held);
  job.kill("SIGKILL");
  await job.status;
  assertEquals(group.running().map(({ pid }) => pid as number), [child]);
  assertEquals(new Leftovers(job.pid as Pid, undefined).running().map(({ pid }) => pid as number), [
    child,
  ]);
  assertEquals(group.send("SIGKILL"), "sent");
  assertEquals(await group.waitForExit(60_000), true);
});

Deno.test("a member that has left the group is neither signalled nor waited for", async () => {
  await using job = await leader("setsid sleep 600 & echo child $!; echo ready; wait");
  const child = await pidIn(job, "child");
  const groupOfChild = (): string => Deno.readTextFileSync(`/proc/${child}/stat`).split(" ")[4]!;
  await until(() => groupOfChild() === String(child), "it has left");
  try {
    using held = hold(job.pid);
    using group = groupOf(held);
    assertEquals(await runSchedule(group, [{ signal: "SIGKILL", waitMs: 60_000 }]), {
      kind: "exited",
      last: "SIGKILL",
    });
    assert(isRunning(child));
  } finally {
    Deno.kill(child, "SIGKILL");
  }
});

Deno.test("a group of which only a zombie is left has exited", async () => {
  // A parent outside the group never reaps the leader.
  await using parent = await Running.start("sh", [
    "-c",
    "setsid sleep 600 & echo child $!; echo ready; exec sleep 600",
  ]);
  const child = await pidIn(parent, "child");
  using held = hold(child);
  await until(() => readStat(held)?.group === child, "it leads a group");
  using group = groupOf(held);
  const begin = performance.now();
  assertEquals(group.send("SIGKILL"), "sent");
  assertEquals(await group.waitForExit(60_000), true);
  assertLess(performance.now() - begin, SLACK_MS);
  assertEquals(group.send("SIGKILL"), "exited");
});

Deno.test("a stopped member is continued, so that it can act on the signal", async () => {
  await using job = await leader("sleep 600 & echo child $!; trap exit TERM; echo ready; wait");
  const child = await pidIn(job, "child");
  Deno.kill(child, "SIGSTOP");
  await until(() => / T /.test(Deno.readTextFileSync(`/proc/${child}/stat`)), "it is stopped");
  using held = hold(job.pid);
  const sent: string[] = [];
  using group = groupOf(held);
  const ending = await runSchedule(group, [{ signal: "SIGTERM", waitMs: 60_000 }], {
    sent: (signal) => sent.push(signal),
  });
  assertEquals(ending, { kind: "exited", last: "SIGTERM" });
  assertEquals(sent, ["SIGTERM", "SIGCONT"]);
});

/** In a PID namespace, whose first process reaps what is left to it. */
async function inNamespace(mode: string): Promise<string> {
  const init = `trap : CHLD; "$@" & child=$!
    while kill -0 $child 2>/dev/null; do wait; done`;
  const deno = [Deno.execPath(), "run", "--no-check", "--quiet", "--allow-all"];
  const { stdout, stderr } = await run("unshare", [
    ...["--pid", "--fork", "--mount-proc", "--kill-child"],
    // PID 1 leads the group 1.
    ...["perl", "-e", "setpgrp; exec @ARGV", "bash", "-c", init, "init"],
    ...[...deno, `${ROOT}tests/unit/recycles_process_group.ts`, mode],
  ]);
  return stdout + stderr;
}

Deno.test("the group of PID 1 is never signalled: kill(2) takes -1 for all processes", async () => {
  assertEquals(await inNamespace("init"), "group 1 leads no process group\n");
});

Deno.test("a group's number that went to an unrelated group is not signalled", async () => {
  // The counterexample: kill(2) of the number reaches whoever has it now.
  assertEquals(await inNamespace("naive"), "sent  killed\n");
  // Another process has the leader's PID, so nothing of the group can be left.
  assertEquals(await inNamespace("leader"), "exited  running\n");
  // Nothing proves whose it is: it is not signalled, and is reported.
  assertEquals(await inNamespace("orphan"), "unclear unrelated running\n");
});
