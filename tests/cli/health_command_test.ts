/** Health checks by a command, which must never outlive its probe. */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import { inPidNamespace } from "../namespaces.ts";
import { traced } from "../strace.ts";
import {
  expectResult,
  isRunning,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  start,
  TempDir,
  until,
} from "../support.ts";

const BRIEFLY = ["--timeout", "300ms", "--polling-frequency", "50ms"];

function wait(flags: string[], ...command: string[]): Promise<Result> {
  return sipid("wait-until-healthy", ...flags, "--", ...command);
}

Deno.test("a command that exits 0 is healthy", async () => {
  const { ms } = expectResult(await wait([], "true"), {
    code: 0,
    stdout: "",
    stderr: /wait-until-healthy: true is healthy after [\d.]+m?s \(1 attempt\)\n$/,
  });
  assertLess(ms, SLACK_MS);
});

Deno.test("a command is run at the frequency until it exits 0", async () => {
  using dir = new TempDir();
  const script = `echo >>${dir.file("runs")}; [ $(wc -l <${dir.file("runs")}) = 4 ]`;
  const { ms } = expectResult(await wait(["--polling-frequency", "200ms"], "sh", "-c", script), {
    code: 0,
    stderr: ["waiting for sh: exit status 1\n", "(4 attempts)"],
  });
  assertGreaterOrEqual(ms, 600);
  assertLess(ms, 600 + SLACK_MS);
});

const REASONS: [script: string, reason: string][] = [
  ["exit 3", "exit status 3"],
  ["echo one; echo two; exit 1", "exit status 1: two"],
  ["echo no server >&2; exit 1", "exit status 1: no server"],
  ["printf 'no newline'; exit 1", "exit status 1: no newline"],
  ["printf 'last\\n\\n  \\n'; exit 1", "exit status 1: last"],
  ["printf '\\033[31mred\\n'; exit 1", "exit status 1: \\x1b[31mred"],
  ["kill -SEGV $$", "killed by SIGSEGV"],
  // A realtime signal, for which the runtime has no name.
  ["kill -35 $$", "killed by signal 35"],
  ["yes | head -c 1000000; echo end; exit 1", "exit status 1: end"],
];
for (const [script, reason] of REASONS) {
  Deno.test(`the reason for '${script}' is '${reason}'`, async () => {
    expectResult(await wait(["--timeout", "1s"], "sh", "-c", script), {
      code: 1,
      stderr:
        `healthcheck unhealthy (command 'sh' was not healthy after 1 attempt) within 1s: ${reason}\n`,
    });
  });
}

Deno.test("a reason is shortened in its middle", async () => {
  const script = "echo $(printf %04000d 0)end; exit 1";
  const { stderr } = expectResult(await wait(["--timeout", "300ms"], "sh", "-c", script), {
    code: 1,
    stderr: /: exit status 1: 0+\.\.\.0+end\n/,
  });
  assertLess(Math.max(...stderr.split("\n").map((line) => line.length)), 600);
});

Deno.test("the arguments of a command are not printed: they may be secrets", async () => {
  const { stderr } = await wait(BRIEFLY, "false", "--password=s3cret");
  assertEquals(stderr.includes("s3cret"), false);
});

Deno.test("a command gets /dev/null, the environment and the directory, and keeps the proxies", async () => {
  using dir = new TempDir();
  const script = `readlink /proc/self/fd/0; pwd; echo $HTTP_PROXY; echo $X`;
  const args = ["wait-until-healthy", "--", "sh", "-c", `{ ${script}; } >out`];
  const env = { HTTP_PROXY: "http://127.0.0.1:2", X: "y" };
  expectResult(await run(SIPID, args, { cwd: dir.path, env, stdin: "inherit" }), { code: 0 });
  assertEquals(
    Deno.readTextFileSync(dir.file("out")),
    `/dev/null\n${dir.path}\nhttp://127.0.0.1:2\ny\n`,
  );
});

Deno.test("a command that cannot be run fails at once", async () => {
  using dir = new TempDir();
  const file = dir.write("probe", "");
  const cases: [command: string, code: number, message: string][] = [
    ["no-such-program", 127, "cannot run no-such-program: "],
    [dir.file("none"), 127, `cannot run ${dir.file("none")}: `],
    [file, 126, `cannot run ${file}: permission denied`],
  ];
  for (const [command, code, message] of cases) {
    const { ms } = expectResult(await wait([], command), { code, stderr: message });
    assertLess(ms, SLACK_MS);
  }
});

Deno.test("a command that cannot be run for the moment is run again", async () => {
  using dir = new TempDir();
  const inject = ["-qq", "-e", "trace=clone", "-e", "inject=clone:error=EAGAIN:when=1"];
  const args = ["wait-until-healthy", "--polling-frequency", "100ms", "--", "true"];
  expectResult((await traced(dir, inject, args)).result, {
    code: 0,
    stderr: [
      "waiting for true: cannot run true: resource temporarily unavailable; " +
      "raise the limit on processes (ulimit -u)\n",
      "true is healthy after",
      "(2 attempts)",
    ],
  });
});

// Commands that hang

/** A command that writes its PID and its child's to `pids`, and whether it ignores SIGTERM. */
function hanging(dir: TempDir, { ignoresTerm }: { ignoresTerm: boolean }): string[] {
  const trap = ignoresTerm ? "trap '' TERM; " : "";
  const pids = dir.file("pids");
  return ["sh", "-c", `${trap}sleep 600 & echo $$ $! >>${pids}; echo started; wait; sleep 600`];
}

function pidsIn(dir: TempDir): number[] {
  try {
    return Deno.readTextFileSync(dir.file("pids")).trim().split(/\s+/).map(Number);
  } catch {
    return [];
  }
}

async function assertAllExit(pids: readonly number[]): Promise<void> {
  assertGreaterOrEqual(pids.length, 2);
  const left = (): number[] => pids.filter(isRunning);
  try {
    // The signals are sent; init, who reaps the orphans, may be slow.
    await until(() => left().length === 0, () => `${left()} have exited`);
  } finally {
    for (const pid of left()) Deno.kill(pid, "SIGKILL");
  }
}

for (const ignoresTerm of [false, true]) {
  const what = ignoresTerm ? "a command that ignores SIGTERM" : "a command that hangs";

  Deno.test(`${what} is ended at the deadline, with its children`, async () => {
    using dir = new TempDir();
    const { ms } = expectResult(
      await wait(["--timeout", "700ms"], ...hanging(dir, { ignoresTerm })),
      {
        code: 1,
        stderr: /1 attempt\) within \w+: did not exit before the timeout of 700ms: started\n/,
      },
    );
    assertGreaterOrEqual(ms, 700);
    assertLess(ms, 700 + SLACK_MS);
    await assertAllExit(pidsIn(dir));
  });

  Deno.test(`${what} is ended at --probe-timeout, and another probe follows`, async () => {
    using dir = new TempDir();
    const flags = ["--timeout", "1s", "--probe-timeout", "200ms", "--polling-frequency", "50ms"];
    const { ms } = expectResult(await wait(flags, ...hanging(dir, { ignoresTerm })), {
      code: 1,
      stderr: /after [2-5] attempts\) within \w+: did not exit within 200ms: started\n/,
    });
    assertGreaterOrEqual(ms, 1_000);
    assertLess(ms, 1_000 + SLACK_MS);
    await assertAllExit(pidsIn(dir));
  });

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const) {
    Deno.test(`${what} is ended when ${signal} ends sipid, which dies of it`, async () => {
      using dir = new TempDir();
      const waiting = start(SIPID, [
        "wait-until-healthy",
        "--",
        ...hanging(dir, { ignoresTerm }),
      ], { cwd: dir.path });
      await until(() => pidsIn(dir).length === 2, "the command has started");
      const begin = performance.now();
      waiting.kill(signal);
      const result = await waiting.result;
      assertLess(performance.now() - begin, SLACK_MS);
      assertEquals(result.signal, signal);
      assert(result.stderr.includes(`sh: interrupted by ${signal}\n`), result.stderr);
      await assertAllExit(pidsIn(dir));
    });
  }
}

Deno.test("the deadline with a command that ignores SIGTERM is met to 100 ms", async () => {
  using dir = new TempDir();
  // From the log's own timestamps: starting sipid takes as long as the machine is busy.
  const runs = await Promise.all(
    [1, 2, 3].map(async (round) => {
      const log = dir.file(`log${round}`);
      const script = `trap '' TERM; date +%s%N >${log}; while :; do sleep 600; done`;
      const { stderr } = await wait(["--timeout", "500ms"], "sh", "-c", script);
      const began = Number(Deno.readTextFileSync(log)) / 1e6;
      return Date.parse(stderr.trim().split(" ")[0]!) - began;
    }),
  );
  // The command was started within the 500 ms, and one of three is not held up by the machine.
  assertLess(Math.min(...runs), 600);
  assertGreaterOrEqual(Math.max(...runs), 300);
});

Deno.test("a signal that sipid was started to ignore does not end it", async () => {
  using dir = new TempDir();
  const script =
    `trap '' HUP; exec ${SIPID} wait-until-healthy --timeout 2s --polling-frequency 50ms` +
    ` -- sh -c 'echo $$ >>pids; [ -e done ]'`;
  const waiting = start("sh", ["-c", script], { cwd: dir.path });
  await until(() => pidsIn(dir).length >= 1, "it probes");
  waiting.kill("SIGHUP");
  const before = pidsIn(dir).length;
  await until(() => pidsIn(dir).length > before + 1, "it still probes");
  dir.write("done", "");
  expectResult(await waiting.result, { code: 0 });
});

Deno.test("a command's exit is seen also by a sipid that was started to ignore SIGCHLD", async () => {
  // Then the kernel keeps no exit status of a child.
  const ignoring = ["-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV", SIPID, "wait-until-healthy"];
  expectResult(await run("perl", [...ignoring, "--", "true"]), { code: 0 });
  const flags = ["--timeout", "500ms", "--", "sh", "-c", "exit 3"];
  expectResult(await run("perl", [...ignoring, ...flags]), {
    code: 1,
    stderr: ": exit status 3\n",
  });
});

Deno.test("what a command leaves in its process group does not outlive its probe", async () => {
  using dir = new TempDir();
  // The background process holds the pipe of stdout, too.
  const script = `sleep 600 & echo $$ $! >${dir.file("pids")}; exit 0`;
  const { ms } = expectResult(await wait([], "sh", "-c", script), { code: 0 });
  assertLess(ms, SLACK_MS);
  await assertAllExit(pidsIn(dir));
});

Deno.test("what a command has left and cannot be recognised is not signalled when it has exited", async () => {
  using dir = new TempDir();
  const script = `env -i sleep 600 & echo $! >${dir.file("left")}
    until grep -qx sleep /proc/$!/comm; do :; done; exit 1`;
  await wait(["--timeout", "300ms", "--polling-frequency", "10s"], "sh", "-c", script);
  const left = Number(Deno.readTextFileSync(dir.file("left")));
  assert(isRunning(left));
  Deno.kill(left, "SIGKILL");
});

Deno.test("an environment that cannot be read, as on a file server, does not hold a wait up", async () => {
  using dir = new TempDir();
  // What the command leaves gets a PID from 500 on.
  const pids = Array.from({ length: 50 }, (_, k) => `-P /proc/${500 + k}/environ`);
  const script = `
    strace -f ${pids.join(" ")} -e inject=read:delay_enter=30000000 -o trace \\
      ${SIPID} wait-until-healthy --timeout 500ms -- \\
      sh -c 'echo 499 >/proc/sys/kernel/ns_last_pid; sleep 600 & echo $! >left; exit 1' 2>log &
    until grep -q 'healthcheck unhealthy' log; do sleep 0.01; done
    is_running $(cat left) && echo running; cat trace >&2`;
  const { stdout, stderr, ms } = await inPidNamespace(dir, script);
  assertEquals(stdout, "running\n", stderr);
  assertMatch(stderr, /read\(/);
  assertLess(ms, 20_000);
});

Deno.test("a process without the environment of its command is ended with that at the deadline", async () => {
  using dir = new TempDir();
  const script = `trap 'exit 1' TERM; env -i sh -c 'trap "" TERM; echo >ready; sleep 600' &
    until [ -e ready ]; do :; done; echo $$ $! >pids; while :; do sleep 0.01; done`;
  const flags = ["wait-until-healthy", "--timeout", "500ms", "--", "sh", "-c", script];
  expectResult(await run(SIPID, flags, { cwd: dir.path }), { code: 1 });
  await assertAllExit(pidsIn(dir));
});

Deno.test("a group that gets the number of a command that has exited is not signalled", async () => {
  using dir = new TempDir();
  // The runtime's wait4(2) returns late: the command has been reaped, and sipid does not know it.
  // Its number goes to the leader of a group that exits, as the first parent of a daemon does.
  const script = `
    strace -f -o /dev/null -e trace=wait4 -e inject=wait4:delay_exit=2000000:when=1 \\
      ${SIPID} wait-until-healthy --timeout 5s --polling-frequency 1m -- \\
      sh -c 'echo $$ >command; exit 1' 2>log & waiting=$!
    until [ -s command ]; do :; done
    number=$(cat command)
    while [ -e /proc/$number ]; do :; done
    until [ "\${leader:-}" = $number ]; do
      echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
      setsid sh -c 'sleep 600 >&2 & echo $! >unrelated' & leader=$!
      wait $leader
    done
    [ -s log ] || echo 'in time'
    until [ -s log ]; do :; done
    wait $waiting || echo "exit $?"
    is_running $(cat unrelated) && echo running; cat log >&2`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, "in time\nexit 1\nrunning\n", stderr);
  assertMatch(stderr, /exit status 1/);
});

Deno.test("a process that left the group delays neither success nor the deadline", async () => {
  using dir = new TempDir();
  // setsid(1) takes it out of the group, with the pipes.
  const leave = `setsid sh -c 'echo $$ >>pids; : >left; exec sleep 600' &
    until [ -e left ]; do :; done; rm left`;
  const waitHere = (flags: string[], script: string): Promise<Result> =>
    run(SIPID, ["wait-until-healthy", ...flags, "--", "sh", "-c", script], { cwd: dir.path });
  try {
    const runs: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { stderr } = expectResult(await waitHere([], `${leave}; exit 0`), { code: 0 });
      runs.push(Number(/sh is healthy after (\d+)ms/.exec(stderr)?.[1] ?? Infinity));
    }
    // Its output is not waited for, which is for half a second. One of three is not held up.
    assertLess(Math.min(...runs), 450);
    const failure = expectResult(
      await waitHere(["--timeout", "500ms"], `${leave}; sleep 600`),
      { code: 1 },
    );
    assertLess(failure.ms, 500 + SLACK_MS);
  } finally {
    for (const pid of pidsIn(dir)) Deno.kill(pid, "SIGKILL");
  }
});

Deno.test("setpriv --pdeathsig ends a command even when SIGKILL ends sipid", async () => {
  using dir = new TempDir();
  const command = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "sh",
    "-c",
    "echo $$ $$ >pids; exec sleep 600",
  ];
  const waiting = start(SIPID, ["wait-until-healthy", "--", ...command], { cwd: dir.path });
  await until(() => pidsIn(dir).length === 2, "the command has started");
  waiting.kill("SIGKILL");
  await waiting.result;
  await assertAllExit(pidsIn(dir));
});

Deno.test("a command that takes as long as the next probe is due is run again at once", async () => {
  using dir = new TempDir();
  const script = `echo >>${dir.file("runs")}; sleep 0.1; [ $(wc -l <${dir.file("runs")}) = 3 ]`;
  expectResult(await wait(["--polling-frequency", "1ms"], "sh", "-c", script), {
    code: 0,
    stderr: "(3 attempts)",
  });
});

Deno.test("an interrupted wait without a command dies at once", async () => {
  const url = "tcp://127.0.0.1:2";
  await using waiting = await Running.start(
    "sh",
    ["-c", `exec ${SIPID} wait-until-healthy --url ${url} 2>&1`],
    { awaited: `.*waiting for ${url}.*` },
  );
  waiting.kill("SIGTERM");
  expectResult(await waiting.result(), { code: 128 + 15 });
});
