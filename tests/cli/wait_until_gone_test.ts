/** The compiled `sipid wait-until-gone` on real processes. */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import {
  deadPid,
  exists,
  expectResult,
  fixture,
  isRunning,
  Job,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  start,
  TempDir,
  until,
  zombie,
} from "../support.ts";

function wait(path: string, ...flags: string[]): Promise<Result> {
  return sipid("wait-until-gone", "--pid-file", path, ...flags);
}

Deno.test("wait-until-gone returns at once if nothing is running", async () => {
  using dir = new TempDir();
  const { pid, parent } = await zombie();
  await using _parent = parent;
  await using unrelated = new Job();
  const old = dir.write("old.pid", String(unrelated.pid));
  Deno.utimeSync(old, 1e9, 1e9);
  const cases: [path: string, fact: string, ...flags: string[]][] = [
    [dir.file("missing.pid"), "does not exist"],
    [dir.file("no/such/web.pid"), "does not exist"],
    [dir.write("empty.pid", ""), "is empty"],
    [dir.write("dead.pid", String(await deadPid())), "is not running"],
    [dir.write("zombie.pid", String(pid)), "is not running"],
    [old, "runs /", "--exec", "/bin/true"],
  ];
  for (const [path, fact, ...flags] of cases) {
    for (const group of [[], ["--group"]]) {
      const isThere = exists(path);
      const { ms } = expectResult(await wait(path, ...flags, ...group), {
        code: 0,
        stdout: "",
        stderr: [`${path}: `, fact],
      });
      assertLess(ms, SLACK_MS);
      assertEquals(exists(path), isThere);
    }
  }
});

Deno.test("wait-until-gone returns as soon as the process has exited, and sends nothing", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_slowly", "700");
  const path = dir.write("web.pid", String(job.pid));
  const trace = dir.file("trace");
  const waiting = start("strace", [
    ...["-f", "-qq", "-o", trace, "-e", "trace=kill,tkill,tgkill,unlink,unlinkat,rename,renameat2"],
    ...[SIPID, "wait-until-gone", "--pid-file", path],
  ]);
  // It is watched by its /proc entry; TERM comes from elsewhere.
  job.kill("SIGTERM");
  await job.line(/stopping/);
  expectResult(await waiting.result, {
    code: 0,
    stderr: `${path}: process ${job.pid} (deno) has exited`,
  });
  assert(!isRunning(job.pid) && exists(path));
  assertEquals(Deno.readTextFileSync(trace), "");
});

Deno.test("wait-until-gone fails at the timeout and names what is running", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const { ms } = expectResult(await wait(path, "--timeout", "600ms"), {
    code: 1,
    stderr: new RegExp(`${path}: process ${job.pid} \\(sleep\\) is still running after 600ms\n$`),
  });
  assertGreaterOrEqual(ms, 600);
  assertLess(ms, 600 + SLACK_MS);
  const once = expectResult(await wait(path, "--timeout", "0s"), { code: 1 });
  assertLess(once.ms, SLACK_MS);
  assert(isRunning(job.pid));
});

Deno.test("wait-until-gone waits for the process that has taken the pidfile over, too", async () => {
  using dir = new TempDir();
  await using next = new Job();
  await using job = await fixture("exits_slowly", "300");
  const path = dir.write("web.pid", String(job.pid));
  const waiting = start(SIPID, ["wait-until-gone", "--pid-file", path, "--timeout", "2s"]);
  job.kill("SIGTERM");
  await job.line(/stopping/);
  Deno.writeTextFileSync(path, String(next.pid));
  expectResult(await waiting.result, {
    code: 1,
    stderr: `process ${next.pid} (sleep) is still running after 2s`,
  });
});

Deno.test("wait-until-gone waits for a process whose pidfile has been removed meanwhile", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  await using job = await Running.start("sh", [
    "-c",
    `trap 'rm ${path}; sleep 0.7; exit' TERM; echo $$ >${path}; echo ready; while :; do sleep 0.02; done`,
  ]);
  const waiting = start(SIPID, ["wait-until-gone", "--pid-file", path]);
  // It must have read the pidfile: it holds the process by an open directory of /proc.
  await until(() => holds(waiting.pid, `/proc/${job.pid}`), "the process is held");
  job.kill("SIGTERM");
  await until(() => !exists(path), "the pidfile is removed");
  expectResult(await waiting.result, { code: 0, stderr: "has exited" });
  assert(!isRunning(job.pid));
});

/** Whether a process has a file open. */
function holds(pid: number, path: string): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path;
    } catch {
      return false; // closed just now
    }
  });
}

Deno.test("wait-until-gone waits, with a warning, for a process that may be unrelated", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  Deno.utimeSync(path, 1e9, 1e9);
  expectResult(await wait(path, "--timeout", "300ms"), {
    code: 1,
    stderr: ["warning: process", "probably recycled", "it is waited for", "still running after"],
  });
});

Deno.test("wait-until-gone fails on what is not a pidfile", async () => {
  using dir = new TempDir();
  expectResult(await wait(dir.write("bad.pid", "web\n")), {
    code: 1,
    stderr: 'does not contain a valid pid: it begins with "web\\n" (4 bytes); inspect',
  });
});

Deno.test("wait-until-gone shows on a terminal what it waits for, and clears the line", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const command = `${SIPID} wait-until-gone --pid-file ${path} --timeout 700ms`;
  const { stdout } = expectResult(await run("script", ["-qec", command, "/dev/null"]), { code: 1 });
  const shown = stdout.replaceAll("\x1b[K", "<clear>");
  assertMatch(shown, /waiting for process \d+ \(sleep\): [^\r\n]*ms of 700ms\r<clear>/);
});

Deno.test("signal and wait-until-gone make a drain", async () => {
  using dir = new TempDir();
  await using job = await Running.start("sh", [
    "-c",
    "trap 'sleep 0.5; exit' USR1; echo ready; while :; do sleep 0.02; done",
  ]);
  const path = dir.write("web.pid", String(job.pid));
  const drain = `${SIPID} signal --signal USR1 --if-running --pid-file ${path}
    ${SIPID} wait-until-gone --timeout $0 --pid-file ${path} || true; echo 0`;
  // What is not finished at the timeout is up to the stop script.
  const early = { code: 0, stdout: "0\n", stderr: "is still running after 100ms" };
  expectResult(await run("sh", ["-ec", drain, "100ms"]), early);
  const { ms } = expectResult(await run("sh", ["-ec", drain, "5m"]), { code: 0, stdout: "0\n" });
  assertLess(ms, 500 + SLACK_MS);
  assert(!isRunning(job.pid));
  // A service that is not running needs none.
  expectResult(await run("sh", ["-ec", drain, "5m"]), { code: 0, stdout: "0\n" });
});
