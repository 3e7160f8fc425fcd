/** sipid status, and --exec on every command that has it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { httpServer } from "../servers.ts";
import {
  asNobody,
  deadPid,
  fixture,
  type Result,
  Running,
  runs,
  SIPID,
  sipid,
} from "../support.ts";
import { TempDir, until } from "../support.ts";

const DENO = Deno.realPathSync(Deno.execPath());

function status(path: string, ...flags: string[]): Promise<Result> {
  return sipid("status", "--pid-file", path, ...flags);
}

function assertSaid({ code, stdout, stderr }: Result, expected: [number, string, string?]): void {
  assertEquals({ code, stdout, stderr }, {
    code: expected[0],
    stdout: `${expected[1]}\n`,
    stderr: expected[2] ?? "",
  });
}

Deno.test("status of a running process is 0", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const { code, stdout, stderr } = await status(path);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, new RegExp(`^running ${job.pid} \\(deno\\), up \\d+s\n$`));
});

Deno.test("status of a dead process whose pidfile remains is 1", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", String(await deadPid()));
  assertSaid(await status(path), [1, "dead, but its pidfile remains"]);
  assertSaid(await status(dir.write("empty.pid", "")), [1, "dead, but its pidfile remains"]);
});

Deno.test("status without a pidfile is 3", async () => {
  using dir = new TempDir();
  assertSaid(await status(dir.file("web.pid")), [3, "not running"]);
});

Deno.test("status of a pidfile that cannot be understood or read is 4, with the reason", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "-1");
  assertSaid(await status(path), [4, `unknown: pidfile (${path}) does not contain a valid pid`]);
  const directory = await status(dir.path);
  assertEquals(directory.code, 4);
  assertStringIncludes(directory.stdout, `unknown: ${dir.path} is a directory`);
  Deno.chmodSync(path, 0);
  const { code, stdout } = await asNobody(SIPID, ["status", "--pid-file", path]);
  assertEquals(code, 4);
  assertMatch(stdout, /^unknown: cannot open .*: permission denied; run it as root/);
});

Deno.test("status works for nobody", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const { code, stdout } = await asNobody(SIPID, ["status", "--pid-file", path]);
  assertEquals(code, 0);
  assertMatch(stdout, new RegExp(`^running ${job.pid} \\(deno\\), up \\d+s\n$`));
});

Deno.test("status --json prints one object", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const running = await status(path, "--json");
  assertEquals(running.code, 0);
  const { startedAt, uptimeSeconds, ...rest } = JSON.parse(running.stdout);
  assertEquals(rest, { pid: job.pid, state: "running", program: "deno", pidFile: path });
  assert(Math.abs(Date.now() - Date.parse(startedAt)) < 60_000);
  assert(uptimeSeconds >= 0 && uptimeSeconds < 60);
  const none = { program: null, startedAt: null, uptimeSeconds: null };
  const dead = await deadPid();
  const cases: [string, number, Record<string, unknown>][] = [
    [dir.write("dead.pid", String(dead)), 1, { pid: dead, state: "dead" }],
    [dir.file("none.pid"), 3, { pid: null, state: "stopped" }],
    [dir.write("bad.pid", "x"), 4, { pid: null, state: "unknown" }],
  ];
  for (const [pidFile, code, object] of cases) {
    const result = await status(pidFile, "--json");
    assertEquals(result.code, code);
    assertEquals(JSON.parse(result.stdout), { ...object, ...none, pidFile });
  }
});

Deno.test("status warns root of a pidfile that others can write", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  Deno.chmodSync(path, 0o666);
  const { code, stderr } = await status(path);
  assertEquals(code, 0);
  if (Deno.uid() === 0) assertStringIncludes(stderr, `warning: ${path} can be written by others`);
});

// --exec

Deno.test("--exec: a process that runs the program is the pidfile's own", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  // By its path, by another name of the same file, by a directory that is a symlink.
  Deno.symlinkSync(DENO, dir.file("link"));
  Deno.symlinkSync(DENO.replace(/\/[^/]*$/, ""), dir.file("package"));
  for (const program of [DENO, dir.file("link"), `${dir.path}/package/deno`]) {
    assertEquals((await status(path, "--exec", program)).code, 0, program);
    const { code, stderr } = await sipid(
      "claim",
      "--pid",
      "17",
      "--pid-file",
      path,
      "--exec",
      program,
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "already exists");
  }
  await using server = await Promise.resolve(httpServer(() => new Response()));
  const wait = ["wait-until-healthy", "--url", server.url, "--pid-file", path];
  assertEquals((await sipid(...wait, "--exec", DENO)).code, 0);
  assertEquals((await sipid("kill", "--pid-file", path, "--exec", DENO)).code, 0);
  assertEquals((await job.status).code, 0);
});

Deno.test("--exec: a stranger is no obstacle, is left alone, and counts as dead", async () => {
  using dir = new TempDir();
  await using stranger = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(stranger.pid));
  const exec = ["--exec", "/bin/cat"];
  assertSaid(await status(path, ...exec), [1, "dead, but its pidfile remains"]);
  const wait = ["wait-until-healthy", "--url", "http://127.0.0.1:1/", "--pid-file", path];
  const waited = await sipid(...wait, ...exec);
  assertEquals(waited.code, 1);
  assertStringIncludes(waited.stderr, `process ${stranger.pid} (deno) of ${path} is not /bin/cat`);

  const claimed = await sipid("claim", "--pid", "17", "--pid-file", path, ...exec);
  assertEquals(claimed.code, 0);
  assertEquals(Deno.readTextFileSync(path), "17");
  assertStringIncludes(claimed.stderr, `process ${stranger.pid} (deno) is not /bin/cat: took the`);

  Deno.writeTextFileSync(path, String(stranger.pid));
  const killed = await sipid("kill", "--pid-file", path, ...exec);
  assertEquals(killed.code, 0);
  assertStringIncludes(
    killed.stderr,
    "(deno) is not /bin/cat and was left alone: removed the stale",
  );
  assertEquals([...Deno.readDirSync(dir.path)], []);
  assert(runs(stranger.pid));
});

Deno.test("--exec: a program that an upgrade has replaced is still the same", async () => {
  using dir = new TempDir();
  const program = dir.file("web");
  Deno.copyFileSync("/bin/sleep", program);
  await using job = await Running.start("sh", ["-c", `echo ready; exec ${program} 600`]);
  const link = `/proc/${job.pid}/exe`;
  await until(() => Deno.readLinkSync(link) === program, "the shell has become the program");
  const path = dir.write("web.pid", String(job.pid));
  // Replaced by another file, as a package manager does it; then removed for good.
  Deno.copyFileSync("/bin/cat", `${program}.new`);
  Deno.renameSync(`${program}.new`, program);
  assertEquals(Deno.readLinkSync(link), `${program} (deleted)`);
  assertEquals((await status(path, "--exec", program)).code, 0);
  Deno.removeSync(program);
  assertEquals((await status(path, "--exec", program)).code, 0);
});

Deno.test("--exec: a path without a program is refused, so that no typing error kills", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const exec = ["--pid-file", path, "--exec", "/usr/bin/no-such-program"];
  for (const args of [["claim", "--pid", "17"], ["kill"]]) {
    const { code, stderr } = await sipid(...args, ...exec);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "--exec: there is no program /usr/bin/no-such-program");
  }
  assertEquals((await sipid("status", ...exec)).code, 4);
  assert(runs(job.pid));
  assertEquals(Deno.readTextFileSync(path), String(job.pid));
});

Deno.test("--exec: nobody cannot tell what root runs, and is told so", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", Deno.uid() === 0 ? String(Deno.pid) : "1");
  const exec = ["--pid-file", path, "--exec", "/bin/cat"];
  const { code, stdout } = await asNobody(SIPID, ["status", ...exec]);
  assertEquals(code, 4);
  assertMatch(stdout, /cannot tell which program process \d+ \(.*\) runs: permission denied; run/);
});

Deno.test("--exec: of start scripts at once one wins, though none is the program yet", async () => {
  using dir = new TempDir();
  const [path, log] = [dir.file("web.pid"), dir.file("log")];
  // The winner stays a shell for a while, then a program that starts the other, then the other.
  const script = dir.write(
    "start",
    `set -eu
     ${SIPID} claim --pid $$ --pid-file ${path} --exec /bin/sleep || exit 3
     echo "won $$" >> ${log}; sleep 0.3
     exec nice /bin/sh -c 'sleep 0.3; exec /bin/sleep 600' /bin/sleep`,
  );
  const starts = Array.from({ length: 10 }, (_, i) =>
    new Deno.Command("sh", {
      args: ["-c", `sleep 0.0${i}; exec sh ${script}`],
      stdin: "null",
      stderr: "null",
    }).spawn());
  try {
    await until(() => {
      try {
        return Deno.readTextFileSync(log) !== "";
      } catch {
        return false;
      }
    }, "somebody has won");
    const winner = Number(/won (\d+)/.exec(Deno.readTextFileSync(log))![1]);
    const losers = starts.filter(({ pid }) => pid !== winner);
    assertEquals(losers.length, 9);
    assertEquals(
      (await Promise.all(losers.map(({ status }) => status))).map(({ code }) => code),
      Array(9).fill(3),
    );
    assertEquals(Deno.readTextFileSync(log), `won ${winner}\n`);
  } finally {
    for (const { pid } of starts) if (runs(pid)) Deno.kill(pid, "SIGKILL");
    await Promise.all(starts.map(({ status }) => status));
  }
});

Deno.test("a refused claim says when the PID was probably recycled", async () => {
  using dir = new TempDir();
  await using stranger = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(stranger.pid));
  Deno.utimeSync(path, Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
  const old = await sipid("claim", "--pid", "17", "--pid-file", path);
  assertEquals(old.code, 1);
  assertStringIncludes(
    old.stderr,
    "it started after the pidfile was written, so its PID was probably",
  );
  assertStringIncludes(old.stderr, "--exec PATH, with the path of your program, settles it");
});
