/** sipid pidproxy, compiled: nothing is left behind after a stop, and every limit is kept. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertNotMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  expectResult,
  isRunning,
  loggedMs,
  run,
  SIPID,
  SLACK_MS,
  TempDir,
  until,
} from "../support.ts";
import { background, commandOf, DAEMON, fastest, foreground, Proxied, safe } from "../proxied.ts";

/** Milliseconds that a measurement may exceed a limit by, at its shortest. */
const PRECISION_MS = 100;

// 1. Signals that come before the pidfile

/** Starts a daemon, and writes its PID when PID_FILE.go is there. */
const WRITES_LATE = `"$@" & daemon=$!
until [ -e "$0.go" ]; do sleep 0.01; done
echo $daemon >"$0"; wait`;
const writesLate = (pidFile: string): string[] => [
  ...["sh", "-c", WRITES_LATE, pidFile],
  ...[...DAEMON, "/dev/null"],
];

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
  Deno.test(`pidproxy stops a daemon whose pidfile is written just after ${signal}`, async () => {
    await using proxied = await Proxied.start(writesLate);
    const daemon = await proxied.daemonPid();
    proxied.running.kill(signal);
    proxied.dir.write("daemon.pid.go", "");
    expectResult(await proxied.result(), { code: 0 });
    assert(!isRunning(daemon));
  });
}

for (const signal of ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const) {
  Deno.test(`pidproxy keeps ${signal} until the pidfile is written`, async () => {
    await using proxied = await Proxied.start(writesLate);
    const command = Number(commandOf(proxied.running.pid));
    proxied.running.kill(signal);
    await proxied.logged(new RegExp(`keeping ${signal} for the daemon: .*: does not exist`));
    assert(isRunning(command), "the signal would have killed it");
    proxied.dir.write("daemon.pid.go", "");
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
    proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0 });
  });
}

Deno.test("pidproxy stops a daemon that appears within a second of its command's exit", async () => {
  const forks = (pidFile: string): string[] => [
    ...["sh", "-c", '"$@" & wait', "sh", ...DAEMON],
    ...[pidFile, "late=700"],
  ];
  await using proxied = await Proxied.start(forks, { awaited: "daemon \\d+" });
  const daemon = await proxied.daemonPid();
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  assert(!isRunning(daemon));
});

Deno.test("pidproxy reports a signal that nothing could be given", async () => {
  await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; sleep 0.6"]);
  proxied.running.kill("SIGUSR1");
  expectResult(await proxied.result(), {
    code: 0,
    stderr: ["keeping SIGUSR1 for the daemon", "SIGUSR1 was not delivered: no daemon is known"],
  });
});

// 2. Daemons that do not stop

Deno.test("pidproxy continues a stopped daemon that it is asked to stop", async () => {
  await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
  Deno.kill(await proxied.daemonPid(), "SIGSTOP");
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0, stderr: /sent SIGTERM .*\n.*sent SIGCONT / });
});

Deno.test("pidproxy continues a stopped command, which would not notice that its daemon exits", async () => {
  await using proxied = await Proxied.start(safe());
  Deno.kill(Number(commandOf(proxied.running.pid)), "SIGSTOP");
  proxied.running.kill("SIGTERM");
  await proxied.logged(/sent SIGTERM .*\n.*sent SIGCONT to process \d+ \(sh\), the command\n/);
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy --wait is not sat out after the stop of a command that is the daemon", async () => {
  await using proxied = await Proxied.start(foreground(), { flags: ["--wait", "20s"] });
  proxied.running.kill("SIGTERM");
  await proxied.running.line(/daemon exits/);
  const begin = performance.now();
  expectResult(await proxied.result(), { code: 0 });
  assertLess(performance.now() - begin, SLACK_MS);
});

Deno.test("pidproxy stops the next daemon of a command that the pidfile had named first", async () => {
  const restarts = `echo $$ >"$0"; echo ready; until [ -e "$0.go" ]; do sleep 0.01; done
sleep 600 & echo $! >"$0"; echo first $!; wait $!; "$@" & wait`;
  await using proxied = await Proxied.start((pidFile) => [
    ...["sh", "-c", restarts, pidFile],
    ...[...DAEMON, pidFile, "late=700"],
  ]);
  await proxied.followed(Number(commandOf(proxied.running.pid)));
  proxied.dir.write("daemon.pid.go", "");
  const first = Number((await proxied.running.line(/first (\d+)\n/))[1]);
  proxied.running.kill("SIGWINCH"); // it reads the pidfile again with a signal
  await proxied.followed(first);
  Deno.kill(first, "SIGKILL");
  const next = await proxied.daemonPid();
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  assert(!isRunning(next));
});

/** A daemon in a session of its own that ignores TERM and has a worker; its command stays. */
const STUBBORN = `trap "" TERM
setsid sh -c 'trap "" TERM; sleep 600 & echo worker $!; echo daemon $$; echo $$ >"$0"
  echo ready; while :; do sleep 0.05; done' "$0" & while :; do wait; sleep 0.05; done`;
const stubborn = (pidFile: string): string[] => ["sh", "-c", STUBBORN, pidFile];

Deno.test("pidproxy kills daemon and command at the end of the grace period", async () => {
  const graceMs = 500;
  const ms = await fastest(graceMs + SLACK_MS, async () => {
    await using proxied = await Proxied.start(stubborn, {
      flags: ["--grace-period", `${graceMs}ms`, "--group"],
    });
    const [, worker] = await proxied.running.line(/worker (\d+)\n/);
    const processes = [await proxied.daemonPid(), Number(worker), proxied.running.pid];
    processes.push(Number(commandOf(proxied.running.pid)));
    const begin = performance.now();
    proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0, stderr: "sent SIGKILL to process group" });
    const ms = performance.now() - begin;
    assertGreaterOrEqual(ms, graceMs);
    assertEquals(processes.filter(isRunning), []);
    return ms;
  });
  assertLess(ms, graceMs + SLACK_MS);
});

Deno.test("pidproxy kills a command without a daemon at the end of the grace period", async () => {
  const script = 'trap "" TERM; echo ready; while :; do sleep 0.05; done';
  await using proxied = await Proxied.start(() => ["sh", "-c", script], {
    flags: ["--grace-period", "300ms"],
  });
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0, stderr: /SIGKILL to process \d+ \(sh\)\n/ });
});

Deno.test("pidproxy kills a daemon that appears after the grace period", async () => {
  const forks = (pidFile: string): string[] => [
    ...["sh", "-c", '"$@" & wait', "sh", ...DAEMON],
    ...[pidFile, "late=700", "ignore-stop"],
  ];
  await using proxied = await Proxied.start(forks, {
    awaited: "daemon \\d+",
    flags: ["--grace-period", "100ms"],
  });
  const daemon = await proxied.daemonPid();
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0, stderr: `sent SIGKILL to process ${daemon}` });
  assert(!isRunning(daemon));
});

Deno.test("pidproxy passes the failure of a command on that has no daemon", async () => {
  const script = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done';
  await using proxied = await Proxied.start(() => ["sh", "-c", script]);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 7 });
});

// 3. Recycled PIDs

Deno.test("pidproxy never signals a later process with the daemon's PID", async () => {
  using dir = new TempDir();
  const script = `cd "$1"; sipid=$2
    $sipid pidproxy d.pid sh -c 'sleep 600 & echo $! >d.pid; wait; exec sleep 600' 2>log & proxy=$!
    until [ -s d.pid ]; do sleep 0.01; done; daemon=$(cat d.pid)
    until ls -l /proc/$proxy/fd 2>/dev/null | grep -q "/proc/$daemon\$"; do sleep 0.01; done
    kill -9 $daemon; while kill -0 $daemon 2>/dev/null; do :; done
    echo $((daemon - 1)) >/proc/sys/kernel/ns_last_pid; sleep 600 & unrelated=$!
    [ $unrelated = $daemon ] || { echo "no PID was recycled"; exit 1; }
    for signal in HUP USR1 TERM; do
      kill -$signal $proxy
      until grep -q "keeping SIG$signal\\|sent SIG$signal" log; do sleep 0.01; done
    done
    wait $proxy; echo proxy $?
    kill -0 $unrelated && echo unrelated runs`;
  const namespace = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const result = await run("unshare", [...namespace, "sh", "-c", script, "sh", dir.path, SIPID]);
  expectResult(result, { code: 0, stdout: "proxy 0\nunrelated runs\n" });
  const log = Deno.readTextFileSync(dir.file("log"));
  assertMatch(
    log,
    /sent SIGTERM to process \d+ \(\w+\), the command: d\.pid: process \d+ is not run/,
  );
  assertMatch(log, /SIGHUP was not delivered[^]*SIGUSR1 was not delivered/);
});

// 4. Process groups

/** A daemon that leads a session, with a worker; the worker's script is the argument. */
const MASTER = `setsid sh -c 'sh -c "$1" & echo worker $!; echo daemon $$; echo $$ >"$0"
  echo ready; exec sleep 600' "$0" "$1" & exit 0`;
const master = (worker: string) => (pidFile: string): string[] => [
  ...["sh", "-c", MASTER, pidFile, worker],
];
const GROUP = ["--wait", "5s", "--group"];
const DEAF = 'trap "" TERM; while :; do sleep 0.05; done';

async function workerOf(proxied: Proxied): Promise<number> {
  return Number((await proxied.running.line(/worker (\d+)\n/))[1]);
}

Deno.test("pidproxy --group stops the workers of a master that was killed", async () => {
  await using proxied = await Proxied.start(master("exec sleep 600"), { flags: GROUP });
  const worker = await workerOf(proxied);
  await proxied.followed(worker);
  Deno.kill(await proxied.daemonPid(), "SIGKILL");
  expectResult(await proxied.result(), {
    code: 1,
    stderr: [/exited without being asked to\n/, /sent SIGTERM to process group \d+/],
  });
  assert(!isRunning(worker));
});

/** A daemon that replaces its worker on USR1. */
const REPLACES =
  `setsid sh -c 'trap "kill \\$worker; sleep 600 & worker=\\$!; echo next \\$worker" USR1
  trap : HUP; sleep 600 & worker=$!; echo worker $worker; echo daemon $$; echo $$ >"$0"
  echo ready; while :; do wait; done' "$0" & exit 0`;

Deno.test("pidproxy --group stops the workers that have replaced all it knew", async () => {
  await using proxied = await Proxied.start((pidFile) => ["sh", "-c", REPLACES, pidFile], {
    flags: GROUP,
  });
  const [worker, daemon] = [await workerOf(proxied), await proxied.daemonPid()];
  await proxied.followed(worker);
  // By now the next read of the group is due in more than two seconds.
  await delay(4_000);
  Deno.kill(daemon, "SIGUSR1");
  const next = Number((await proxied.running.line(/next (\d+)\n/))[1]);
  await until(() => !isRunning(worker), "the first worker has exited");
  proxied.running.kill("SIGHUP");
  const begin = performance.now();
  await proxied.followed(next);
  assertLess(performance.now() - begin, 1_000);
  Deno.kill(daemon, "SIGKILL");
  expectResult(await proxied.result(), { code: 1, stderr: /sent SIGTERM to process group \d+/ });
  assert(!isRunning(next));
});

Deno.test("pidproxy --group stops the workers that a stopped master leaves", async () => {
  await using proxied = await Proxied.start(master("exec sleep 600"), { flags: GROUP });
  const worker = await workerOf(proxied);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  assert(!isRunning(worker));
});

/** A command that leads a session, and forks a worker that ignores TERM when it gets HUP. */
const FORKS_ON_HUP = `$| = 1; open F, ">", shift; print F $$; close F; print "daemon $$\n";
  $SIG{HUP} = sub {
    $worker = fork;
    unless ($worker) { $SIG{TERM} = "IGNORE"; $SIG{HUP} = "DEFAULT"; exec "sleep", "600" }
    print "worker $worker\n";
  };
  print "ready\n"; sleep while 1`;

Deno.test("pidproxy --group stops a worker that was forked just before its master was stopped", async () => {
  await using proxied = await Proxied.start(
    (pidFile) => ["setsid", "perl", "-e", FORKS_ON_HUP, pidFile],
    { flags: ["--group", "--grace-period", "300ms"] },
  );
  await proxied.followed();
  proxied.running.kill("SIGHUP");
  const worker = await workerOf(proxied);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0, stderr: /sent SIGKILL to process group/ });
  assert(!isRunning(worker));
});

for (const [flags, limitMs] of [[[], 5_000], [["--grace-period", "700ms"], 700]] as const) {
  Deno.test(`pidproxy --group kills workers that ignore TERM after ${limitMs} ms`, async () => {
    const ms = await fastest(limitMs + SLACK_MS, async () => {
      await using proxied = await Proxied.start(master(DEAF), { flags: [...GROUP, ...flags] });
      const worker = await workerOf(proxied);
      const daemon = await proxied.daemonPid();
      await proxied.followed(worker);
      Deno.kill(daemon, "SIGKILL");
      const { stderr } = expectResult(await proxied.result(), { code: 1 });
      assert(!isRunning(worker));
      const ms = loggedMs(stderr, /sent SIGTERM to process group/, /sent SIGKILL to process group/);
      assertGreaterOrEqual(ms, limitMs);
      return ms;
    });
    assertLess(ms, limitMs + SLACK_MS);
  });
}

Deno.test("pidproxy --group reports the workers of a master that it never saw alive", async () => {
  // The pidfile is written only after the master has exited, so nothing proves whose the group is.
  const script = `setsid sh -c 'sleep 600 & echo worker $!; echo daemon $$' >out
    cat out; sed -n 's/daemon //p' out >"$0"; echo ready; exit 0`;
  using dir = new TempDir();
  await using proxied = await Proxied.start(
    (pidFile) => ["sh", "-c", script, pidFile],
    { flags: GROUP, cwd: dir.path },
  );
  const worker = await workerOf(proxied);
  expectResult(await proxied.result(), {
    code: 1,
    stderr: `exited before it was seen; not signalled: process ${worker} (sleep)`,
  });
  assert(isRunning(worker));
  Deno.kill(worker, "SIGKILL");
});

Deno.test("pidproxy --group reports the workers of a later master that it never saw alive", async () => {
  const script = `sleep 600 & echo $! >"$0"; echo ready; wait
    setsid sh -c 'sleep 600 & echo worker $! >"$0.out"; echo $$ >"$0.leader"' "$0"
    cat "$0.leader" >"$0"; cat "$0.out"; exec sleep 600`;
  await using proxied = await Proxied.start((pidFile) => ["sh", "-c", script, pidFile], {
    flags: ["--group"],
  });
  const first = Number(Deno.readTextFileSync(proxied.pidFile));
  await proxied.followed(first);
  Deno.kill(first, "SIGKILL");
  const worker = await workerOf(proxied);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), {
    code: 1,
    stderr: `exited before it was seen; not signalled: process ${worker} (sleep)`,
  });
  Deno.kill(worker, "SIGKILL");
});

Deno.test("pidproxy without --group leaves the workers alone", async () => {
  await using proxied = await Proxied.start(master("exec sleep 600"), { flags: ["--wait", "5s"] });
  const worker = await workerOf(proxied);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  assert(isRunning(worker));
  Deno.kill(worker, "SIGKILL");
});

Deno.test("pidproxy --group warns of a daemon that leads no group", async () => {
  await using proxied = await Proxied.start(background(), { flags: GROUP });
  await proxied.logged(
    /warning: process \d+ \(deno\) leads no process group; only the process itself is signalled\n/,
  );
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
});

// 5. Stop signals

Deno.test("pidproxy --stop-signal makes a signal a stop request", async () => {
  const daemon = `trap "exit 0" USR1; echo $$ >"$0"; echo ready; while :; do sleep 0.05; done`;
  const exitsOnUsr1 = (pidFile: string): string[] => [
    ...["sh", "-c", `sh -c '${daemon}' "$0" &`, pidFile],
  ];
  for (const [flags, code] of [[["--stop-signal", "USR1"], 0], [[], 1]] as const) {
    await using proxied = await Proxied.start(exitsOnUsr1, { flags: ["--wait", "5s", ...flags] });
    proxied.running.kill("SIGUSR1");
    const { stderr } = expectResult(await proxied.result(), { code });
    if (code === 0) assertNotMatch(stderr, /without being asked to/);
  }
});

Deno.test("pidproxy --stop-signal accepts only signals that can be forwarded", async () => {
  for (const name of ["KILL", "STOP", "TSTP", "CONT", "CHLD", "PWR", "NOPE"]) {
    const args = ["pidproxy", "--stop-signal", name, "p", "true"];
    expectResult(await run(SIPID, args), { code: 2, stderr: /invalid --stop-signal/ });
  }
  for (const name of ["usr2", "SIGHUP", "28", "TERM"]) {
    const args = ["pidproxy", "--stop-signal", name, "p", "true"];
    expectResult(await run(SIPID, args), { code: 0 });
  }
});

// 6. Terminals

Deno.test("a shell gets its prompt back after Ctrl-Z, and can continue pidproxy", async () => {
  using dir = new TempDir();
  // With job control, as in an interactive shell: bash reports what its jobs do.
  const script = `set -m; cd "$1"; sipid=$2; shift 2
    $sipid pidproxy d.pid "$@" d.pid >out 2>log & proxy=$!
    until grep -q ready out; do sleep 0.02; done
    kill -TSTP -$proxy
    until jobs -s | grep -q Stopped; do sleep 0.02; done; echo stopped
    kill -CONT -$proxy; until grep -q "sent SIGCONT" log; do sleep 0.02; done
    kill -TERM $proxy; wait $proxy; echo exit $?`;
  const result = await run("bash", ["-c", script, "bash", dir.path, SIPID, ...DAEMON]);
  expectResult(result, { code: 0, stdout: /^stopped\nexit 0\n$/ });
});

// 7. Surroundings

Deno.test("pidproxy as PID 1 stops the workers of a killed master, and passes stops on", async () => {
  using dir = new TempDir();
  const path = dir.file("daemon.pid");
  const script = `setsid sh -c 'sleep 600 & echo $$ >"$0"; exec sleep 600' "$0" & exit 0`;
  for (const [signal, code] of [["KILL", 1], ["TERM", 0]] as const) {
    // Signalled from inside the namespace, by its PID there.
    const kills = `( sleep 1; kill -${signal} $(cat "$0") ) & ${script}`;
    const stops = `( sleep 1; kill -TERM 1 ) & ${script}`;
    const namespace = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const proxy = [SIPID, "pidproxy", "--wait", "5s", "--group", path];
    const command = ["sh", "-c", code === 1 ? kills : stops, path];
    expectResult(await run("unshare", [...namespace, ...proxy, ...command]), {
      code,
      stderr: /process group \d+ \(sleep\): its leader has exited[^]*sent SIGTERM to process group/,
    });
  }
});

Deno.test("pidproxy works without stdin, stdout and stderr", async () => {
  using dir = new TempDir();
  const script = `"$@" <&- >&- 2>&- & proxy=$!; until [ -s "$0" ]; do sleep 0.02; done
    kill -TERM $proxy; wait $proxy; echo $?`;
  const path = dir.file("daemon.pid");
  const proxy = [SIPID, "pidproxy", "--wait", "5s", path];
  const command = ["sh", "-c", 'sleep 600 & echo $! >"$0"; exit 0', path];
  const result = await run("sh", ["-c", script, path, ...proxy, ...command]);
  expectResult(result, { code: 0, stdout: "0\n" });
  assert(!isRunning(Number(Deno.readTextFileSync(path))));
});

// 8. Limits

Deno.test("pidproxy exits 50 to 100 ms after the death of its daemon", async () => {
  const ms = await fastest(100, async () => {
    await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
    const daemon = await proxied.daemonPid();
    await until(() => !commandOf(proxied.running.pid), "the command has exited");
    await proxied.followed();
    const begin = Date.now();
    Deno.kill(daemon, "SIGKILL");
    const { stderr } = expectResult(await proxied.result(), { code: 1 });
    const ms = Date.parse(/^(\S+) .* exited without being asked to$/m.exec(stderr)![1]!) - begin;
    assertGreaterOrEqual(ms, 50);
    return ms;
  });
  assertLess(ms, 100);
});

Deno.test("pidproxy gives the pidfile 200 ms before a stop request goes to the command", async () => {
  const script = 'trap "echo got it" TERM; echo ready; while :; do sleep 0.01; done';
  const ms = await fastest(200 + PRECISION_MS, async () => {
    await using proxied = await Proxied.start(() => ["sh", "-c", script]);
    const begin = performance.now();
    proxied.running.kill("SIGTERM");
    await proxied.running.line(/got it/);
    const ms = performance.now() - begin;
    assertGreaterOrEqual(ms, 200);
    Deno.kill(Number(commandOf(proxied.running.pid)), "SIGKILL");
    return ms;
  });
  assertLess(ms, 200 + PRECISION_MS);
});

Deno.test("pidproxy watches for a daemon for one second after a stopped command's exit", async () => {
  const ms = await fastest(1_200 + PRECISION_MS, async () => {
    await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; exec sleep 600"]);
    const begin = performance.now();
    proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0 });
    const ms = performance.now() - begin;
    assertGreaterOrEqual(ms, 1_200); // 200 ms for the pidfile before that
    return ms;
  });
  assertLess(ms, 1_200 + PRECISION_MS);
});

Deno.test("pidproxy --wait extends the watch for the daemon of a stopped command", async () => {
  await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; exec sleep 600"], {
    flags: ["--wait", "2s"],
  });
  const begin = performance.now();
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  const ms = performance.now() - begin;
  assert(ms >= 2_200 && ms < 2_200 + SLACK_MS, `${ms} ms`);
});

/** The times at which the pidfile was examined, in milliseconds since the first. */
async function looks(script: string): Promise<number[]> {
  using dir = new TempDir();
  const log = dir.file("strace");
  const trace = ["-f", "-ttt", "-e", "trace=/l?stat.*,statx", "-o", log];
  const path = dir.file("d.pid");
  await run("strace", [...trace, SIPID, "pidproxy", path, "sh", "-c", script]);
  const lines = Deno.readTextFileSync(log).split("\n").filter((line) => line.includes(path));
  const times = lines.map((line) => Number(/ (\d+\.\d+) /.exec(line)![1]) * 1000);
  return times.map((time) => time - times[0]!);
}

Deno.test("pidproxy looks for a daemon for 5 s, every 10 to 250 ms", async () => {
  const times = await looks("exec sleep 8");
  const during = times.filter((time) => time < 7_000);
  assertGreaterOrEqual(during.at(-1)!, 4_500);
  assertLess(during.at(-1)!, 5_500);
  const gaps = during.map((time, index) => time - (during[index - 1] ?? -Infinity)).slice(1);
  const late = gaps.filter((_, index) => during[index]! > 3_000);
  assertGreaterOrEqual(Math.min(...late), 245);
  assertLess(Math.min(...late), 250 + PRECISION_MS);
  const early = gaps.filter((gap, index) => during[index]! < 100 && gap > 5);
  assertGreaterOrEqual(Math.min(...early), 8); // timers count whole milliseconds, and strace delays
  assertLess(Math.min(...early), 50); // under strace, and on a busy machine
});

/** Counts the reads of a daemon that exits after three seconds, where there is no pidfd. */
async function readsWithoutPidfd(): Promise<number> {
  using dir = new TempDir();
  const log = dir.file("strace");
  const options = ["-f", "-e", "trace=pidfd_open,open,openat", "-o", log];
  const inject = ["-e", "inject=pidfd_open:error=ENOSYS"];
  const script = 'sleep 3 & echo $! >"$0"; exit 0';
  const path = dir.file("d.pid");
  const command = [SIPID, "pidproxy", "--wait", "5s", path, "sh", "-c", script, path];
  expectResult(await run("strace", [...options, ...inject, ...command]), { code: 1 });
  return Deno.readTextFileSync(log).match(/"\/proc\/self\/fd\/\d+\/stat"/g)?.length ?? 0;
}

Deno.test("pidproxy checks its daemon every 50 ms where the kernel has no pidfd", async () => {
  // 60 times in three seconds, and some more at the start and at the end; fewer on a busy machine.
  let most = 0;
  for (let round = 0; round < 8 && most < 45; round++) {
    const reads = await readsWithoutPidfd();
    assertLess(reads, 90);
    most = Math.max(most, reads);
  }
  assertGreaterOrEqual(most, 45);
});
