/** The compiled `sipid status`, and --exec with each command that has it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { httpServer } from "../servers.ts";
import {
  asNobody,
  deadPid,
  exists,
  expectResult,
  fixture,
  isRunning,
  Job,
  type Result,
  ROOT,
  Running,
  SIPID,
  sipid,
  TempDir,
  until,
} from "../support.ts";

const DENO = Deno.realPathSync(Deno.execPath());

function status(path: string, ...flags: string[]): Promise<Result> {
  return sipid("status", "--pid-file", path, ...flags);
}

Deno.test("status of a running process is 0", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await status(path), {
    code: 0,
    stderr: "",
    stdout: new RegExp(`^running ${job.pid} \\(deno\\), up \\d+s\n$`),
  });
});

Deno.test("status of a stale pidfile is 1", async () => {
  using dir = new TempDir();
  const pid = await deadPid();
  const path = dir.write("web.pid", String(pid));
  expectResult(await status(path), {
    code: 1,
    stdout: `dead: process ${pid} is not running; stale pidfile ${path}\n`,
    stderr: "",
  });
  const empty = dir.write("empty.pid", "");
  expectResult(await status(empty), {
    code: 1,
    stdout: `dead: empty pidfile ${empty}\n`,
    stderr: "",
  });
});

Deno.test("status without a pidfile is 3", async () => {
  using dir = new TempDir();
  expectResult(await status(dir.file("web.pid")), { code: 3, stdout: "not running\n", stderr: "" });
});

Deno.test("status of a pidfile that is invalid or cannot be read is 4, with the reason", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "-1");
  expectResult(await status(path), {
    code: 4,
    stdout: `unknown: ${path}: does not contain a valid pid: it begins with "-1" (2 bytes)\n`,
    stderr: "",
  });
  const directory = expectResult(await status(dir.path), { code: 4 });
  assertStringIncludes(directory.stdout, `unknown: ${dir.path}: is a directory`);
  Deno.chmodSync(path, 0);
  expectResult(await asNobody(SIPID, ["status", "--pid-file", path]), {
    code: 4,
    stdout: /^unknown: cannot open .*: permission denied; run as root/,
  });
});

Deno.test("status works for an unprivileged user", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await asNobody(SIPID, ["status", "--pid-file", path]), {
    code: 0,
    stdout: new RegExp(`^running ${job.pid} \\(deno\\), up \\d+s\n$`),
  });
});

Deno.test("status --json prints one object", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const running = expectResult(await status(path, "--json"), { code: 0 });
  const { startedAt, uptimeSeconds, ...rest } = JSON.parse(running.stdout);
  assertEquals(rest, {
    pid: job.pid,
    state: "running",
    reason: null,
    program: "deno",
    pidFile: path,
  });
  assert(Math.abs(Date.now() - Date.parse(startedAt)) < 60_000);
  assert(uptimeSeconds >= 0 && uptimeSeconds < 60);
  const none = { program: null, startedAt: null, uptimeSeconds: null };
  const dead = await deadPid();
  const cases: [string, number, Record<string, unknown>][] = [
    [dir.write("dead.pid", String(dead)), 1, {
      pid: dead,
      state: "dead",
      reason: `process ${dead} is not running; stale pidfile ${dir.file("dead.pid")}`,
    }],
    [dir.file("none.pid"), 3, { pid: null, state: "stopped", reason: null }],
    [dir.write("bad.pid", "x"), 4, {
      pid: null,
      state: "unknown",
      reason: `${dir.file("bad.pid")}: does not contain a valid pid: it begins with "x" (1 bytes)`,
    }],
  ];
  for (const [pidFile, code, object] of cases) {
    const result = expectResult(await status(pidFile, "--json"), { code });
    assertEquals(JSON.parse(result.stdout), { ...object, ...none, pidFile });
  }
});

Deno.test("the documentation lists every value of state, and no other", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const pidfiles = [
    dir.write("own.pid", String(job.pid)),
    dir.write("dead.pid", String(await deadPid())),
    dir.file("none.pid"),
    dir.write("bad.pid", "x"),
  ];
  const states = await Promise.all(
    pidfiles.map(async (path) => JSON.parse((await status(path, "--json")).stdout).state),
  );
  const texts = {
    help: (await sipid("help", "status")).stdout,
    "the man page": Deno.readTextFileSync(`${ROOT}docs/sipid.1`),
    "the README": Deno.readTextFileSync(`${ROOT}README.md`),
  };
  for (const [where, text] of Object.entries(texts)) {
    const [, listed = ""] = /\bstate`?\s+\(([^)]*)\)/.exec(text) ?? [];
    assertEquals(listed.replaceAll("`", "").split(/,\s+/), states, where);
  }
});

Deno.test("status warns root about a pidfile that other users can write", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  Deno.chmodSync(path, 0o666);
  const { stderr } = expectResult(await status(path), { code: 0 });
  if (Deno.uid() === 0) assertStringIncludes(stderr, `warning: ${path}: can be written by others`);
});

// --exec

Deno.test("--exec: a process that runs the program is the pidfile's own", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  // By its path, by a symlink to the file, and through a directory that is a symlink.
  Deno.symlinkSync(DENO, dir.file("link"));
  Deno.symlinkSync(DENO.replace(/\/[^/]*$/, ""), dir.file("package"));
  for (const program of [DENO, dir.file("link"), `${dir.path}/package/deno`]) {
    expectResult(await status(path, "--exec", program), { code: 0 });
    expectResult(
      await sipid(
        "claim",
        "--pid",
        "17",
        "--pid-file",
        path,
        "--exec",
        program,
      ),
      { code: 1, stderr: "already exists" },
    );
  }
  await using server = await Promise.resolve(httpServer(() => new Response()));
  const wait = ["wait-until-healthy", "--url", server.url, "--pid-file", path];
  expectResult(await sipid(...wait, "--exec", DENO), { code: 0 });
  expectResult(await sipid("kill", "--pid-file", path, "--exec", DENO), { code: 0 });
  expectResult(await job.result(), { code: 0 });
});

Deno.test("--exec: an unrelated process does not block a claim, is not signalled, and counts as not running", async () => {
  using dir = new TempDir();
  await using unrelated = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(unrelated.pid));
  const exec = ["--exec", "/bin/cat"];
  // Written before it started.
  const hourAgo = Date.now() / 1000 - 3600;
  Deno.utimeSync(path, hourAgo, hourAgo);
  const other = `process ${unrelated.pid} (deno) runs ${DENO}, not /bin/cat`;
  expectResult(await status(path, ...exec), {
    code: 1,
    stdout: `dead: ${other}; stale pidfile ${path}\n`,
    stderr: "",
  });
  const wait = ["wait-until-healthy", "--url", "http://127.0.0.1:2/", "--pid-file", path];
  expectResult(await sipid(...wait, ...exec), {
    code: 1,
    stderr: `${path}: ${other}; see the log of the service`,
  });

  const claimed = expectResult(await sipid("claim", "--pid", "17", "--pid-file", path, ...exec), {
    code: 0,
  });
  assertEquals(Deno.readTextFileSync(path), "17");
  assertStringIncludes(claimed.stderr, `${path}: was stale (${other}); claimed for process 17`);

  Deno.writeTextFileSync(path, String(unrelated.pid));
  Deno.utimeSync(path, hourAgo, hourAgo);
  expectResult(await sipid("kill", "--pid-file", path, ...exec), {
    code: 0,
    stderr: `${path}: ${other}, and was not signalled; removed the stale pidfile`,
  });
  assertEquals([...Deno.readDirSync(dir.path)], []);
  assert(isRunning(unrelated.pid));
});

Deno.test("--exec: a process still matches after an upgrade has replaced its program", async () => {
  using dir = new TempDir();
  const program = dir.file("web");
  Deno.copyFileSync("/bin/sleep", program);
  await using job = await Running.start("sh", ["-c", `echo ready; exec ${program} 600`]);
  const link = `/proc/${job.pid}/exe`;
  await until(() => Deno.readLinkSync(link) === program, "the shell has become the program");
  const path = dir.write("web.pid", String(job.pid));
  // Replaced by another file, as package managers do; then removed.
  Deno.copyFileSync("/bin/cat", `${program}.new`);
  Deno.renameSync(`${program}.new`, program);
  assertEquals(Deno.readLinkSync(link), `${program} (deleted)`);
  expectResult(await status(path, "--exec", program), { code: 0 });
  Deno.removeSync(program);
  expectResult(await status(path, "--exec", program), { code: 0 });
});

Deno.test("--exec: a path without a file is rejected, so that a typo does not make a pidfile stale", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  // Older than the process, so that another program would make it stale.
  Deno.utimeSync(path, 1, 1);
  for (
    const [program, fact] of [
      ["/usr/bin/no-such-program", "no such file"],
      ["/usr/bin", "is not a file"],
    ] as const
  ) {
    const exec = ["--pid-file", path, "--exec", program];
    for (const args of [["claim", "--pid", "17"], ["kill"]]) {
      expectResult(await sipid(...args, ...exec), {
        code: 1,
        stderr: `--exec ${program}: ${fact}`,
      });
    }
    expectResult(await sipid("status", ...exec), { code: 4 });
  }
  assert(isRunning(job.pid));
  assert(exists(path));
  assertEquals(Deno.readTextFileSync(path), String(job.pid));
});

Deno.test("--exec: an unprivileged user cannot read what root runs, and status says so", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", Deno.uid() === 0 ? String(Deno.pid) : "1");
  const exec = ["--pid-file", path, "--exec", "/bin/cat"];
  expectResult(await asNobody(SIPID, ["status", ...exec]), {
    code: 4,
    stdout:
      /^unknown: .*: process \d+ \(.*\) may not be the process .*: what it runs is hidden; leave out --exec, or run this as root/,
  });
});

Deno.test("--exec: one of several concurrent start scripts wins before any has become the program", async () => {
  using dir = new TempDir();
  const [path, log] = [dir.file("web.pid"), dir.file("log")];
  // The winner stays a shell for a while, then becomes a wrapper, then the program.
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
    }, "a start script has won");
    const winner = Number(/won (\d+)/.exec(Deno.readTextFileSync(log))![1]);
    const losers = starts.filter(({ pid }) => pid !== winner);
    assertEquals(losers.length, 9);
    assertEquals(
      (await Promise.all(losers.map(({ status }) => status))).map(({ code }) => code),
      Array(9).fill(3),
    );
    assertEquals(Deno.readTextFileSync(log), `won ${winner}\n`);
  } finally {
    for (const { pid } of starts) if (isRunning(pid)) Deno.kill(pid, "SIGKILL");
    await Promise.all(starts.map(({ status }) => status));
  }
});

Deno.test("a claim that fails reports that the PID was probably recycled", async () => {
  using dir = new TempDir();
  await using unrelated = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(unrelated.pid));
  Deno.utimeSync(path, Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
  expectResult(await sipid("claim", "--pid", "17", "--pid-file", path), {
    code: 1,
    stderr: [
      "after the pidfile was last modified at ",
      "; its PID was probably recycled, or the clock was set; --exec PATH",
    ],
  });
});
