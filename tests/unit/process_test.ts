import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { findLockHolder } from "../../lib/process/lock_holder.ts";
import { parsePid, type Pid } from "../../lib/process/pid.ts";
import {
  describe,
  findProcess,
  holdProcess,
  isRunning,
  isStopped,
  startedAt,
  stateOf,
  usersOf,
} from "../../lib/process/process.ts";
import { runsProgram } from "../../lib/process/program.ts";
import { sendSignal } from "../../lib/process/signals.ts";
import { waitForExit } from "../../lib/process/wait_for_exit.ts";
import { deadPid, fixture, lockedElsewhere, Running, TempDir, until, zombie } from "../support.ts";

function find(pid: number): NonNullable<ReturnType<typeof findProcess>> {
  const found = findProcess(parsePid(String(pid))!);
  assert(found !== undefined, `process ${pid} runs`);
  return found;
}

Deno.test("parsePid() takes 1 to 2147483647 in plain decimal", () => {
  for (const text of ["1", "17", "32768", "4194304", "2147483647"]) {
    assertEquals(Number(parsePid(text)), Number(text));
  }
});

Deno.test("parsePid() takes nothing else", () => {
  const others = ["", "0", "00", "-1", "+1", " 1", "1 ", "1\n", "01", "1.0", "1e1", "0x1", "1_0"];
  const large = ["2147483648", "4294967297", "9999999999", "10000000000", "18446744073709551617"];
  for (const text of [...others, ...large, "\u0661", "\uff11", "1\0", "NaN"]) {
    assertEquals(parsePid(text), undefined, JSON.stringify(text));
  }
});

Deno.test("holdProcess() holds a process several times, each by a descriptor of its own", async () => {
  await using job = await fixture("exits_on_term");
  const first = holdProcess(find(job.pid))!;
  using second = holdProcess(find(job.pid))!;
  using third = holdProcess(first)!;
  assertEquals(new Set([first, second, third].map((held) => held.directory)).size, 3);
  first[Symbol.dispose]();
  // It gets the lowest free descriptor: the first one's.
  using _other = Deno.openSync("/proc/self/stat");
  assert(isRunning(second) && isRunning(third));
  job.kill("SIGKILL");
  await job.status;
  assert(!isRunning(second) && !isRunning(third));
});

Deno.test("findProcess() finds what runs and names it", async () => {
  await using job = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  await until(() => describe(find(job.pid)).includes("sleep"), "the shell has become sleep");
  const { pid, program, startTicks } = find(job.pid);
  assertEquals([pid as number, program], [job.pid, "sleep"]);
  assert(startTicks! > 0);
  assertEquals(describe(find(job.pid)), `process ${job.pid} (sleep)`);
});

Deno.test("findProcess() reads the name of a program, whatever characters it has", async () => {
  using dir = new TempDir();
  const path = dir.file("a) R 1 (b");
  Deno.symlinkSync("/bin/sleep", path);
  await using job = await Running.start("sh", ["-c", `echo ready; exec '${path}' 600`]);
  await until(() => find(job.pid).program === "a) R 1 (b", "the shell has become that program");
  assert(isRunning(find(job.pid)));
});

Deno.test("findProcess() does not find a process that has ended, nor a zombie, nor itself", async () => {
  assertEquals(findProcess(await deadPid() as Pid), undefined);
  assertEquals(findProcess(Deno.pid as Pid), undefined);
  const { pid, parent } = await zombie();
  await using _parent = parent;
  assert(Deno.readTextFileSync(`/proc/${pid}/stat`).includes(") Z "));
  assertEquals(findProcess(pid as Pid), undefined);
});

Deno.test("isRunning() takes another process with the same PID for another", async () => {
  await using job = await fixture("exits_on_term");
  const now = find(job.pid);
  assert(isRunning(now));
  const before = { ...now, startTicks: now.startTicks! - 1 };
  assert(!isRunning(before));
  assertEquals(sendSignal(before, "SIGTERM"), "exited");
  assertEquals(await waitForExit(before, 10_000), true);
  assert(isRunning(now));
});

Deno.test("isStopped() and stateOf() tell what a process does", async () => {
  await using job = await fixture("exits_on_term");
  const one = find(job.pid);
  assertEquals(isStopped(one), false);
  assertMatch(stateOf(one)!, /^in state [RS]$/);
  job.kill("SIGSTOP");
  await until(() => isStopped(one), "it is stopped");
  assertEquals(stateOf(one), "stopped");
  assert(isRunning(one));
});

Deno.test("startedAt() is right to a second or so", async () => {
  const before = Date.now();
  await using job = await fixture("exits_on_term");
  assertLess(Math.abs(startedAt(find(job.pid))! - before), 1_000);
});

Deno.test("findLockHolder() names the process that holds the lock", async () => {
  using dir = new TempDir();
  const path = dir.write("lock", "");
  const { dev, ino } = Deno.statSync(path);
  assertEquals(findLockHolder(dev, ino!), undefined);
  await using locker = await lockedElsewhere(path);
  assertEquals(findLockHolder(dev, ino!)?.process?.pid as number, locker.pid);
});

Deno.test("no question about a process fails because it goes at that moment", async () => {
  for (let round = 0; round < 300; round++) {
    const child = new Deno.Command("true").spawn();
    const one = findProcess(child.pid as Pid);
    // Asked without a pause, in whatever state of its going the process is found.
    let gone = false;
    const reaped = child.status.then(() => gone = true);
    while (!gone) {
      if (one !== undefined) {
        isRunning(one);
        isStopped(one);
        stateOf(one);
        runsProgram(one, "/bin/true");
        usersOf(one);
      }
      findProcess(child.pid as Pid);
      await Promise.resolve();
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      else break;
    }
    await reaped;
    if (one !== undefined) assertEquals(isRunning(one), false);
  }
});
