/** sipid pidproxy, compiled, with real commands and daemons. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  asNobody,
  deadPid,
  expectResult,
  fixture,
  fixtureCommand,
  isRunning,
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

const DAEMON = fixtureCommand("daemon");

/** A running proxy, with what it says on stderr in a file. */
class Proxied implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly pidFile = this.dir.file("daemon.pid");
  #running: Running | undefined;

  /** Starts it and waits for a line on stdout, which command and daemon share. */
  static async start(
    command: (pidFile: string) => string[],
    { awaited = "ready", flags = [] as string[], stale = undefined as string | undefined } = {},
  ): Promise<Proxied> {
    const proxied = new Proxied();
    if (stale !== undefined) proxied.dir.write("daemon.pid", stale);
    const args = ["pidproxy", ...flags, proxied.pidFile, ...command(proxied.pidFile)];
    const script = 'log=$1; shift; exec "$@" 2>"$log"';
    proxied.#running = await Running.start(
      "sh",
      ["-c", script, "sh", proxied.dir.file("log"), SIPID, ...args],
      { awaited },
    );
    return proxied;
  }

  get running(): Running {
    return this.#running!;
  }
  get log(): string {
    return Deno.readTextFileSync(this.dir.file("log"));
  }
  /** Waits until it exits. */
  async result(): Promise<Result> {
    const result = await this.running.result();
    return { ...result, stderr: this.log };
  }
  /** Waits until it has said on stderr what matches. */
  logged(pattern: RegExp): Promise<void> {
    return until(() => pattern.test(this.log), `${pattern} is in the log`);
  }
  /** The PID the daemon says it has. */
  async daemonPid(): Promise<number> {
    return Number((await this.running.line(/daemon (\d+)\n/))[1]);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const pid = /^daemon (\d+)$/m.exec(this.running.seen)?.[1];
    await this.running[Symbol.asyncDispose]();
    if (pid !== undefined && isRunning(Number(pid))) Deno.kill(Number(pid), "SIGKILL");
    this.dir[Symbol.dispose]();
  }
}

/** A command as mysqld_safe is: it ignores signals and stays until its daemon is gone. */
function safe(...options: string[]): (pidFile: string) => string[] {
  const script = `trap "" TERM INT QUIT HUP; "$@" & wait $!`;
  return (pidFile) => ["sh", "-c", script, "sh", ...DAEMON, pidFile, ...options];
}

/** A command as nginx is: it puts its daemon in the background and exits. */
function background(...options: string[]): (pidFile: string) => string[] {
  return (pidFile) => ["sh", "-c", '"$@" & exit 0', "sh", ...DAEMON, pidFile, ...options];
}

/** A daemon that is the command itself. */
function foreground(...options: string[]): (pidFile: string) => string[] {
  return (pidFile) => [...DAEMON, pidFile, ...options];
}

// 1. The command

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
  for (
    const [signal, code] of [["KILL", 137], ["TERM", 143], ["HUP", 129], ["USR1", 138]] as const
  ) {
    expectResult(await sipid("pidproxy", dir.file("p"), "sh", "-c", `kill -${signal} $$`), {
      code,
    });
  }
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
    ["./no-such-command", 127, "cannot run ./no-such-command: there is no such file"],
    [file("plain", "#!/bin/sh\n", 0o644), 126, "permission denied; make it executable: chmod +x"],
    [
      file("lost", "#!/no/such\n", 0o755),
      126,
      "its interpreter, named in its first line, does not",
    ],
    [dir.path, 126, "permission denied"],
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
  // Deno 2.9 gives such a file to /bin/sh, as a shell does.
  const isGivenToShell = /^2\.(9|\d\d)\./.test(Deno.version.deno);
  expectResult(
    await sipid("pidproxy", dir.file("p"), path),
    isGivenToShell
      ? { code: 0, stdout: "hello\n", stderr: "" }
      : { code: 126, stdout: "", stderr: "exec format error; it is no program" },
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

// 2. Signals

const FORWARDED: Deno.Signal[] = [
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
  "SIGWINCH",
  "SIGALRM",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGIO",
];

Deno.test("pidproxy passes every signal of its list on to the daemon", async () => {
  await using proxied = await Proxied.start(safe());
  for (const signal of [...FORWARDED, "SIGINT"] as const) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
  }
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy is not stopped by what stops its daemon", async () => {
  await using proxied = await Proxied.start(safe());
  for (const signal of ["SIGTSTP", "SIGTTIN", "SIGTTOU"] as const) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
    const stat = Deno.readTextFileSync(`/proc/${proxied.running.pid}/stat`);
    assertMatch(stat, /\) [RS] /);
  }
});

Deno.test("pidproxy reads the pidfile anew for each signal", async () => {
  await using proxied = await Proxied.start(safe());
  await using other = await fixture("prints_signals");
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^SIGHUP$/m);
  Deno.writeTextFileSync(proxied.pidFile, String(other.pid));
  proxied.running.kill("SIGHUP");
  await other.line(/SIGHUP/);
});

Deno.test("pidproxy survives a flood of signals and loses none of those that matter", async () => {
  await using proxied = await Proxied.start(safe("linger=200"));
  for (let i = 0; i < 1_000; i++) {
    proxied.running.kill((["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const)[i % 4]!);
  }
  proxied.running.kill("SIGTERM");
  // The kernel itself makes one of several that are pending; at least one of each arrives.
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGTERM"]) {
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
  }
  expectResult(await proxied.result(), { code: 0 });
  await proxied.running.line(/daemon exits/);
});

// 3. What is believed

Deno.test("pidproxy does not believe a pidfile from before", async () => {
  await using stranger = await fixture("prints_signals");
  await using proxied = await Proxied.start(
    (_) => foreground("late=0")("/dev/null"),
    { stale: String(stranger.pid) },
  );
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^SIGHUP$/m);
  await proxied.logged(/the command: pidfile/);
  assertStringIncludes(proxied.log, "is from before the command was started");
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  stranger.kill("SIGCONT");
  assertEquals((await stranger.line(/ready\n(.*)\n/))[1], "SIGCONT", "nothing came before");
});

Deno.test("pidproxy believes a pidfile that is written anew with the same PID length", async () => {
  await using proxied = await Proxied.start(safe(), { stale: "1234567\n" });
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^SIGHUP$/m);
  assertNotMatch(proxied.log, /the command/);
});

const UNBELIEVABLE: [string, (pidFile: string) => Promise<void>, RegExp][] = [
  ["no pidfile", (path) => Promise.resolve(Deno.removeSync(path)), /there is no pidfile/],
  ["garbage", (path) => Deno.writeTextFile(path, "x"), /does not contain a valid pid/],
  ["the PID -1", (path) => Deno.writeTextFile(path, "-1"), /does not contain a valid pid/],
  ["the PID 0", (path) => Deno.writeTextFile(path, "0"), /does not contain a valid pid/],
  ["an empty pidfile", (path) => Deno.writeTextFile(path, ""), /does not contain a valid pid/],
  [
    "a dead process",
    async (path) => Deno.writeTextFileSync(path, String(await deadPid())),
    /process \d+ \(.*\) does not run/,
  ],
  [
    "a symlink",
    (path) => {
      Deno.renameSync(path, `${path}.real`);
      return Promise.resolve(Deno.symlinkSync(`${path}.real`, path));
    },
    /is a symlink/,
  ],
];
for (const [what, spoil, reason] of UNBELIEVABLE) {
  Deno.test(`pidproxy gives the signal to the command when it finds ${what}`, async () => {
    await using proxied = await Proxied.start(foreground());
    await spoil(proxied.pidFile);
    proxied.running.kill("SIGHUP");
    await proxied.running.line(/^SIGHUP$/m);
    await proxied.logged(/sent SIGHUP to process \d+ \(deno\), the command: /);
    assertMatch(proxied.log, reason);
  });
}

Deno.test("pidproxy run as root does not believe a pidfile that others can write", async () => {
  await using stranger = await fixture("prints_signals");
  await using proxied = await Proxied.start(foreground());
  Deno.writeTextFileSync(proxied.pidFile, String(stranger.pid));
  Deno.chmodSync(proxied.pidFile, 0o666);
  proxied.running.kill("SIGHUP");
  if (Deno.uid() === 0) {
    await proxied.running.line(/^SIGHUP$/m);
    await proxied.logged(/can be written by others than its owner \(mode 0666\)/);
  } else await stranger.line(/SIGHUP/);
});

// 4. Stopping

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
  Deno.test(`pidproxy stays after ${signal} until the daemon is gone`, async () => {
    await using proxied = await Proxied.start(safe("linger=1000"));
    const daemon = await proxied.daemonPid();
    const begin = performance.now();
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
    assert(isRunning(daemon) && isRunning(proxied.running.pid));
    expectResult(await proxied.result(), { code: 0 });
    assertGreaterOrEqual(performance.now() - begin, 950);
    assert(!isRunning(daemon));
  });
}

Deno.test("pidproxy passes a second signal on like the first", async () => {
  await using proxied = await Proxied.start(safe("ignore-stop"));
  // Each is waited for before the next is sent: they come one by one, in this order.
  const sent = ["SIGTERM", "SIGTERM", "SIGINT", "SIGQUIT"] as const;
  for (let count = 1; count <= sent.length; count++) {
    proxied.running.kill(sent[count - 1]!);
    await proxied.running.line(new RegExp(`ready\n${sent.slice(0, count).join("\n")}\n`));
  }
});

Deno.test("pidproxy asks a daemon to end that was not there yet when it was asked itself", async () => {
  // The command ignores SIGTERM, the daemon writes its pidfile half a second after it.
  await using proxied = await Proxied.start(safe("late=500"), { awaited: "daemon \\d+" });
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  await proxied.running.line(/ready[^]*SIGTERM[^]*daemon exits/);
  assertMatch(proxied.log, /sent SIGTERM to process \d+ \(sh\), the command: there is no pidfile/);
  assertMatch(proxied.log, /sent SIGTERM to process \d+ \(deno\)\n/);
});

// 5. The end

Deno.test("pidproxy returns at once when the command ends", async () => {
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
    new RegExp(`process ${daemon}( \\(deno\\))? of .* ended without having been`),
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

/** The first child of a process, if it has one. */
function commandOf(pid: number): string | undefined {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")[0] ||
    undefined;
}

Deno.test("pidproxy does not wait for a pidfile unless it is told to", async () => {
  await using proxied = await Proxied.start(background("late=1000"), { awaited: "daemon \\d+" });
  expectResult(await proxied.result(), { code: 0 });
  assertEquals(proxied.log, "");
});

Deno.test("pidproxy waits for a pidfile no longer than it is told to, and says so", async () => {
  await using proxied = await Proxied.start(background("late=5000"), {
    awaited: "daemon \\d+",
    flags: ["--wait", "300ms"],
  });
  expectResult(await proxied.result(), { code: 0 });
  assertMatch(
    proxied.log,
    /the command ended and left no daemon within 300ms: there is no pidfile/,
  );
});

Deno.test("pidproxy waits no longer for a daemon that wrote its pidfile and died", async () => {
  using dir = new TempDir();
  const path = dir.file("daemon.pid");
  // It may be seen alive for a moment, and is then told with its name.
  const script = `(true & echo $! > ${path}; wait) & exit 0`;
  const { ms } = expectResult(await sipid("pidproxy", "--wait", "20s", path, "sh", "-c", script), {
    code: 1,
    stderr: /process \d+( \(\w+\))? of .*daemon\.pid ended without having been asked to/,
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

for (const signal of ["SIGHUP", "SIGTERM"] as const) {
  Deno.test(`pidproxy keeps ${signal} for a daemon that has not written its pidfile yet`, async () => {
    await using proxied = await Proxied.start(background("late=800"), {
      awaited: "daemon \\d+",
      flags: ["--wait", "5s"],
    });
    await until(() => !commandOf(proxied.running.pid), "the command has ended");
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`ready[^]*${signal}`));
    if (signal === "SIGHUP") proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0 });
  });
}

Deno.test("pidproxy ends the daemon of a command that was ended before its daemon was there", async () => {
  // It has forked, and is told to end before it could exit by itself.
  const forks = (pidFile: string): string[] => [
    "sh",
    "-c",
    '"$@" & wait',
    "sh",
    ...DAEMON,
    pidFile,
    "late=800",
  ];
  await using proxied = await Proxied.start(forks, {
    awaited: "daemon \\d+",
    flags: ["--wait", "5s"],
  });
  const daemon = await proxied.daemonPid();
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  assert(!isRunning(daemon));
  await proxied.logged(/sent SIGTERM to process \d+ \(sh\), the command[^]*sent SIGTERM to/);
});

Deno.test("pidproxy follows a daemon that hands over to another", async () => {
  await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
  const daemon = await proxied.daemonPid();
  await using next = await fixture("prints_signals");
  Deno.writeTextFileSync(proxied.pidFile, `${next.pid}\n`);
  Deno.kill(daemon, "SIGKILL");
  await until(() => !isRunning(daemon), "the first daemon is gone");
  proxied.running.kill("SIGHUP");
  await next.line(/SIGHUP/);
  next.kill("SIGKILL");
  expectResult(await proxied.result(), { code: 1 });
});

// 6. and 7.

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

Deno.test("pidproxy does nothing at all while it waits for its command", async () => {
  await using proxied = await Proxied.start(foreground());
  const wakeUps = (): number =>
    [...Deno.readDirSync(`/proc/${proxied.running.pid}/task`)].reduce((sum, { name }) => {
      const status = Deno.readTextFileSync(`/proc/${proxied.running.pid}/task/${name}/status`);
      return sum + Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
    }, 0);
  // What its start set in motion comes to rest.
  let before = -1;
  await until(() => before === (before = wakeUps()), "it is at rest");
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assertLess(wakeUps() - before, 3);
});

Deno.test("pidproxy run by nobody works like root's", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  expectResult(await asNobody(SIPID, ["pidproxy", dir.file("p"), "echo", "hello"]), {
    code: 0,
    stdout: "hello\n",
  });
});
