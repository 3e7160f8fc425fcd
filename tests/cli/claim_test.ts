/** The compiled `sipid claim` on real files, locks and processes. */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import {
  asNobody,
  deadPid,
  expectResult,
  fixture,
  isRunning,
  Job,
  lockedElsewhere,
  readIfExists,
  type Result,
  run,
  SIPID,
  sipid,
  start,
  TempDir,
  until,
  zombie,
} from "../support.ts";
import { delay } from "@std/async/delay";
import { elapsed, traced } from "../strace.ts";

/** A running process. */
const PID = Deno.pid;

/** Milliseconds a timer may be late on a busy machine; less than what a limit could be mistaken for. */
const LATE_MS = 600;

function claim(pid: number | string, path: string): Promise<Result> {
  return sipid("claim", "--pid", String(pid), "--pid-file", path);
}

function assertDone(result: Result): void {
  expectResult(result, { code: 0, stdout: "", stderr: "" });
}

Deno.test("claim creates the directory and its parents", async () => {
  using dir = new TempDir();
  assertDone(await claim(PID, dir.file("a/b/c/web.pid")));
  assertEquals(Deno.readTextFileSync(dir.file("a/b/c/web.pid")), String(PID));
});

Deno.test("claim applies the umask to directories and to the file", async () => {
  using dir = new TempDir();
  const path = dir.file("a/web.pid");
  const script = `umask 027; exec ${SIPID} claim --pid ${PID} --pid-file ${path}`;
  assertDone(await run("sh", ["-c", script]));
  assertEquals(Deno.statSync(dir.file("a")).mode! & 0o777, 0o750);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o640);
});

Deno.test("claim creates no directory that everyone can write, which would keep kill from signalling", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.file("a/b/web.pid");
  const script = `umask 0; exec ${SIPID} claim --pid ${job.pid} --pid-file ${path}`;
  expectResult(await run("sh", ["-c", script]), { code: 0, stderr: "" });
  const modes = ["a", "a/b"].map((name) => Deno.statSync(dir.file(name)).mode! & 0o777);
  assertEquals(modes, [0o775, 0o775]);
  expectResult(await sipid("kill", "--pid-file", path), { code: 0, stderr: "exited after" });
});

Deno.test("claim creates a new file with mode 0644", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  assertDone(
    await run("sh", [
      "-c",
      `umask 0; exec ${SIPID} claim --pid ${PID} --pid-file ${path}`,
    ]),
  );
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o644);
});

Deno.test("claim accepts a pidfile in the working directory", async () => {
  using dir = new TempDir();
  const args = ["claim", "--pid", String(PID), "--pid-file", "web.pid"];
  assertDone(await run(SIPID, args, { cwd: dir.path }));
  assertEquals(Deno.readTextFileSync(dir.file("web.pid")), String(PID));
});

Deno.test("claim refuses a pidfile whose daemon wrote a NUL byte after its PID, and kill stops it", async () => {
  // As lockfile() in "Advanced Programming in the UNIX Environment" does, and whatever copied it.
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", `${job.pid}\0`);
  expectResult(await claim(PID, path), { code: 1, stderr: `process ${job.pid} (` });
  expectResult(await sipid("kill", "--pid-file", path), {
    code: 0,
    stderr: `sent SIGTERM to process ${job.pid}`,
  });
});

const STALE: Record<
  string,
  (dir: TempDir) => string | Uint8Array | Promise<string>
> = {
  "an empty file": () => "",
  "a damaged PID": () => "17\0\0 +8\n",
  "NUL bytes": () => new Uint8Array(4096),
  "-100": () => "-100",
  "a number too large for a PID": () => "2147483648",
  "a dead process": async () => `${await deadPid()}\n`,
  "a longer number": () => "4194303000000000000000000000\n",
};
for (const [what, content] of Object.entries(STALE)) {
  Deno.test(`claim replaces ${what}`, async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", await content(dir));
    assertDone(await claim(PID, path));
    assertEquals(Deno.readTextFileSync(path), String(PID));
  });
}

Deno.test("claim replaces a zombie", async () => {
  using dir = new TempDir();
  const { pid, parent } = await zombie();
  await using _parent = parent;
  assertDone(await claim(PID, dir.write("web.pid", String(pid))));
  assert(Deno.readTextFileSync(`/proc/${pid}/stat`).includes(") Z "), "it is still there");
});

Deno.test("claim replaces the ID of a thread, which is not a PID", async () => {
  using dir = new TempDir();
  await using holder = await fixture("exits_on_term");
  const tasks = [...Deno.readDirSync(`/proc/${holder.pid}/task`)].map((
    { name },
  ) => name);
  const thread = tasks.find((name) => name !== String(holder.pid));
  assert(thread !== undefined, "the fixture has several threads");
  assertDone(await claim(PID, dir.write("web.pid", thread)));
});

Deno.test("claim does not replace a process whose first thread has exited", async () => {
  using dir = new TempDir();
  await using holder = await fixture("first_thread_exits");
  await until(() => !isRunning(holder.pid), "its first thread shows as a zombie");
  expectResult(
    await claim(
      PID,
      dir.write("web.pid", String(holder.pid)),
    ),
    { code: 1, stderr: `process ${holder.pid} (` },
  );
});

Deno.test("claim fails while the process in the file is running, and names it", async () => {
  using dir = new TempDir();
  await using holder = await fixture("exits_on_term");
  const path = dir.write("web.pid", `${holder.pid}\n`);
  expectResult(await claim(PID, path), {
    code: 1,
    stdout: "",
    stderr: [
      `process ${holder.pid} (${path}) already exists`,
      /already exists: deno, running since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+s\)/,
      `stop it first: sipid kill --pid-file ${path}`,
    ],
  });
  assertEquals(Deno.readTextFileSync(path), `${holder.pid}\n`);
});

Deno.test("claim does not advise to kill PID 1, which the pidfile of another container can name", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "1");
  expectResult(await claim(PID, path), {
    code: 1,
    stderr: [
      `process 1 (${path}) already exists`,
      "; remove the pidfile if it is from another machine or container\n",
    ],
  });
});

Deno.test("claim prints when a process started, to about a second", async () => {
  using dir = new TempDir();
  const before = Date.now();
  await using holder = await fixture("exits_on_term");
  const result = await claim(PID, dir.write("web.pid", String(holder.pid)));
  const { stderr } = expectResult(result, { code: 1 });
  const since = Date.parse(/running since (\S+)/.exec(stderr)![1]!);
  assertLess(Math.abs(since - before), 3_000);
});

Deno.test("claim fails if the PID is in the file already", async () => {
  using dir = new TempDir();
  await using holder = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(holder.pid));
  expectResult(await claim(holder.pid, path), {
    code: 1,
    stderr: [`process ${holder.pid} (${path}) is already in the pidfile`, ": deno, running since "],
  });
});

Deno.test("claim by an unprivileged user fails while root's process is running", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", Deno.uid() === 0 ? String(Deno.pid) : "1");
  Deno.chmodSync(path, 0o666);
  expectResult(
    await asNobody(SIPID, [
      "claim",
      "--pid",
      "17",
      "--pid-file",
      path,
    ]),
    { code: 1, stderr: "already exists" },
  );
});

Deno.test("claim waits 400 ms for a lock that another process holds, then names it", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  await using locker = await lockedElsewhere(path);
  const { result, log } = await traced(dir, ["-r", "-e", "trace=flock,openat"], [
    ...["claim", "--pid", String(PID), "--pid-file", path],
  ]);
  expectResult(result, {
    code: 1,
    stderr: `another process is locking ${path}: process ${locker.pid} (sleep)`,
  });
  // From the opening of the file: strace may see flock(2), in a thread of its own, later.
  const waited = elapsed(log, /\/web\.pid"/, /"\/proc\/locks"/);
  assertGreaterOrEqual(waited, 400);
  assertLess(waited, 400 + LATE_MS);
  assertEquals(Deno.readTextFileSync(path), "");
});

Deno.test("claim waits for a lock whose holder is in another PID namespace", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  await using locker = await lockedElsewhere(path);
  const log = dir.file("strace.log");
  // In its own PID namespace, sipid does not see who holds the lock.
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  const claiming = start("unshare", [
    ...[...user, "--pid", "--fork", "--mount-proc", "strace", "-f", "-e", "trace=openat"],
    ...["-o", log, SIPID, "claim", "--pid", "1", "--pid-file", path],
  ]);
  let hasExited = false;
  const result = claiming.result.finally(() => hasExited = true);
  await until(() => /"\/proc\/locks"/.test(readIfExists(log) ?? ""), "claim looks for the holder");
  // A claim that gave up would read /proc/locks again, and exit; this one has ten seconds.
  await delay(LATE_MS);
  assert(!hasExited, "claim is still waiting");
  locker.kill("SIGKILL");
  assertDone(await result);
  assertEquals(Deno.readTextFileSync(path), "1");
});

Deno.test("claim replaces a temporary file that a killed claim has left behind", async () => {
  for (const content of ["", "2147483647"]) {
    using dir = new TempDir();
    const path = dir.write("web.pid", content);
    for (const name of [".web.pid.new", ".web.pid.claim-new"]) dir.write(name, "214");
    assertDone(await claim(Deno.pid, path));
    assertEquals(Deno.readTextFileSync(path), String(Deno.pid));
    const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
    assertEquals(names, [".web.pid.claim", "web.pid"]);
  }
});

Deno.test("claim waits for a lock that is released in time", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  await using _locker = await lockedElsewhere(path, "echo ready; sleep 0.1");
  assertDone(await claim(PID, path));
});

Deno.test("claim replaces longer and shorter content as a whole", async () => {
  using dir = new TempDir();
  for (const old of ["2147483647 1", "0", " ".repeat(100)]) {
    assertDone(await claim(PID, dir.write("web.pid", old)));
    assertEquals(Deno.readTextFileSync(dir.file("web.pid")), String(PID));
  }
});

const FOREIGN: Record<string, [content: string | Uint8Array, shown: string]> = {
  "a configuration file": ["precious: config\n", '"precious: config\\n" (17 bytes)'],
  "PostgreSQL's postmaster.pid": [
    "2147483647\n/var/lib/postgresql\n",
    '"2147483647\\n/var/lib/post…" (31 bytes)',
  ],
  "a PID and a word": ["17 web", '"17 web" (6 bytes)'],
  "bytes that are not text": [new Uint8Array([0, 255, 17]), "(3 bytes)"],
  "a file longer than any pidfile": [new Uint8Array(65_537), "(65537 bytes)"],
};
for (const [what, [content, shown]] of Object.entries(FOREIGN)) {
  Deno.test(`claim does not overwrite ${what}`, async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", content);
    const before = Deno.readFileSync(path);
    expectResult(await claim(PID, path), {
      code: 1,
      stderr: [
        `${path}: is not a pidfile: it begins with "`,
        `${shown}; use another path, or remove it`,
      ],
    });
    assertEquals(Deno.readFileSync(path), before);
  });
}

const NOT_REGULAR_FILES: Record<string, (path: string) => unknown> = {
  "a directory": (path) => Deno.mkdirSync(path),
  "a symlink": (path) => {
    Deno.writeTextFileSync(`${path}.target`, "untouched");
    Deno.symlinkSync(`${path}.target`, path);
  },
  "a FIFO": (path) => new Deno.Command("mkfifo", { args: [path] }).outputSync(),
};
for (const [what, make] of Object.entries(NOT_REGULAR_FILES)) {
  Deno.test(`claim and kill reject ${what} and leave it unchanged`, async () => {
    using dir = new TempDir();
    const path = dir.file("web.pid");
    make(path);
    for (const args of [["claim", "--pid", "17"], ["kill"]]) {
      expectResult(await sipid(...args, "--pid-file", path), {
        code: 1,
        stderr: `${path}: is ${what}, not a regular file`,
      });
    }
    const target = `${path}.target`;
    if (what === "a symlink") {
      assertEquals(Deno.readTextFileSync(target), "untouched");
    }
  });
}

Deno.test("claim does not follow a dangling symlink", async () => {
  using dir = new TempDir();
  Deno.symlinkSync(dir.file("target"), dir.file("web.pid"));
  expectResult(await claim(PID, dir.file("web.pid")), { code: 1 });
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), [
    "web.pid",
  ]);
});

Deno.test("claim and kill reject a device", async () => {
  for (const args of [["claim", "--pid", "17"], ["kill"]]) {
    expectResult(await sipid(...args, "--pid-file", "/dev/null"), {
      code: 1,
      stderr: "/dev/null: is a device",
    });
  }
});

Deno.test("claim reports a parent of the pidfile that is a file", async () => {
  using dir = new TempDir();
  dir.write("file", "kept");
  for (
    const path of [dir.file("file/web.pid"), dir.file("file/deeper/web.pid")]
  ) {
    expectResult(await claim(PID, path), { code: 1, stderr: /not a directory/ });
  }
  assertEquals(Deno.readTextFileSync(dir.file("file")), "kept");
});

Deno.test("claim gives an empty pidfile 200 ms to be written, as a daemon that empties it first does", async () => {
  using dir = new TempDir();
  await using daemon = new Job();
  const path = dir.write("web.pid", "");
  const claiming = claim(PID, path);
  await delay(150);
  Deno.writeTextFileSync(path, String(daemon.pid));
  expectResult(await claiming, {
    code: 1,
    stderr: `process ${daemon.pid} (${path}) already exists`,
  });
});

Deno.test("claim takes a pidfile that stays empty after 200 ms, and any other at once", async () => {
  using dir = new TempDir();
  for (const [content, least] of [[undefined, 0], ["2147483647", 0], ["", 195]] as const) {
    const path = dir.file("web.pid");
    if (content !== undefined) dir.write("web.pid", content);
    const { result, log } = await traced(dir, ["-r", "-e", "trace=flock,openat"], [
      "claim",
      "--pid",
      String(PID),
      "--pid-file",
      path,
    ]);
    assertDone(result);
    const locks = log.match(/flock\(/g)!.length;
    const waited = elapsed(log, /flock\(/, /web\.pid\.new"/);
    if (least === 0) assertEquals(locks, 1, log);
    else assertGreaterOrEqual(locks, 2);
    assertGreaterOrEqual(waited, least);
    assertLess(waited, least + LATE_MS);
    Deno.removeSync(path);
  }
});

Deno.test("claim without permission reports it and changes nothing", async () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("run"));
  const path = dir.write("run/web.pid", "kept");
  Deno.chmodSync(path, 0o600);
  if (Deno.uid() !== 0) Deno.chmodSync(path, 0o400);
  for (const to of [path, dir.file("run/new.pid")]) {
    if (Deno.uid() !== 0) Deno.chmodSync(dir.file("run"), 0o500);
    expectResult(
      await asNobody(SIPID, [
        "claim",
        "--pid",
        String(PID),
        "--pid-file",
        to,
      ]),
      { code: 1, stderr: `cannot open ${to}: permission denied; run as root or as its owner` },
    );
  }
  Deno.chmodSync(dir.file("run"), 0o755);
  assertEquals([...Deno.readDirSync(dir.file("run"))].map(({ name }) => name), [
    "web.pid",
  ]);
  assertEquals(Deno.readTextFileSync(path), "kept");
});

for (const [what, before] of [["no pidfile", undefined], ["a stale pidfile", "2147483647"]]) {
  Deno.test(`exactly one of a hundred concurrent claims on ${what} succeeds`, async () => {
    using dir = new TempDir();
    const path = dir.file("run/web.pid");
    if (before !== undefined) {
      Deno.mkdirSync(dir.file("run"));
      Deno.writeTextFileSync(path, before);
    }
    // All claim the PID of one running process, so that the second claim must fail.
    const racers = Array.from({ length: 100 }, () => claim(Deno.pid, path));
    const results = await Promise.all(racers);
    assertEquals(results.filter(({ code }) => code === 0).length, 1);
    for (const { code, stderr } of results) {
      if (code !== 0) assertMatch(stderr, /is already in the pidfile|another process is locking/);
    }
    assertEquals([...Deno.readDirSync(dir.file("run"))].map(({ name }) => name).sort(), [
      ".web.pid.claim",
      "web.pid",
    ]);
    assertEquals(Deno.readTextFileSync(path), String(Deno.pid));
  });
}

Deno.test("claim writes to a pidfile its user owns, in a directory they cannot write", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "2147483647\n");
  if (Deno.uid() === 0) Deno.chownSync(path, 65534, 65534);
  else Deno.chmodSync(dir.path, 0o555);
  const result = await asNobody(SIPID, ["claim", "--pid", String(PID), "--pid-file", path]);
  Deno.chmodSync(dir.path, 0o755);
  expectResult(result, {
    code: 0,
    stderr: "cannot write the claim record ",
  });
  assertEquals(Deno.readTextFileSync(path), String(PID));
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["web.pid"]);
});

Deno.test("a claim that races with a kill never writes to a deleted file", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const dead = String(await deadPid());
  for (let round = 0; round < 200; round++) {
    dir.write("web.pid", dead);
    await using job = new Job();
    const killing = round % 2 === 0 ? sipid("kill", "--pid-file", path) : undefined;
    const claiming = claim(job.pid, path);
    const [claimed, killed] = await Promise.all([
      claiming,
      killing ?? sipid("kill", "--pid-file", path),
    ]);
    const context = `round ${round}: ${claimed.stderr}${killed.stderr}`;
    for (const result of [claimed, killed]) expectResult(result, { code: 0 });
    // If the kill was last, it has stopped the job; if the claim was, the file names the job. A job
    // that is running without a pidfile could never be stopped.
    if (isRunning(job.pid)) {
      assertEquals(Deno.readTextFileSync(path), String(job.pid), context);
    } else {
      assertEquals([...Deno.readDirSync(dir.path)], [], context);
    }
  }
});
