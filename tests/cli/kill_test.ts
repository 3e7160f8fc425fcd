/** The compiled `sipid kill` on real processes. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotMatch,
} from "@std/assert";
import {
  asNobody,
  deadPid,
  exists,
  expectResult,
  fixture,
  isRunning,
  Job,
  lockedElsewhere,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  until,
} from "../support.ts";
import { elapsed, traced } from "../strace.ts";

function kill(path: string, ...flags: string[]): Promise<Result> {
  return sipid("kill", "--pid-file", path, ...flags);
}

Deno.test("kill without a pidfile succeeds and reports that there is nothing to do", async () => {
  using dir = new TempDir();
  for (const path of [dir.file("web.pid"), dir.file("no/such/web.pid")]) {
    expectResult(await kill(path), {
      code: 0,
      stdout: "",
      stderr: `${path}: does not exist; nothing to kill`,
    });
  }
});

Deno.test("kill stops a process, returns at once, and removes the pidfile", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const { ms } = expectResult(await kill(path), {
    code: 0,
    stdout: "",
    stderr: [
      `sent SIGTERM to process ${job.pid} (deno)`,
      new RegExp(`process ${job.pid} \\(deno\\) exited after \\d+ms`),
      `removed ${path}`,
    ],
  });
  assertLess(ms, SLACK_MS);
  expectResult(await job.result(), { code: 0 });
  assert(!exists(path));
});

Deno.test("kill waits for a process that exits slowly", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_slowly", "1200");
  const { stderr, ms } = expectResult(
    await kill(
      dir.write("web.pid", String(job.pid)),
    ),
    { code: 0, stderr: /exited after 1\.\ds/ },
  );
  assertGreaterOrEqual(ms, 1_200);
  assertLess(ms, 1_200 + SLACK_MS);
  assertNotMatch(stderr, /SIGKILL/);
});

Deno.test("kill sends SIGKILL after the grace period", async () => {
  using dir = new TempDir();
  await using job = await fixture("ignores_term");
  const path = dir.write("web.pid", String(job.pid));
  const { stderr, ms } = expectResult(await kill(path, "--grace-period", "600ms"), {
    code: 0,
    stderr: [
      "is still running after 600ms",
      `sent SIGKILL to process ${job.pid} (deno)`,
    ],
  });
  assertNotMatch(stderr, /SIGQUIT/);
  assertGreaterOrEqual(ms, 600);
  assertLess(ms, 600 + SLACK_MS);
  expectResult(await job.result(), { code: 128 + 9 });
  assert(!exists(path));
});

Deno.test("kill has a grace period of 20 s by default", async () => {
  using dir = new TempDir();
  await using job = await fixture("ignores_term");
  const { ms, stderr } = expectResult(
    await kill(
      dir.write("web.pid", String(job.pid)),
    ),
    {
      code: 0,
      stderr: [
        `waiting for process ${job.pid} (deno): 10s of 20s, then SIGKILL`,
        "is still running after 20s",
      ],
    },
  );
  // Not right before the line that says so.
  assertNotMatch(stderr, /waiting for [^\n]*20s of 20s/);
  assertGreaterOrEqual(ms, 20_000);
  assertLess(ms, 20_000 + SLACK_MS);
});

Deno.test("kill with --grace-period 0s sends SIGKILL right after SIGTERM", async () => {
  using dir = new TempDir();
  await using job = await fixture("ignores_term");
  const { ms } = expectResult(
    await kill(
      dir.write("web.pid", `${job.pid}`),
      "--grace-period=0s",
    ),
    { code: 0, stderr: /SIGTERM[^]*SIGKILL/ },
  );
  assertLess(ms, SLACK_MS);
});

Deno.test("kill --show-stacks sends SIGQUIT, and SIGKILL a second later", async () => {
  using dir = new TempDir();
  await using job = await fixture("dumps_on_quit");
  const path = dir.write("web.pid", String(job.pid));
  const { result, log } = await traced(dir, ["-r", "-e", "trace=kill,pidfd_send_signal"], [
    ...["kill", "--pid-file", path, "--show-stacks", "--grace-period", "200ms"],
  ]);
  expectResult(result, { code: 0, stderr: /SIGTERM[^]*SIGQUIT[^]*SIGKILL/ });
  await job.line(/stack dump/);
  const waited = elapsed(log, /SIGQUIT/, /SIGKILL/);
  assertGreaterOrEqual(waited, 1_000);
  assertLess(waited, 1_000 + SLACK_MS);
  expectResult(await job.result(), { code: 128 + 9 });
});

Deno.test("kill --show-stacks returns at once if the process exits on SIGQUIT", async () => {
  using dir = new TempDir();
  await using job = await fixture("dumps_on_quit", "exit");
  const path = dir.write("web.pid", String(job.pid));
  const { stderr, ms } = expectResult(
    await kill(
      path,
      "--show-stacks",
      "--grace-period",
      "200ms",
    ),
    { code: 0 },
  );
  assertNotMatch(stderr, /SIGKILL/);
  assertLess(ms, 200 + SLACK_MS);
  assert(!exists(path));
});

Deno.test("kill without --show-stacks, or with it set to false, sends no SIGQUIT", async () => {
  using dir = new TempDir();
  await using job = await fixture("dumps_on_quit");
  const path = dir.write("web.pid", String(job.pid));
  const result = await kill(path, "--show-stacks=false", "--grace-period", "100ms");
  const { stderr } = expectResult(result, { code: 0, stderr: "sent SIGKILL" });
  assertNotMatch(stderr, /SIGQUIT/);
  expectResult(await job.result(), { code: 128 + 9 });
});

Deno.test("kill continues a stopped process, so that it can exit by itself", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  job.kill("SIGSTOP");
  await until(
    () => /\) T /.test(Deno.readTextFileSync(`/proc/${job.pid}/stat`)),
    "it is stopped",
  );
  const { ms } = expectResult(
    await kill(
      dir.write("web.pid", String(job.pid)),
    ),
    { code: 0, stderr: /SIGTERM[^]*SIGCONT[^]*exited/ },
  );
  assertLess(ms, SLACK_MS);
  expectResult(await job.result(), { code: 0 });
});

Deno.test("kill sends no SIGCONT to a process that is not stopped", async () => {
  using dir = new TempDir();
  await using job = await fixture("prints_signals");
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await kill(path, "--grace-period", "100ms", "--show-stacks"), { code: 0 });
  const { index, 0: seen } = await job.line(/^ready\n(SIG\w+\n){2}/);
  assertEquals([index, seen], [0, "ready\nSIGTERM\nSIGQUIT\n"]);
});

Deno.test("kill treats a zombie as exited, at once", async () => {
  using dir = new TempDir();
  // The parent becomes a program that never reaps.
  const script = "sleep 600 & echo child $!; echo ready; exec sleep 600";
  await using parent = await Running.start("sh", ["-c", script]);
  const child = Number((await parent.line(/child (\d+)/))[1]);
  const name = `/proc/${parent.pid}/comm`;
  await until(() => Deno.readTextFileSync(name) === "sleep\n", "the parent has become sleep");
  const path = dir.write("web.pid", String(child));
  const first = expectResult(await kill(path), {
    code: 0,
    stderr: `sent SIGTERM to process ${child} (sleep)`,
  });
  assertLess(first.ms, SLACK_MS);
  assert(!exists(path));
  // It is a zombie now, and its pidfile would be stale.
  assert(/\) Z /.test(Deno.readTextFileSync(`/proc/${child}/stat`)));
  expectResult(await kill(dir.write("web.pid", String(child))), {
    code: 0,
    stderr: `process ${child} is not running; removed the stale pidfile`,
  });
});

Deno.test("kill stops a process whose first thread has exited", async () => {
  using dir = new TempDir();
  await using job = await fixture("first_thread_exits");
  await until(() => !isRunning(job.pid), "its first thread shows as a zombie");
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await kill(path, "--grace-period", "200ms"), {
    code: 0,
    stderr: `sent SIGTERM to process ${job.pid}`,
  });
  assert(!exists(path));
  await job.status;
});

Deno.test("kill continues a stopped process whose first thread has exited", async () => {
  using dir = new TempDir();
  await using job = await fixture("first_thread_exits");
  await until(() => !isRunning(job.pid), "its first thread shows as a zombie");
  job.kill("SIGSTOP");
  const path = dir.write("web.pid", String(job.pid));
  const { stderr } = expectResult(await kill(path), {
    code: 0,
    stderr: `sent SIGCONT to process ${job.pid}`,
  });
  assertNotMatch(stderr, /SIGKILL/);
  await job.status;
});

Deno.test("a process whose first thread has exited runs its program, as --exec is told", async () => {
  using dir = new TempDir();
  await using job = await fixture("first_thread_exits");
  await until(() => !isRunning(job.pid), "its first thread shows as a zombie");
  const path = dir.write("web.pid", String(job.pid));
  // As if the clock had been set since: only the program speaks for the process.
  const early = new Date(Date.now() - 3_600_000);
  Deno.utimeSync(path, early, early);
  const exec = ["--exec", Deno.execPath()];
  expectResult(await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path, ...exec), {
    code: 1,
    stderr: `process ${job.pid} (${path}) already exists: deno, running since`,
  });
  expectResult(await kill(path, "--dry-run", "--exec", "/bin/sh"), {
    code: 0,
    stdout: /runs \S+\/deno, not \/bin\/sh/,
  });
  expectResult(await kill(path, ...exec), {
    code: 0,
    stderr: `sent SIGTERM to process ${job.pid}`,
  });
  await job.status;
});

/** What the kernel answers when sipid asks for the program of a process. */
const HIDDEN_PROGRAMS: Record<string, string> = {
  // Between the release of the memory and the exit.
  "is exiting": "?readlink,readlinkat:error=ENOENT",
  "is on a file server that fails": "statx:error=ESTALE",
};
for (const [what, fault] of Object.entries(HIDDEN_PROGRAMS)) {
  Deno.test(`--exec does not take a program that ${what} for another one`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.write("web.pid", String(job.pid));
    const early = new Date(Date.now() - 3_600_000);
    Deno.utimeSync(path, early, early);
    const links = [`/proc/${job.pid}/exe`, `/proc/${job.pid}/task/${job.pid}/exe`];
    const options = [...links.flatMap((link) => ["-P", link]), "-e", `inject=${fault}`];
    for (const args of [["kill"], ["claim", "--pid", String(Deno.pid)]]) {
      const flags = [...args, "--pid-file", path, "--exec", "/bin/sleep"];
      const { result } = await traced(dir, options, flags);
      expectResult(result, { code: 1, stderr: "what it runs is hidden" });
      assertEquals(Deno.readTextFileSync(path), String(job.pid));
    }
  });
}

Deno.test("kill removes the pidfile of a process that is not running", async () => {
  using dir = new TempDir();
  const dead = await deadPid();
  const path = dir.write("web.pid", `${dead}\n`);
  expectResult(await kill(path), {
    code: 0,
    stderr: `${path}: process ${dead} is not running; removed the stale pidfile`,
  });
  assert(!exists(path));
});

Deno.test("kill never treats the ID of a thread as a PID", async () => {
  using dir = new TempDir();
  await using unrelated = await fixture("exits_on_term");
  const tasks = [...Deno.readDirSync(`/proc/${unrelated.pid}/task`)].map((
    { name },
  ) => name);
  const thread = tasks.find((name) => name !== String(unrelated.pid))!;
  expectResult(await kill(dir.write("web.pid", thread)), {
    code: 0,
    stderr: `process ${thread} is not running`,
  });
  assert(isRunning(unrelated.pid));
});

const EMPTY: Record<string, string> = {
  "an empty pidfile": "",
  "a pidfile of white space": " \n",
  "a pidfile of NUL bytes": "\0\0\0\0\0",
};
for (const [what, content] of Object.entries(EMPTY)) {
  Deno.test(`kill waits briefly for ${what} to be written, then removes it`, async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", content);
    const { ms } = expectResult(await kill(path), {
      code: 0,
      stderr: `${path}: is empty; removed the stale pidfile`,
    });
    assertGreaterOrEqual(ms, 200);
    assert(!exists(path));
  });
}

Deno.test("kill reads a PID that is written while it waits for an empty file", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", "");
  // The claim that is about to write holds the lock; kill must not remove its file.
  const script = `echo ready; sleep 0.3; printf %s ${job.pid} > ${path}; sleep 0.05`;
  await using _writer = await lockedElsewhere(path, script);
  expectResult(await kill(path), { code: 0, stderr: `sent SIGTERM to process ${job.pid}` });
  assert(!exists(path));
});

const WITHOUT_PROCESS: Record<string, () => Promise<string>> = {
  "an empty pidfile": () => Promise.resolve(""),
  "a stale pidfile": async () => String(await deadPid()),
};
for (const [what, content] of Object.entries(WITHOUT_PROCESS)) {
  Deno.test(`kill fails on ${what} that stays locked: a service may be starting`, async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", await content());
    await using locker = await lockedElsewhere(path);
    expectResult(await kill(path), {
      code: 1,
      stderr: [
        `; nothing was signalled: another process is locking ${path}: process ${locker.pid} (`,
        "; wait for it to exit, or find it with: fuser -v",
      ],
    });
    assert(exists(path) && isRunning(locker.pid));
  });

  Deno.test(`kill stops a daemon that keeps ${what} locked, and writes it meanwhile`, async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", await content());
    // As with pidfile(3): the lock is taken first, the PID is written later, the lock is kept.
    await using daemon = await lockedElsewhere(path);
    const stopped = kill(path);
    const waiter = new RegExp(`-> FLOCK .*:${Deno.statSync(path).ino} `);
    await until(() => waiter.test(Deno.readTextFileSync("/proc/locks")), "kill waits for the lock");
    Deno.writeTextFileSync(path, String(daemon.pid));
    expectResult(await stopped, {
      code: 0,
      stderr: [`sent SIGTERM to process ${daemon.pid} (sleep)`, `removed ${path}`],
    });
    assert(!exists(path) && !isRunning(daemon.pid));
  });
}

const NOT_PIDS = [
  "garbage",
  "0",
  "-1",
  "-100",
  "+17",
  "1e3",
  "0x11",
  "017",
  "17 18",
  " \n17 18\n",
  "17abc",
  "2147483648",
  "4294967297",
  "99999999999999999999",
  "\u0661\u0667",
  "1\u00007",
  "\ufeff17",
];
Deno.test("kill accepts nothing but one decimal PID", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  for (const content of NOT_PIDS) {
    Deno.writeTextFileSync(path, content);
    const { stderr } = expectResult(await kill(path), {
      code: 1,
      stderr: [`${path}: does not contain a valid pid: it begins with `, "; nothing was signalled"],
    });
    assertNotMatch(stderr, /sent/);
    assertEquals(Deno.readTextFileSync(path), content);
  }
});

Deno.test("kill shows the beginning of what is not a PID, escaped, and its size", async () => {
  using dir = new TempDir();
  const cases: [content: string, shown: string][] = [
    ["web\n", '"web\\n" (4 bytes)'],
    ["-1", '"-1" (2 bytes)'],
    ["\0\x1b[31m\u202e\x9b", '"\\u0000\\u001b[31m\\u202e\\u009b" (11 bytes)'],
    ["web server ".repeat(10_000), '"web server web server we…" (110000 bytes)'],
  ];
  for (const [content, shown] of cases) {
    const path = dir.write("web.pid", content);
    const fact = `${path}: does not contain a valid pid: it begins with ${shown}`;
    expectResult(await kill(path), { code: 1, stderr: `${fact}; nothing was signalled; inspect` });
    expectResult(await sipid("status", "--pid-file", path), {
      code: 4,
      stdout: `unknown: ${fact}\n`,
    });
  }
});

Deno.test("kill accepts further lines, as in PostgreSQL's postmaster.pid", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("postmaster.pid", `${job.pid}\n/var/lib/postgresql\n5432\n`);
  expectResult(await kill(path), { code: 0, stderr: `sent SIGTERM to process ${job.pid}` });
});

Deno.test("of a pidfile with several PIDs, the first one counts only if no other is running", async () => {
  // As HAProxy's without a master: a stop of the first process would leave the others without one.
  using dir = new TempDir();
  await using first = await fixture("exits_on_term");
  const path = dir.file("web.pid");
  const claim = (): Promise<Result> => sipid("claim", "--pid", "17", "--pid-file", path);
  {
    await using second = new Job();
    const several = /not as the PID on its first line; .*if it belongs to the service, stop it by/;
    for (const content of [`${first.pid}\n${second.pid}\n`, `2147483647\n${second.pid}\n`]) {
      Deno.writeTextFileSync(path, content);
      expectResult(await kill(path), { code: 1, stderr: several });
      expectResult(await claim(), { code: 1, stderr: several });
      expectResult(await sipid("status", "--pid-file", path), { code: 4, stdout: several });
      assertEquals(Deno.readTextFileSync(path), content);
    }
    // On one line, as pidof(8) writes them, there is no PID of a service; nor is there a damaged one.
    for (const content of [`${first.pid} ${second.pid}\n`, `000${second.pid}`, `+${second.pid}`]) {
      Deno.writeTextFileSync(path, content);
      expectResult(await kill(path), { code: 1, stderr: "does not contain a valid pid" });
      expectResult(await claim(), { code: 1, stderr: several });
    }
    assert(isRunning(first.pid) && isRunning(second.pid));
    // One of them that came later, as after a restart of the container, claims it only alone.
    const claimSecond = (): Promise<Result> =>
      sipid("claim", "--pid", String(second.pid), "--pid-file", path);
    for (const [content, code] of [[first.pid, 1], [2147483647, 0]] as const) {
      Deno.writeTextFileSync(path, `${content}\n${second.pid}\n`);
      Deno.utimeSync(path, 0, 0);
      expectResult(await claimSecond(), { code });
    }
    Deno.writeTextFileSync(path, `2147483647\n${second.pid}\n`);
    // It has got the PID later, and is another program.
    Deno.utimeSync(path, 0, 0);
    const exec = ["--exec", "/bin/true", "--pid-file", path];
    expectResult(await sipid("status", ...exec), { code: 1, stdout: /^dead/ });
  }
  Deno.writeTextFileSync(path, `${first.pid}\n${await deadPid()}\n`);
  expectResult(await kill(path), { code: 0, stderr: `sent SIGTERM to process ${first.pid}` });
  assert(!exists(path));
});

for (const errno of ["EPERM", "EACCES"]) {
  Deno.test(`kill and signal report ${errno}, as of the kernel or a security module, as no permission`, async () => {
    using dir = new TempDir();
    await using leader = await Running.start("setsid", ["sh", "-c", "echo ready; exec sleep 600"]);
    const path = dir.write("web.pid", String(leader.pid));
    const inject = ["-e", "trace=kill", "-e", `inject=kill:error=${errno}`];
    for (const args of [["kill"], ["kill", "--group"], ["signal", "--signal", "TERM"]]) {
      const { result } = await traced(dir, inject, [...args, "--pid-file", path]);
      expectResult(result, { code: 1, stderr: "no permission to send SIGTERM to process" });
    }
    assert(exists(path));
  });
}

Deno.test("kill accepts white space around the PID", async () => {
  using dir = new TempDir();
  for (
    const [before, after] of [["", "\n"], ["  ", "\r\n"], ["\n\t", " \v\f\n\n"]]
  ) {
    await using job = await fixture("exits_on_term");
    expectResult(
      await kill(
        dir.write("web.pid", `${before}${job.pid}${after}`),
      ),
      { code: 0 },
    );
    expectResult(await job.result(), { code: 0 });
  }
});

Deno.test("kill of root's process by an unprivileged user fails and keeps the file", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const pid = Deno.uid() === 0 ? job.pid : 1;
  const path = dir.write("web.pid", String(pid));
  expectResult(await asNobody(SIPID, ["kill", "--pid-file", path]), {
    code: 1,
    stderr: [
      `no permission to send SIGTERM to process ${pid} (`,
      `${path} is kept; run this as root`,
    ],
  });
  assert(isRunning(pid) && exists(path));
});

Deno.test("kill keeps the pidfile of a process that survives SIGKILL, and reports its state", async () => {
  using dir = new TempDir();
  await using debug = await fixture("survives_sigkill");
  const pid = Number((await debug.line(/child (\d+)/))[1]);
  const path = dir.write("web.pid", String(pid));
  const { ms } = expectResult(await kill(path, "--grace-period", "100ms"), {
    code: 1,
    stderr: [
      `process ${pid} (sleep) survived SIGKILL: it is stopped by a debugger; ` +
      `${path} is kept, so that no second instance starts; fix what it waits for, then retry\n`,
    ],
  });
  assertGreaterOrEqual(ms, 5_100);
  assertLess(ms, 5_100 + SLACK_MS);
  assert(isRunning(pid) && exists(path));
});

Deno.test("kill does not signal the successor that a process started", async () => {
  using dir = new TempDir();
  await using job = await fixture("hands_over_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const result = await kill(path);
  const next = Number((await job.line(/handed over to (\d+)/))[1]);
  try {
    expectResult(result, { code: 0 });
    assert(isRunning(next), "the successor was not named by the pidfile");
    assert(!exists(path));
  } finally {
    Deno.kill(next, "SIGKILL");
  }
});

Deno.test("kill keeps a pidfile that a new claim has written meanwhile", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_slowly", "300");
  await using next = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const killing = kill(path);
  await job.line(/stopping/);
  Deno.writeTextFileSync(path, String(next.pid));
  expectResult(await killing, {
    code: 1,
    stderr: [
      `kept ${path}, which was written again meanwhile`,
      `${path}: process ${next.pid} (deno) has taken it over, is running, and was not signalled`,
    ],
  });
  assertEquals(Deno.readTextFileSync(path), String(next.pid));
  assert(isRunning(next.pid));
});

Deno.test("kill stops the process but keeps a pidfile that stays locked, and reports it", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  await using locker = await lockedElsewhere(path);
  const { ms } = expectResult(await kill(path), {
    code: 0,
    stderr: [
      `kept ${path}: another process is locking ${path}: process ${locker.pid} (`,
      "; a later claim or kill replaces it",
    ],
  });
  assertLess(ms, 500 + SLACK_MS);
  assert(exists(path) && !isRunning(job.pid));
});

Deno.test("kill succeeds if the process removes its own pidfile", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const script =
    `trap 'rm ${path}; kill $!; exit' TERM; echo $$ > ${path}; sleep 600 & echo ready; wait`;
  await using _job = await Running.start("sh", ["-c", script]);
  expectResult(await kill(path), { code: 0 });
  assert(!exists(path));
});

Deno.test("two concurrent kills both succeed", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_slowly", "200");
  const path = dir.write("web.pid", String(job.pid));
  for (const result of await Promise.all([kill(path), kill(path)])) {
    expectResult(result, { code: 0 });
  }
  assert(!exists(path));
});

Deno.test("kill does not signal itself if an old pidfile has its own PID", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  // exec keeps the PID, so the shell writes the PID that sipid will have.
  const script = `printf %s $$ > ${path}; echo ready; exec ${SIPID} kill --pid-file ${path}`;
  await using killer = await Running.start("sh", ["-c", script]);
  expectResult(await killer.result(), { code: 0 });
  assert(!exists(path));
});

Deno.test("kill sends SIGKILL even if its stderr is a full pipe that no process reads", async () => {
  using dir = new TempDir();
  await using job = await fixture("ignores_term");
  const path = dir.write("web.pid", String(job.pid));
  const args = `kill --pid-file ${path} --grace-period 300ms`;
  // The writer fills the pipe and blocks; the reader is open and reads nothing.
  const script = `mkfifo full; exec 3<>full; cat /dev/zero >&3 & writer=$!
    until grep -q '(cat) S' /proc/$writer/stat; do :; done
    ${SIPID} ${args} 2>&3; code=$?; kill $writer; exit $code`;
  const { ms } = expectResult(await run("sh", ["-c", script], { cwd: dir.path }), { code: 0 });
  expectResult(await job.result(), { code: 128 + 9 });
  assertLess(ms, 300 + 1_000 + 2 * SLACK_MS);
});
