/** sipid pidproxy, compiled: which process gets which signal. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertNotMatch,
} from "@std/assert";
import {
  deadPid,
  expectResult,
  fixture,
  isRunning,
  Job,
  run,
  SIPID,
  TempDir,
  until,
} from "../support.ts";
import { fakeClock } from "../faketime.ts";
import { background, commandOf, DAEMON, foreground, isStopped, Proxied, safe } from "../proxied.ts";

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

const SUSPENDING: Deno.Signal[] = ["SIGTSTP", "SIGTTIN", "SIGTTOU"];

Deno.test("pidproxy forwards every signal of its list on to the daemon", async () => {
  await using proxied = await Proxied.start(safe());
  for (const signal of [...FORWARDED, "SIGINT"] as const) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
    if (SUSPENDING.includes(signal)) await proxied.resume();
  }
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy stops itself after TSTP, TTIN and TTOU, and forwards CONT", async () => {
  await using proxied = await Proxied.start(safe());
  for (const [index, signal] of SUSPENDING.entries()) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
    await proxied.resume();
    await proxied.running.line(new RegExp(`(SIGCONT[^]*){${index + 1}}`));
  }
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy forwards signals that its parent had blocked, and does not leave them blocked", async () => {
  const launcher = ["env", "--block-signal=HUP,TERM"];
  await using proxied = await Proxied.start(safe(), { launcher });
  assertMatch(
    await Deno.readTextFile(`/proc/${await proxied.daemonPid()}/status`),
    /^SigBlk:\s*0+$/m,
  );
  for (const signal of ["SIGHUP", "SIGTERM"] as const) {
    proxied.running.kill(signal);
    await proxied.running.line(new RegExp(`^${signal}$`, "m"));
  }
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy reads the pidfile again for each signal", async () => {
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

Deno.test("pidproxy does not believe a pidfile from before its start", async () => {
  await using stranger = await fixture("prints_signals");
  await using proxied = await Proxied.start(
    (_) => foreground("late=0")("/dev/null"),
    { stale: String(stranger.pid) },
  );
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^SIGHUP$/m);
  await proxied.logged(/the command: .*daemon\.pid: is from before the command was started/);
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  stranger.kill("SIGCONT");
  assertEquals((await stranger.line(/ready\n(.*)\n/))[1], "SIGCONT", "nothing came before");
});

Deno.test("pidproxy does not believe an old pidfile that its command has touched", async () => {
  // As init scripts do: touch it, chown it, start the daemon. The old PID went to another process.
  await using unrelated = await fixture("prints_signals");
  const script = `touch "$0"; trap "echo got HUP" HUP; trap "echo got TERM; exit" TERM
echo ready; while :; do sleep 0.02; done`;
  await using proxied = await Proxied.start(
    (pidFile) => ["sh", "-c", script, pidFile],
    { stale: String(unrelated.pid) },
  );
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^got HUP$/m);
  await proxied.logged(/process \d+ \(deno\) was started before the command/);
  proxied.running.kill("SIGTERM");
  await proxied.running.line(/^got TERM$/m);
  unrelated.kill("SIGCONT");
  assertEquals((await unrelated.line(/ready\n(.*)\n/))[1], "SIGCONT", "nothing came before");
});

Deno.test("pidproxy does not believe an old pidfile after the clock was set forward", async () => {
  using dir = new TempDir();
  const clock = dir.write("clock", "-1h");
  const environment = fakeClock({ FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: "1" });
  const script = `trap "echo got HUP" HUP; trap "echo got TERM; exit" TERM
echo ready; while :; do sleep 0.02; done`;
  await using proxied = await Proxied.start(
    () => ["sh", "-c", script],
    {
      launcher: ["env", ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
    },
  );
  Deno.renameSync(dir.write("clock.new", "+0"), clock);
  // The daemon has exited, and its PID has gone to another process.
  await using unrelated = await fixture("prints_signals");
  const written = dir.write("daemon.pid", String(unrelated.pid));
  Deno.utimeSync(written, Date.now() / 1_000 - 60, Date.now() / 1_000 - 60);
  Deno.renameSync(written, proxied.pidFile);
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^got HUP$/m);
  await proxied.logged(/its PID was probably recycled, or the clock was set/);
  proxied.running.kill("SIGTERM");
  await proxied.running.line(/^got TERM$/m);
  unrelated.kill("SIGCONT");
  assertEquals((await unrelated.line(/ready\n(.*)\n/))[1], "SIGCONT", "nothing came before");
});

Deno.test("pidproxy knows when its command was started, even if that exited at once", async () => {
  using dir = new TempDir();
  await using unrelated = new Job("exec sleep 5");
  const path = dir.write("daemon.pid", String(unrelated.pid));
  // The command has exited when its start returns.
  const inject = [
    "-f",
    "-e",
    "trace=clone,clone3,fork,vfork",
    "-e",
    "inject=clone,clone3,fork,vfork:delay_exit=100000",
  ];
  const strace = [...inject, "-o", "/dev/null", SIPID, "pidproxy", "--wait", "300ms", path];
  expectResult(await run("strace", [...strace, "touch", path]), {
    code: 1,
    stderr: /process \d+ \(sleep\) was started before the command/,
  });
});

Deno.test("pidproxy believes a pidfile that was rewritten with a PID of the same length", async () => {
  await using proxied = await Proxied.start(safe(), { stale: "1234567\n" });
  proxied.running.kill("SIGHUP");
  await proxied.running.line(/^SIGHUP$/m);
  assertNotMatch(proxied.log, /the command/);
});

const UNBELIEVABLE: [string, (pidFile: string) => Promise<void>, RegExp][] = [
  ["no pidfile", (path) => Promise.resolve(Deno.removeSync(path)), /daemon\.pid: does not exist/],
  ["garbage", (path) => Deno.writeTextFile(path, "x"), /does not contain a valid pid/],
  ["the PID -1", (path) => Deno.writeTextFile(path, "-1"), /does not contain a valid pid/],
  ["the PID 0", (path) => Deno.writeTextFile(path, "0"), /does not contain a valid pid/],
  ["an empty pidfile", (path) => Deno.writeTextFile(path, ""), /daemon\.pid: is empty/],
  [
    "a dead process",
    async (path) => Deno.writeTextFileSync(path, String(await deadPid())),
    /daemon\.pid: process \d+ is not running/,
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
  Deno.test(`pidproxy sends the signal to the command when it finds ${what}`, async () => {
    await using proxied = await Proxied.start(foreground());
    await spoil(proxied.pidFile);
    proxied.running.kill("SIGHUP");
    await proxied.running.line(/^SIGHUP$/m);
    await proxied.logged(/sent SIGHUP to process \d+ \(deno\), the command: /);
    assertMatch(proxied.log, reason);
  });
}

Deno.test("pidproxy run as root does not believe a pidfile that others can write", async () => {
  await using proxied = await Proxied.start(foreground());
  await using stranger = await fixture("prints_signals");
  Deno.writeTextFileSync(proxied.pidFile, String(stranger.pid));
  Deno.chmodSync(proxied.pidFile, 0o666);
  proxied.running.kill("SIGHUP");
  if (Deno.uid() === 0) {
    await proxied.running.line(/^SIGHUP$/m);
    await proxied.logged(/can be written by others than its owner \(mode 0666\)/);
  } else await stranger.line(/SIGHUP/);
});

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
  Deno.test(`pidproxy stays after ${signal} until the daemon has exited`, async () => {
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

Deno.test("pidproxy forwards a second stop request like the first", async () => {
  await using proxied = await Proxied.start(safe("ignore-stop"));
  // Each is waited for before the next is sent: they come one by one, in this order.
  const sent = ["SIGTERM", "SIGTERM", "SIGINT", "SIGQUIT"] as const;
  for (let count = 1; count <= sent.length; count++) {
    proxied.running.kill(sent[count - 1]!);
    await proxied.running.line(new RegExp(`ready\n${sent.slice(0, count).join("\n")}\n`));
  }
});

Deno.test("pidproxy stops a daemon that appears after the stop request", async () => {
  // The command ignores SIGTERM, the daemon writes its pidfile half a second after it.
  await using proxied = await Proxied.start(safe("late=500"), { awaited: "daemon \\d+" });
  proxied.running.kill("SIGTERM");
  expectResult(await proxied.result(), { code: 0 });
  await proxied.running.line(/ready[^]*SIGTERM[^]*daemon exits/);
  assertMatch(
    proxied.log,
    /sent SIGTERM to process \d+ \(sh\), the command: .*daemon\.pid: does not exist/,
  );
  assertMatch(proxied.log, /sent SIGTERM to process \d+ \(deno\)\n/);
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

Deno.test("pidproxy stops the daemon of a command that TERM ended before its daemon appeared", async () => {
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

Deno.test("pidproxy reports the signals that come at the moment it ends", async () => {
  // In some rounds the runtime reports the exit first.
  for (let round = 0; round < 40; round++) {
    await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; exec sleep 600"]);
    const command = Number(commandOf(proxied.running.pid));
    proxied.running.kill("SIGSTOP");
    await until(() => isStopped(proxied.running.pid), "the proxy is stopped");
    Deno.kill(command, "SIGKILL");
    await until(() => !isRunning(command), "the command has exited");
    proxied.running.kill("SIGHUP");
    proxied.running.kill("SIGCONT");
    expectResult(await proxied.result(), { code: 137, stderr: "SIGHUP was not delivered" });
  }
});
