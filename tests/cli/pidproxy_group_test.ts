/** sipid pidproxy --group, compiled: the workers of a daemon. */
import { assert, assertGreaterOrEqual, assertLess, assertNotMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { expectResult, isRunning, loggedMs, Running, TempDir, until } from "../support.ts";
import { background, fastest, msUntil, Proxied } from "../proxied.ts";

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

Deno.test("pidproxy --group does not call a stop undelivered while it stops the workers of a killed master", async () => {
  const flags = [...GROUP, "--grace-period", "2s"];
  await using proxied = await Proxied.start(master(DEAF), { flags });
  const worker = await workerOf(proxied);
  await proxied.followed(worker);
  Deno.kill(await proxied.daemonPid(), "SIGKILL");
  await until(() => /sent SIGTERM to process group/.test(proxied.log), "the rest is being stopped");
  proxied.running.kill("SIGHUP");
  proxied.running.kill("SIGTERM");
  const { stderr } = expectResult(await proxied.result(), {
    code: 1,
    stderr: [
      "SIGTERM needed no delivery: the rest of the daemon's process group was signalled\n",
      "SIGHUP was not delivered: no daemon is known\n",
      "sent SIGKILL to process group",
    ],
  });
  assertNotMatch(stderr, /SIGTERM was not delivered/);
  assert(!isRunning(worker));
});

/** A daemon whose pidfile is written before it leads a group, like that of Debian's nginx. */
const LATE_LEADER =
  `(sh -c 'echo daemon $$; echo $$ >"$0"; sleep 0.1; exec setsid sh -c "$1" "$0"' \
  "$0" "$1") & exit 0`;
const LEADER = "sleep 600 & echo worker $!; echo ready; exec sleep 600";

Deno.test("pidproxy --group follows a daemon that leads a group only after its pidfile is written", async () => {
  const command = (pidFile: string): string[] => ["sh", "-c", LATE_LEADER, pidFile, LEADER];
  await using proxied = await Proxied.start(command, { flags: GROUP });
  const worker = await workerOf(proxied);
  await proxied.followed(worker);
  Deno.kill(await proxied.daemonPid(), "SIGKILL");
  expectResult(await proxied.result(), { code: 1, stderr: /sent SIGTERM to process group \d+/ });
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
    const ms = await fastest(2 * limitMs, async () => {
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
    assertLess(ms, 2 * limitMs);
  });
}

Deno.test("pidproxy --group kills workers that outlive their stopped master when the grace period is over", async () => {
  const graceMs = 800;
  const ms = await fastest(2 * graceMs, async () => {
    await using proxied = await Proxied.start(master(DEAF), {
      flags: [...GROUP, "--grace-period", `${graceMs}ms`],
    });
    const worker = await workerOf(proxied);
    await proxied.followed(worker);
    const begin = Date.now();
    proxied.running.kill("SIGTERM");
    const { stderr } = expectResult(await proxied.result(), { code: 0 });
    assert(!isRunning(worker));
    const ms = msUntil(/sent SIGKILL to process group/, stderr, begin);
    assertGreaterOrEqual(ms, graceMs - 1); // the rest of the period is counted in whole milliseconds
    return ms;
  });
  assertLess(ms, 2 * graceMs);
});

Deno.test("pidproxy --group stops the workers of several masters within one grace period", async () => {
  const graceMs = 1_000;
  const ms = await fastest(2 * graceMs, async () => {
    await using proxied = await Proxied.start(master(DEAF), {
      flags: [...GROUP, "--grace-period", `${graceMs}ms`],
    });
    const [worker, daemon] = [await workerOf(proxied), await proxied.daemonPid()];
    await proxied.followed(worker);
    await using next = await Running.start("sh", ["-c", MASTER, proxied.pidFile, DEAF]);
    const [nextWorker, nextDaemon] = ["worker", "daemon"]
      .map((name) => Number(new RegExp(`${name} (\\d+)\n`).exec(next.seen)?.[1]));
    Deno.kill(daemon, "SIGKILL");
    await proxied.followed(nextDaemon);
    const begin = Date.now();
    proxied.running.kill("SIGTERM");
    const { stderr } = expectResult(await proxied.result(), { code: 0 });
    for (const pid of [worker, nextWorker!]) assert(!isRunning(pid));
    return Math.max(
      ...[daemon, nextDaemon].map((leader) =>
        msUntil(new RegExp(`sent SIGKILL to process group ${leader} `), stderr, begin)
      ),
    );
  });
  assertLess(ms, 2 * graceMs);
});

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
