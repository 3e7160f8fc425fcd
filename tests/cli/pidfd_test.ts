/** Waiting on a pidfd, where the kernel has it, where it fails, and where nothing is waited for. */
import { assert, assertGreater, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import {
  deadPid,
  expectResult,
  fixture,
  isRunning,
  Running,
  SLACK_MS,
  TempDir,
} from "../support.ts";
import { traced } from "../strace.ts";

/** Returns how often a process was read in /proc, by its PID or by an open directory. */
function reads(log: string, pid: number): number {
  return [...log.matchAll(new RegExp(`"/proc/(${pid}|self/fd/\\d+)/stat"`, "g"))].length;
}

Deno.test("kill does not poll while it waits", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_slowly", "1000");
  const path = dir.write("web.pid", String(job.pid));
  const { result, log } = await traced(dir, ["-e", "trace=open,openat,pidfd_open,poll"], [
    "kill",
    "--pid-file",
    path,
  ]);
  expectResult(result, { code: 0 });
  assertMatch(log, new RegExp(`pidfd_open\\(${job.pid}, 0\\) += \\d`));
  // Polling every 2 ms would read it 500 times.
  assertLess(reads(log, job.pid), 15);
});

Deno.test("kill polls where the kernel has no pidfd, or refuses one", async () => {
  for (const errno of ["ENOSYS", "EPERM", "EMFILE"]) {
    using dir = new TempDir();
    await using job = await fixture("exits_slowly", "1000");
    const path = dir.write("web.pid", String(job.pid));
    const { result, log } = await traced(dir, [
      "-e",
      "trace=open,openat,pidfd_open",
      "-e",
      `inject=pidfd_open:error=${errno}`,
    ], ["kill", "--pid-file", path]);
    expectResult(result, { code: 0 });
    assertMatch(log, new RegExp(`pidfd_open\\(.* = -1 ${errno} .*INJECTED`));
    assertGreater(reads(log, job.pid), 20);
    assert(!isRunning(job.pid));
  }
});

Deno.test("kill keeps its grace period without a pidfd", async () => {
  using dir = new TempDir();
  await using job = await fixture("ignores_term");
  const path = dir.write("web.pid", String(job.pid));
  const inject = ["-e", "trace=pidfd_open,kill", "-e", "inject=pidfd_open:error=ENOSYS", "-ttt"];
  const { result, log } = await traced(dir, inject, [
    "kill",
    "--grace-period",
    "500ms",
    "--pid-file",
    path,
  ]);
  expectResult(result, { code: 0 });
  const [term, killed] = ["TERM", "KILL"].map((name) =>
    Number(new RegExp(`([0-9.]+) kill\\(${job.pid}, SIG${name}\\)`).exec(log)?.[1]) * 1000
  );
  assertGreaterOrEqual(killed! - term!, 500);
  assertLess(killed! - term!, 500 + SLACK_MS);
});

Deno.test("kill waits on where a signal interrupts poll(2), or the eventfd fails", async () => {
  for (
    const inject of [
      "poll:error=EINTR:when=1", // counted for each thread
      "eventfd2:error=EMFILE:when=2+", // the first is the runtime's own
    ]
  ) {
    using dir = new TempDir();
    await using job = await fixture("exits_slowly", "300");
    const path = dir.write("web.pid", String(job.pid));
    const trace = ["-e", "trace=poll,eventfd2", "-e", `inject=${inject}`];
    const { result, log } = await traced(dir, trace, ["kill", "--pid-file", path]);
    expectResult(result, { code: 0 });
    assertMatch(log, /INJECTED/);
    assert(!isRunning(job.pid));
  }
});

Deno.test("a command that waits for no process opens no pidfd", async () => {
  using dir = new TempDir();
  const dead = String(await deadPid());
  await using job = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  const path = dir.file("web.pid");
  for (
    const [args, code] of [
      [["--help"], 0],
      [["claim", "--pid", String(job.pid), "--pid-file", path], 0],
      [["claim", "--pid", "1", "--pid-file", path], 1],
      [["status", "--pid-file", path], 0],
      [["kill", "--pid-file", dir.write("dead.pid", dead)], 0],
    ] as const
  ) {
    const { result, log } = await traced(dir, ["-e", "trace=pidfd_open"], args);
    expectResult(result, { code });
    assert(!log.includes("pidfd_open"), log);
  }
});
