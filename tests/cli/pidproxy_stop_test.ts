/** sipid pidproxy, compiled: nothing is left behind after a stop. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertNotMatch,
} from "@std/assert";
import {
  expectResult,
  fixture,
  isRunning,
  loggedMs,
  run,
  SIPID,
  SLACK_MS,
  TempDir,
  until,
} from "../support.ts";
import {
  background,
  commandOf,
  DAEMON,
  fastest,
  foreground,
  isStopped,
  msUntil,
  Proxied,
  safe,
} from "../proxied.ts";

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

/**
 * Has the pidfile come after the 200 ms that a signal waits and the 50 ms for a successor, and well
 * within the second after the command's exit.
 */
const LATE = "late=400";

Deno.test("pidproxy stops a daemon that appears within a second of its command's exit", async () => {
  const forks = (pidFile: string): string[] => [
    ...["sh", "-c", '"$@" & wait', "sh", ...DAEMON],
    ...[pidFile, LATE],
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

/** Stops a process, and waits until it is: a request that comes first finds it running. */
async function suspend(pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  await until(() => isStopped(pid), "it is stopped");
}

Deno.test("pidproxy continues a stopped daemon that it is asked to stop", async () => {
  await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
  await suspend(await proxied.daemonPid());
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0, stderr: /sent SIGTERM .*\n.*sent SIGCONT / });
});

Deno.test("pidproxy continues a stopped command, which would not notice that its daemon exits", async () => {
  await using proxied = await Proxied.start(safe());
  await suspend(Number(commandOf(proxied.running.pid)));
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
    ...[...DAEMON, pidFile, LATE],
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
  const ms = await fastest(2 * graceMs, async () => {
    await using proxied = await Proxied.start(stubborn, {
      flags: ["--grace-period", `${graceMs}ms`, "--group"],
    });
    const [, worker] = await proxied.running.line(/worker (\d+)\n/);
    const processes = [await proxied.daemonPid(), Number(worker), proxied.running.pid];
    processes.push(Number(commandOf(proxied.running.pid)));
    const begin = Date.now();
    proxied.running.kill("SIGTERM");
    const { stderr } = expectResult(await proxied.result(), { code: 0 });
    assertEquals(processes.filter(isRunning), []);
    const ms = msUntil(/sent SIGKILL to process group/, stderr, begin);
    assertGreaterOrEqual(ms, graceMs);
    return ms;
  });
  assertLess(ms, 2 * graceMs);
});

Deno.test("pidproxy reports a daemon that survives SIGKILL for 5 s, and waits for it", async () => {
  await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; exec sleep 600"], {
    flags: ["--grace-period", "100ms"],
  });
  await using debug = await fixture("survives_sigkill");
  const pid = Number((await debug.line(/child (\d+)/))[1]);
  proxied.dir.write("daemon.pid", `${pid}\n`);
  proxied.running.kill("SIGTERM");
  await proxied.logged(/survived SIGKILL/);
  assert(isRunning(proxied.running.pid));
  const [from, to] = [
    `sent SIGKILL to process ${pid} `,
    `process ${pid} \\(sleep\\) survived SIGKILL`,
  ];
  const ms = loggedMs(proxied.log, new RegExp(from), new RegExp(to));
  assert(ms >= 5_000 && ms < 5_000 + SLACK_MS, `${ms} ms`);
  debug.kill("SIGKILL");
  expectResult(await proxied.result(), { code: 0 });
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
    ...[pidFile, LATE, "ignore-stop"],
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

// 4. Stop signals

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

// 5. Terminals

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

// 6. Surroundings

Deno.test("pidproxy as PID 1 stops the workers of a killed master, and passes stops on", async () => {
  using dir = new TempDir();
  const path = dir.file("daemon.pid");
  const script =
    `setsid sh -c 'sleep 600 & echo $! >"$0.worker"; echo $$ >"$0"; exec sleep 600' "$0" & exit 0`;
  for (const [signal, code] of [["KILL", 1], ["TERM", 0]] as const) {
    // Signalled from inside the namespace, by its PID there, once pidproxy holds the worker.
    const held = `until [ -s "$0" ] && ls -l /proc/1/fd | grep -q "/proc/$(cat "$0.worker")$"
      do sleep 0.02; done`;
    const kills = `( ${held}; kill -${signal} $(cat "$0") ) & ${script}`;
    const stops = `( ${held}; kill -TERM 1 ) & ${script}`;
    const namespace = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const proxy = [SIPID, "pidproxy", "--wait", "5s", "--group", path];
    const command = ["sh", "-c", code === 1 ? kills : stops, path];
    expectResult(await run("unshare", [...namespace, ...proxy, ...command]), {
      code,
      stderr:
        /process group \d+ \((?:sh|sleep)\): its leader has exited[^]*sent SIGTERM to process group/,
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
