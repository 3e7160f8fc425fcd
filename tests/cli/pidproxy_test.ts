/** sipid pidproxy, compiled: its command, and how it ends. */
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import {
  asNobody,
  exists,
  expectResult,
  isRunning,
  type Result,
  run,
  RUNS_TEXT_FILES,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  testCompiled,
  until,
} from "../support.ts";
import { background, commandOf, DAEMON, foreground, Proxied } from "../proxied.ts";

Deno.test("pidproxy returns the exit status of its command", async () => {
  using dir = new TempDir();
  for (const status of [0, 1, 2, 7, 126, 255]) {
    expectResult(await sipid("pidproxy", dir.file("p"), "sh", "-c", `exit ${status}`), {
      code: status,
      stderr: "",
    });
  }
});

Deno.test("pidproxy returns 128 + N when signal N ended its command", async () => {
  using dir = new TempDir();
  // The last one is a realtime signal, for which the runtime has no name.
  const signals = [["KILL", 137], ["TERM", 143], ["HUP", 129], ["USR1", 138], ["35", 163]] as const;
  for (const [signal, code] of signals) {
    expectResult(await sipid("pidproxy", dir.file("p"), "sh", "-c", `kill -${signal} $$`), {
      code,
    });
  }
});

Deno.test("pidproxy passes the status on also if it was started to ignore SIGCHLD", async () => {
  using dir = new TempDir();
  const ignoring = ["-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV", SIPID, "pidproxy"];
  expectResult(await run("perl", [...ignoring, dir.file("p"), "sh", "-c", "exit 7"]), { code: 7 });
});

Deno.test("pidproxy tells a command that is not found from one that cannot be run", async () => {
  using dir = new TempDir();
  const file = (name: string, content: string, mode: number): string => {
    const path = dir.write(name, content);
    Deno.chmodSync(path, mode);
    return path;
  };
  const cases: [string, number, string][] = [
    ["no-such-command", 127, "cannot run no-such-command: it is not on PATH"],
    ["./no-such-command", 127, "cannot run ./no-such-command: no such file"],
    [file("plain", "#!/bin/sh\n", 0o644), 126, "permission denied; make it executable: chmod +x"],
    [
      file("lost", "#!/no/such\n", 0o755),
      126,
      "its interpreter, named in its first line, does not",
    ],
    [dir.path, 126, "it is a directory"],
    [`${file("f", "", 0o644)}/x`, 126, "not a directory"],
    ["", 127, "cannot run"],
  ];
  for (const [command, status, message] of cases) {
    expectResult(await sipid("pidproxy", dir.file("p"), command), {
      code: status,
      stdout: "",
      stderr: message,
    });
  }
});

// Few descriptors are left to the uncompiled program, too.
testCompiled("pidproxy does not start a command for which it lacks descriptors", async () => {
  using dir = new TempDir();
  const ran = dir.file("ran");
  const seen = new Set<number>();
  for (let limit = 15; limit <= 40; limit++) {
    const script = `ulimit -n ${limit}; exec "$@"`;
    const args = ["pidproxy", dir.file("p"), "touch", ran];
    const { code, stderr } = await run("sh", ["-c", script, "sh", SIPID, ...args]);
    assertEquals(exists(ran), code === 0, `${limit} descriptors: ${code}, ${stderr}`);
    if (code === 126) assertStringIncludes(stderr, "cannot run touch: too many open files");
    if (exists(ran)) Deno.removeSync(ran);
    seen.add(code);
  }
  assert(seen.has(126) && seen.has(0), `${[...seen]}`);
});

Deno.test("pidproxy finds its command relative to the working directory, or on PATH", async () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("bin"));
  Deno.chmodSync(dir.write("bin/hello", '#!/bin/sh\necho hello "$@"; pwd\n'), 0o755);
  const relative = await run(SIPID, ["pidproxy", "p", "bin/hello", "x"], { cwd: dir.path });
  assertEquals(relative.stdout, `hello x\n${Deno.realPathSync(dir.path)}\n`);
  const PATH = `${dir.file("bin")}:${Deno.env.get("PATH")}`;
  const onPath = await run(SIPID, ["pidproxy", "p", "hello"], { cwd: dir.path, env: { PATH } });
  assertMatch(onPath.stdout, /^hello\n/);
  // The working directory is not on PATH.
  expectResult(await run(SIPID, ["pidproxy", "p", "hello"], { cwd: dir.file("bin") }), {
    code: 127,
  });
});

Deno.test("pidproxy leaves everything after COMMAND to it", async () => {
  using dir = new TempDir();
  const args = ["--wait", "5s", "--help", "-h", "--", "", "a b", "$HOME", "*", "--quiet"];
  const script = 'for arg; do printf "<%s>" "$arg"; done';
  expectResult(
    await sipid(
      "pidproxy",
      dir.file("p"),
      "sh",
      "-c",
      script,
      "sh",
      ...args,
    ),
    { code: 0, stdout: args.map((arg) => `<${arg}>`).join("") },
  );
});

Deno.test("pidproxy does not run a file that is not a program", async () => {
  using dir = new TempDir();
  const path = dir.write("text", "echo hello\n");
  Deno.chmodSync(path, 0o755);
  expectResult(
    await sipid("pidproxy", dir.file("p"), path),
    RUNS_TEXT_FILES
      ? { code: 0, stdout: "hello\n", stderr: "" }
      : { code: 126, stdout: "", stderr: "exec format error; it is not a program" },
  );
});

// The wrapper of make next adds variables.
testCompiled("pidproxy gives its command what it was given itself", async () => {
  using dir = new TempDir();
  dir.write("input", "from stdin\n");
  // The numbers of a process of its own differ; what is compared is what it inherits.
  const probe = dir.write(
    "probe",
    `cat; echo to stderr >&2
     env | grep -v '^_=' | sort; pwd; umask; ulimit -n; nice
     cut -d' ' -f5,6 /proc/self/stat
     grep -E '^(Groups|CapEff|SigBlk):' /proc/self/status
     ls -l /proc/self/fd | grep -c 'fd7$'`,
  );
  const script = `umask 027; ulimit -n 99; exec 7>${dir.file("fd7")} < input; exec "$@"`;
  const as = (...command: string[]): Promise<Result> =>
    run("setsid", ["-w", "sh", "-c", script, "sh", ...command], {
      cwd: dir.path,
      env: { PATH: Deno.env.get("PATH")!, GREETING: "hello there", EMPTY: "" },
      clearEnv: true,
    });
  const [direct, proxied] = [
    await as("sh", probe),
    await as(SIPID, "pidproxy", "p", "sh", probe),
  ];
  const comparable = (text: string): string => text.replace(/^\d+ \d+$/m, "group session");
  assertEquals(comparable(proxied.stdout), comparable(direct.stdout));
  assertEquals([direct.stderr, proxied.stderr], ["to stderr\n", "to stderr\n"]);
  assertStringIncludes(direct.stdout, "from stdin\n");
  // Both in the group and the session that setsid made, whose number is that of their leader.
  for (const { stdout } of [direct, proxied]) assertMatch(stdout, /^(\d+) \1$/m);
});

Deno.test("pidproxy stands in for Supervisor's when it is called by that name", async () => {
  using dir = new TempDir();
  Deno.symlinkSync(SIPID, dir.file("pidproxy"));
  expectResult(
    await run(dir.file("pidproxy"), [
      ...[dir.file("p"), "sh", "-c", 'echo "$@"', "sh", "--help"],
    ]),
    { code: 0, stdout: "--help\n" },
  );
  expectResult(await run(dir.file("pidproxy"), []), {
    code: 2,
    stderr: "run 'sipid pidproxy --help' for usage",
  });
});

Deno.test("pidproxy without a pidfile and a command is wrong usage", async () => {
  for (
    const args of [[], ["p"], ["--wait", "5s", "p"], ["--wait", "5", "p", "true"], [
      "-x",
      "p",
      "true",
    ]]
  ) {
    expectResult(await sipid("pidproxy", ...args), {
      code: 2,
      stderr: "run 'sipid pidproxy --help' for usage",
    });
  }
});

Deno.test("pidproxy returns when the command exits", async () => {
  using dir = new TempDir();
  const floor = (await sipid("--version")).ms;
  const { ms } = await sipid("pidproxy", dir.file("p"), "true");
  assertLess(ms, floor + 50 + SLACK_MS);
});

Deno.test("pidproxy goes on for a daemon in the background, and returns 0 when it was stopped", async () => {
  await using proxied = await Proxied.start(background("linger=500"), { flags: ["--wait", "5s"] });
  const daemon = await proxied.daemonPid();
  for (const signal of ["SIGHUP", "SIGUSR1"] as const) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
  }
  proxied.running.kill("SIGTERM");
  await proxied.running.line(/^SIGTERM$/m);
  assert(isRunning(proxied.running.pid));
  expectResult(await proxied.result(), { code: 0 });
  assert(!isRunning(daemon));
});

Deno.test("pidproxy returns 1 when a daemon in the background dies by itself", async () => {
  await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
  const daemon = await proxied.daemonPid();
  Deno.kill(daemon, "SIGKILL");
  const begin = performance.now();
  expectResult(await proxied.result(), { code: 1 });
  assertLess(performance.now() - begin, SLACK_MS);
  assertMatch(
    proxied.log,
    new RegExp(`daemon\\.pid: process ${daemon}( \\(deno\\))? exited without being asked to`),
  );
});

Deno.test("pidproxy goes on for a daemon whose command failed or was killed", async () => {
  for (const end of ["exit 3", "kill -9 $$"]) {
    const script = `"$@" & until [ -s "$0" ]; do sleep 0.01; done; ${end}`;
    await using proxied = await Proxied.start((
      pidFile,
    ) => ["sh", "-c", script, pidFile, ...DAEMON, pidFile]);
    const daemon = await proxied.daemonPid();
    await until(() => !commandOf(proxied.running.pid), "the command has ended");
    proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0 });
    assert(!isRunning(daemon));
  }
});

Deno.test("pidproxy does not wait for a pidfile unless it is told to", async () => {
  await using proxied = await Proxied.start(background("late=1000"), { awaited: "daemon \\d+" });
  expectResult(await proxied.result(), { code: 0 });
  assertEquals(proxied.log, "");
});

Deno.test("pidproxy returns 1 when no daemon appears within --wait", async () => {
  await using proxied = await Proxied.start(background("late=5000"), {
    awaited: "daemon \\d+",
    flags: ["--wait", "300ms"],
  });
  expectResult(await proxied.result(), { code: 1 });
  assertMatch(
    proxied.log,
    /the command exited, and no pidfile named a daemon within 300ms: .*daemon\.pid: does not exist; check/,
  );
});

Deno.test("pidproxy waits no longer for a daemon that wrote its pidfile and died", async () => {
  using dir = new TempDir();
  const path = dir.file("daemon.pid");
  // It may be seen alive for a moment, and is then reported with its name.
  const script = `(true & echo $! > ${path}; wait) & exit 0`;
  const { ms } = expectResult(await sipid("pidproxy", "--wait", "20s", path, "sh", "-c", script), {
    code: 1,
    stderr: /daemon\.pid: process \d+( \(\w+\))? exited without being asked to/,
  });
  assertLess(ms, SLACK_MS);
});

Deno.test("pidproxy does not wait for the pidfile of a command that failed", async () => {
  using dir = new TempDir();
  const { ms } = expectResult(
    await sipid(
      "pidproxy",
      "--wait",
      "20s",
      dir.file("p"),
      "sh",
      "-c",
      "exit 3",
    ),
    { code: 3 },
  );
  assertLess(ms, SLACK_MS);
});
Deno.test("pidproxy neither writes nor removes the pidfile", async () => {
  using dir = new TempDir();
  const path = dir.write("daemon.pid", "17\n");
  Deno.utimeSync(path, 1, 1);
  await sipid("pidproxy", path, "true");
  assertEquals(Deno.readTextFileSync(path), "17\n");
  assertEquals(Deno.statSync(path).mtime?.getTime(), 1_000);
  await sipid("pidproxy", dir.file("none"), "true");
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["daemon.pid"]);
});

Deno.test("pidproxy sleeps while its command is running, and while its daemon is", async () => {
  for (
    const [kind, flags] of [[foreground(), []], [background(), ["--wait", "5s"]], [
      () => ["sh", "-c", "echo daemon $$; echo ready; exec sleep 600"],
      [],
    ]] as const
  ) {
    await using proxied = await Proxied.start(kind, { flags: [...flags] });
    const wakeUps = (): number =>
      [...Deno.readDirSync(`/proc/${proxied.running.pid}/task`)].reduce((sum, { name }) => {
        const status = Deno.readTextFileSync(`/proc/${proxied.running.pid}/task/${name}/status`);
        return sum + Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
      }, 0);
    // It rests once it sleeps for longer than the longest interval between two looks.
    let [before, since] = [-1, 0];
    await until(() => {
      const count = wakeUps();
      if (count !== before) [before, since] = [count, performance.now()];
      return performance.now() - since > 600;
    }, "it is at rest");
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    // A look every 250 ms would make 12; the runtime's own housekeeping makes a few.
    assertLess(wakeUps() - before, 8);
  }
});

Deno.test("pidproxy run by nobody works like root's", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  expectResult(await asNobody(SIPID, ["pidproxy", dir.file("p"), "echo", "hello"]), {
    code: 0,
    stdout: "hello\n",
  });
});
