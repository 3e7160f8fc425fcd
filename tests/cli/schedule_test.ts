/** `sipid kill --signal`, `--schedule` and `--dry-run` on real processes. */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import {
  AS_NOBODY,
  deadPid,
  exists,
  expectResult,
  isRunning,
  Job,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  testCompiled,
  until,
} from "../support.ts";

function kill(path: string, ...flags: string[]): Promise<Result> {
  return sipid("kill", "--pid-file", path, ...flags);
}

/** Starts a shell that handles signals as `traps` says, and otherwise waits. */
function shell(traps: string): Promise<Running> {
  return Running.start("sh", ["-c", `${traps}; echo ready; while :; do sleep 0.02; done`]);
}

Deno.test("kill --signal sends another signal first, and SIGKILL after the grace period", async () => {
  using dir = new TempDir();
  await using polite = await shell("trap '' TERM; trap 'exit 7' INT");
  const path = dir.write("web.pid", String(polite.pid));
  expectResult(await kill(path, "--signal", "INT"), {
    code: 0,
    stderr: [/sent SIGINT to process \d+ \(sh\)\n/, "exited after", `removed ${path}`],
  });
  expectResult(await polite.result(), { code: 7 });

  await using deaf = await shell("trap '' INT");
  const other = dir.write("web.pid", String(deaf.pid));
  const { stderr } = expectResult(await kill(other, "--signal=2", "--grace-period", "200ms"), {
    code: 0,
    stderr: [
      `sent SIGINT to process ${deaf.pid} (sh), which ignores it\n`,
      /is still running after 200ms[^]*sent SIGKILL to process \d+ \(sh\)\n[^]*was killed/,
    ],
  });
  assert(!stderr.includes("SIGTERM"));
});

Deno.test("kill does not call ignored what a process ignores only after it got it", async () => {
  using dir = new TempDir();
  const onTerm = '$SIG{TERM} = "IGNORE"; select undef, undef, undef, 0.2; exit';
  const script = `$| = 1; $SIG{TERM} = sub { ${onTerm} }; print "ready\\n"; sleep 60`;
  await using job = await Running.start("perl", ["-e", script]);
  expectResult(await kill(dir.write("web.pid", String(job.pid))), {
    code: 0,
    stderr: `sent SIGTERM to process ${job.pid} (perl)\n`,
  });
});

Deno.test("kill --signal KILL does not send it twice", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const { stderr } = expectResult(
    await kill(dir.write("web.pid", String(job.pid)), "--signal", "KILL", "--dry-run"),
    { code: 0, stdout: /^would send SIGKILL to .*; wait up to 20s\nwould remove/ },
  );
  assertEquals(stderr, "");
  assert(isRunning(job.pid));
});

Deno.test("kill --schedule sends each signal after its time, and none after the exit", async () => {
  using dir = new TempDir();
  await using job = await shell("trap 'echo INT' INT; trap '' TERM; trap 'echo QUIT; exit' QUIT");
  const path = dir.write("web.pid", String(job.pid));
  const { ms, stderr } = expectResult(
    await kill(path, "--schedule", "INT/300ms/TERM/0.3/QUIT/1m/KILL/5"),
    { code: 0, stderr: /SIGINT[^]*after 300ms[^]*SIGTERM[^]*after 600ms[^]*SIGQUIT[^]*exited/ },
  );
  assertGreaterOrEqual(ms, 600);
  assertLess(ms, 600 + SLACK_MS);
  assert(!stderr.includes("SIGKILL"));
  assert(!exists(path));
});

Deno.test("all flags of kill that go together, together", async () => {
  using dir = new TempDir();
  const traps = "trap '' INT; trap 'echo stack dump' QUIT";
  const script = `${traps}; echo ready; while :; do sleep 0.02; done`;
  await using job = await Running.start("setsid", ["sh", "-c", script]);
  const path = dir.write("web.pid", String(job.pid));
  const program = Deno.realPathSync(`/proc/${job.pid}/exe`);
  const flags = ["--signal", "INT", "--grace-period", "200ms", "--show-stacks", "--group"];
  const plan = await kill(path, ...flags, "--exec", program, "--dry-run");
  expectResult(plan, {
    code: 0,
    stdout: /SIGINT to process group .*200ms\n.*SIGQUIT; .*1s\n.*SIGKILL; .*5s\nwould remove/,
    stderr: "",
  });
  const result = await kill(path, ...flags, "--exec", program, "--quiet");
  const { ms } = expectResult(result, { code: 0, stdout: "", stderr: "" });
  assertGreaterOrEqual(ms, 1_200);
  await job.line(/stack dump/);
  assert(!isRunning(job.pid) && !exists(path));
});

Deno.test("a schedule replaces the flags that make one: together they are wrong usage", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const cases: [flags: string[], equivalent: string][] = [
    [["--signal", "USR1"], "USR1/20s/KILL/5s"],
    [["--grace-period", "1m30s"], "TERM/1m30s/KILL/5s"],
    [["--show-stacks"], "TERM/20s/QUIT/1s/KILL/5s"],
    [["--signal", "9"], "KILL/20s"],
  ];
  for (const [flags, equivalent] of cases) {
    expectResult(await kill(path, "--schedule", "TERM/5", ...flags), {
      code: 2,
      stderr: `--schedule replaces ${flags[0]}; the schedule of these is ${equivalent}\n`,
    });
  }
  assert(isRunning(job.pid) && exists(path));
});

Deno.test("a schedule without KILL never kills: exit 1, and the pidfile is kept", async () => {
  using dir = new TempDir();
  await using job = await shell("trap '' TERM INT");
  const path = dir.write("web.pid", String(job.pid));
  const { ms } = expectResult(await kill(path, "--schedule", "TERM/200ms/INT/200ms"), {
    code: 1,
    stderr: [
      `process ${job.pid} (sh) is still running after 400ms; ${path} is kept`,
      "a schedule that ends with KILL/5s kills it",
    ],
  });
  assertGreaterOrEqual(ms, 400);
  assert(isRunning(job.pid) && exists(path));
});

Deno.test("schedules at their edges", async (test) => {
  using dir = new TempDir();
  const edges: [what: string, schedule: string, code: number, sent: string[]][] = [
    ["a wait of 0s checks once", "TERM/0s/INT/0/KILL/5s", 0, ["SIGTERM", "SIGINT", "SIGKILL"]],
    ["a signal without a wait is followed by the next one", "TERM/INT/KILL/5s", 0, [
      "SIGTERM",
      "SIGINT",
      "SIGKILL",
    ]],
    ["a last signal without a wait checks once", "TERM/0s/INT", 1, ["SIGTERM", "SIGINT"]],
    ["a last KILL without a wait gets 5 s", "TERM/0s/KILL", 0, ["SIGTERM", "SIGKILL"]],
    ["a signal alone", "KILL", 0, ["SIGKILL"]],
    ["numbers with a dash are signals", "-15/0/-9/5", 0, ["SIGTERM", "SIGKILL"]],
    ["the same signal twice", "TERM/50ms/TERM/50ms", 1, ["SIGTERM", "SIGTERM"]],
  ];
  for (const [what, schedule, code, sent] of edges) {
    await test.step(what, async () => {
      await using job = await shell("trap '' TERM INT");
      const path = dir.write("web.pid", String(job.pid));
      const { stderr } = expectResult(await kill(path, "--schedule", schedule), { code });
      assertEquals([...stderr.matchAll(/sent (SIG\w+)/g)].map(([, name]) => name), sent);
      assertEquals(exists(path), code === 1);
    });
  }
});

Deno.test("a schedule ends where the process exits between two of its elements", async () => {
  using dir = new TempDir();
  // It exits by itself, 300 ms after the first one.
  await using job = await shell("trap 'sleep 0.3; exit' TERM");
  const { ms, stderr } = expectResult(
    await kill(dir.write("web.pid", String(job.pid)), "--schedule", "TERM/100ms/CONT/1m/KILL/5s"),
    { code: 0, stderr: "exited after" },
  );
  assertMatch(stderr, /sent SIGTERM[^]*sent SIGCONT/);
  assertGreaterOrEqual(ms, 300);
  assertLess(ms, 300 + SLACK_MS);
  assert(!stderr.includes("SIGKILL"));
});

Deno.test("kill continues a stopped process after any signal of a schedule", async () => {
  using dir = new TempDir();
  await using job = await shell("trap 'exit 3' INT");
  job.kill("SIGSTOP");
  await until(() => /\) T /.test(Deno.readTextFileSync(`/proc/${job.pid}/stat`)), "it is stopped");
  expectResult(await kill(dir.write("web.pid", String(job.pid)), "--schedule", "INT/20/KILL/5"), {
    code: 0,
    stderr: /sent SIGINT[^]*sent SIGCONT[^]*exited/,
  });
  expectResult(await job.result(), { code: 3 });
});

Deno.test("a signal without a duration is not waited for, and the help says so", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await kill(path, "--schedule", "INT/TERM/KILL", "--dry-run"), {
    code: 0,
    stdout: /SIGINT to .*; wait up to 0s\n.*SIGTERM; wait up to 0s\n.*SIGKILL; wait up to 5s\n/,
  });
  const { stdout } = await sipid("kill", "--help");
  assertMatch(
    stdout.replace(/\s+/g, " "),
    /how long to wait after each signal \(0s unless given, 5s after a last KILL\)/,
  );
});

Deno.test("kill shows on a terminal what it waits for, in one line that it clears", async () => {
  using dir = new TempDir();
  await using job = await shell("trap '' TERM");
  const path = dir.write("web.pid", String(job.pid));
  const command = `${SIPID} kill --pid-file ${path} --schedule TERM/1s/KILL/5s`;
  const { stdout } = expectResult(await run("script", ["-qec", command, "/dev/null"]), { code: 0 });
  // The line is overwritten at each update, and cleared before the next message.
  const shown = stdout.replaceAll("\x1b[K", "<clear>");
  assertMatch(
    shown,
    /\r<clear>waiting for process \d+ \(sh\): [^\r\n]*ms of 1s, then SIGKILL\r<clear>/,
  );
  const [rest] = /[^\n]*$/.exec(stdout.trimEnd())!;
  assertMatch(rest, /^sipid kill: removed/);
});

/** The system calls with which a program could signal a process or change a file. */
const CHANGES = [
  ..."kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal".split(" "),
  ..."unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mkdir mkdirat".split(
    " ",
  ),
  ..."truncate ftruncate chmod fchmod fchmodat chown fchown fchownat utimensat flock".split(" "),
  ..."open openat creat".split(" "),
];

testCompiled(
  "kill --dry-run signals nothing and changes nothing, as strace shows",
  async (test) => {
    using dir = new TempDir();
    await using job = await Running.start("setsid", ["sh", "-c", "echo ready; exec sleep 600"]);
    const running = dir.write("web.pid", String(job.pid));
    const stale = dir.write("stale.pid", String(await deadPid()));
    const cases: [args: string[], code: number][] = [
      [[running], 0],
      [[running, "--group", "--schedule", "INT/1s/KILL/1s"], 0],
      [[running, "--quiet"], 0],
      [[stale], 0],
      [[dir.file("missing.pid")], 0],
      [[dir.write("bad.pid", "x")], 1],
      [[running, "--exec", "/bin/true"], 1],
    ];
    for (const [args, code] of cases) {
      await test.step(args.join(" "), async () => {
        const trace = dir.file("trace");
        const result = await run("strace", [
          ...["-f", "-qq", "-o", trace, "-e", `trace=?${CHANGES.join(",?")}`],
          ...[SIPID, "kill", "--dry-run", "--pid-file", ...args],
        ]);
        expectResult(result, { code });
        // Without the lines that say how a call returned which another thread's had interrupted.
        const calls = Deno.readTextFileSync(trace).split("\n")
          .filter((line) => /^\d+ +\w+\(/.test(line));
        assert(calls.length > 10, "the trace has the calls that open files to read");
        // kill(2) with 0 asks for permission and sends nothing.
        const changing = calls.filter((line) =>
          !/\bkill\(-?\d+, 0\)/.test(line) &&
            !/\bopen(at)?\(/.test(line) ||
          /O_(WRONLY|RDWR|CREAT|TRUNC)/.test(line)
        );
        assertEquals(changing, []);
      });
    }
    assert(isRunning(job.pid) && exists(stale));
    assertEquals(Deno.readTextFileSync(running), String(job.pid));
  },
);

Deno.test("kill --dry-run has the exit status of a kill without permission", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(Deno.uid() === 0 ? job.pid : 1));
  const [program, ...args] = [...AS_NOBODY, SIPID, "kill", "--dry-run", "--pid-file", path];
  expectResult(await run(program!, args), {
    code: 1,
    stdout: "",
    stderr: "no permission to send SIGTERM",
  });
});

Deno.test("kill fails if another process has taken the pidfile over, unless that has exited", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const script = (next: string): string =>
    `trap '${next}; exit' TERM; echo $$ >${path}; echo ready; while :; do sleep 0.02; done`;
  // A hand-over on SIGTERM: the successor has written its own PID.
  await using job = await Running.start("sh", [
    "-c",
    script(`sleep 600 & echo $! >${path}; echo next $!`),
  ]);
  const result = await kill(path);
  const next = Number((await job.line(/next (\d+)/))[1]);
  try {
    expectResult(result, {
      code: 1,
      stderr: [
        `${path}: process ${next} (`,
        "has taken it over, is running, and was not signalled",
      ],
    });
    assert(isRunning(next) && exists(path));
    // The same command again stops the successor.
    expectResult(await kill(path), { code: 0, stderr: `sent SIGTERM to process ${next}` });
  } finally {
    if (isRunning(next)) Deno.kill(next, "SIGKILL");
  }
  assert(!exists(path));

  // A successor that has exited leaves a stale pidfile.
  const dead = await deadPid();
  await using _other = await Running.start("sh", ["-c", script(`echo ${dead} >${path}`)]);
  expectResult(await kill(path), { code: 0, stderr: `removed ${path}` });
  assert(!exists(path));
});
