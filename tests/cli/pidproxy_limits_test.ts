/** sipid pidproxy, compiled: every limit is kept. Those of lib/proxy/timing.ts and groups.ts are in unit/proxy_test.ts too. */
import { assert, assertGreaterOrEqual, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { expectResult, run, SIPID, TempDir, until } from "../support.ts";
import { background, commandOf, fastest, Proxied } from "../proxied.ts";

/** Milliseconds that a measurement may exceed a limit by, at its shortest. */
const PRECISION_MS = 100;

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

/** Sends SIGTERM; returns whether there was a process to send it to. */
function stops(proxied: Proxied): boolean {
  try {
    proxied.running.kill("SIGTERM");
    return true;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return false; // the runtime knows that it has terminated
  }
}

Deno.test("pidproxy ends a stop also while stop requests keep coming", async () => {
  await using proxied = await Proxied.start(background(), { flags: ["--wait", "5s"] });
  await proxied.followed();
  const begin = performance.now();
  // As from a script's "while kill PID; do sleep 0.02; done", which must come to an end.
  while (stops(proxied) && performance.now() - begin < 5_000) await delay(20);
  assert(!stops(proxied), proxied.log);
  expectResult(await proxied.result(), { code: 0 });
});

Deno.test("pidproxy --wait extends the watch for the daemon of a stopped command", async () => {
  const ms = await fastest(4_200, async () => {
    await using proxied = await Proxied.start(() => ["sh", "-c", "echo ready; exec sleep 600"], {
      flags: ["--wait", "2s"],
    });
    const begin = performance.now();
    proxied.running.kill("SIGTERM");
    expectResult(await proxied.result(), { code: 0 });
    const ms = performance.now() - begin;
    assertGreaterOrEqual(ms, 2_200);
    return ms;
  });
  assertLess(ms, 4_200);
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
  // A look examines the pidfile several times, and one that is late makes the next gap shorter.
  const medianOf = (some: number[]): number => some.sort((a, b) => a - b)[some.length >> 1]!;
  const late = gaps.filter((_, index) => during[index]! > 3_000);
  assertGreaterOrEqual(medianOf(late), 245);
  assertLess(Math.min(...late), 290); // a tenth of the time would be 300 and more
  const median = medianOf(gaps.filter((gap, index) => during[index]! < 100 && gap > 5));
  assertGreaterOrEqual(median, 9); // timers count whole milliseconds
  assertLess(median, 50); // under strace, and on a busy machine
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
