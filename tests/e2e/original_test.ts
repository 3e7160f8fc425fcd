/**
 * The same scenarios with sipid pidproxy and with Supervisor's own. Prints the table of
 * docs/pidproxy.md; each cell is asserted, there as well as here.
 */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import {
  fixture,
  fixtureCommand,
  isRunning,
  print,
  ROOT,
  run,
  Running,
  SIPID,
  start,
  TempDir,
  until,
} from "../support.ts";
import { Database } from "./mariadb.ts";
import { PYTHON_PIDPROXY, Supervisor } from "./supervisor.ts";

const DAEMON = fixtureCommand("daemon");
/** Like mysqld_safe: ignores signals, and stays until the daemon has exited. */
const SAFE = ["/bin/sh", "-c", 'trap "" TERM INT QUIT HUP; "$@" & wait $!', "sh", ...DAEMON];

/** What a cell of the table has to be: this text, or milliseconds between these two. */
type Expected = string | readonly [fromMs: number, toMs: number];

interface Scenario {
  readonly what: string;
  /** Runs it with the command line of a proxy, and returns what happened: a time in milliseconds. */
  readonly run: (proxy: readonly string[]) => Promise<string | number>;
  readonly sipid: Expected;
  readonly supervisor: Expected;
}

const scenarios: Scenario[] = [];
const table: string[][] = [];

/** Tests a scenario with both proxies, and adds it to the table. */
function compare(scenario: Scenario): void {
  const { what, run, sipid, supervisor } = scenario;
  scenarios.push(scenario);
  Deno.test(`sipid and Supervisor: ${what}`, async () => {
    const cells = [];
    for (const proxy of [[SIPID, "pidproxy"], [PYTHON_PIDPROXY]]) {
      const found = await run(proxy);
      cells.push(typeof found === "string" ? found : `${Math.round(found)} ms`);
    }
    table.push([what, ...cells]);
    assertCell(cells[0]!, sipid);
    assertCell(cells[1]!, supervisor);
  });
}

function assertCell(cell: string, expected: Expected): void {
  if (typeof expected === "string") return assertEquals(cell, expected);
  const [, ms] = /^(\d+) ms\b/.exec(cell) ?? [];
  assert(ms !== undefined, cell);
  assertGreaterOrEqual(Number(ms), expected[0]);
  assertLess(Number(ms), expected[1]);
}

/** Starts a proxy; what its daemon prints is on its stdout. */
function proxied(proxy: readonly string[], ...args: string[]): Promise<Running> {
  return Running.start(proxy[0]!, [...proxy.slice(1), ...args], {
    awaited: "daemon .*",
    stderr: "null",
  });
}

/** Kills the daemon that a proxy may have left running. */
function killDaemon(proxy: Running): void {
  const pid = Number(/^daemon (\d+)$/m.exec(proxy.seen)?.[1]);
  if (isRunning(pid)) Deno.kill(pid, "SIGKILL");
}

compare({
  what: "exit status of a command that returns 7",
  async run([program, ...args]) {
    using dir = new TempDir();
    const command = [dir.file("p"), "/bin/sh", "-c", "exit 7"];
    return String((await run(program!, [...args, ...command])).code);
  },
  sipid: "7",
  supervisor: "0",
});

compare({
  what: "time from the command's exit to the proxy's",
  async run([program, ...args]) {
    using dir = new TempDir();
    const { ms } = await run(program!, [...args, dir.file("p"), "/bin/sleep", "0.5"]);
    return ms - 500;
  },
  sipid: [0, 1_000], // with its start, on a busy machine
  supervisor: [4_000, 6_000], // it polls every five seconds
});

compare({
  what: "a daemon that takes 1 s to stop after TERM outlives the proxy by",
  async run(proxy) {
    using dir = new TempDir();
    const path = dir.file("p");
    await using running = await proxied(proxy, path, ...SAFE, path, "linger=1000");
    await running.line(/ready/);
    const pid = Number(/^daemon (\d+)$/m.exec(running.seen)![1]);
    running.kill("SIGTERM");
    await running.status;
    const exit = performance.now();
    await until(() => !isRunning(pid), "the daemon has exited");
    return performance.now() - exit;
  },
  sipid: [0, 100],
  supervisor: [500, 2_000],
});

compare({
  what: "MariaDB outlives the proxy after TERM by",
  async run(proxy) {
    using dir = new TempDir();
    const db = await Database.create(dir);
    const [program, ...args] = [...proxy, db.pidFile, ...db.safe.split(" ")];
    const running = start(program!, args);
    await db.untilUp();
    const { pid } = db;
    running.kill("SIGTERM");
    await running.result;
    const exit = performance.now();
    await until(() => !isRunning(pid), "mariadbd has exited");
    const time = performance.now() - exit;
    await until(() => db.log.includes("mariadbd: Shutdown complete"), "its log says so");
    return time;
  },
  sipid: [0, 100],
  supervisor: [0, 60_000], // MariaDB's own affair: it is shown, not judged
});

compare({
  what: "HUP that arrives before the pidfile is written",
  async run(proxy) {
    using dir = new TempDir();
    const path = dir.file("p");
    await using running = await proxied(proxy, path, ...DAEMON, path, "late=500");
    running.kill("SIGHUP");
    await running.line(/ready/);
    killDaemon(running);
    return running.seen.includes("SIGHUP") ? "goes to the command" : "is lost";
  },
  sipid: "goes to the command",
  supervisor: "is lost",
});

compare({
  what: "HUP while an old pidfile names an unrelated process",
  async run(proxy) {
    using dir = new TempDir();
    await using unrelated = await fixture("daemon", dir.file("unrelated"));
    const path = dir.write("p", String(unrelated.pid));
    await using running = await proxied(proxy, path, ...DAEMON, dir.file("other"));
    await running.line(/ready/);
    running.kill("SIGHUP");
    const who = await Promise.race([
      unrelated.line(/SIGHUP/).then(() => "goes to the unrelated process"),
      running.line(/SIGHUP/).then(() => "goes to the command"),
    ]);
    // So that the other of the two lines is printed too, and read.
    unrelated.kill("SIGHUP");
    killDaemon(running);
    return who;
  },
  sipid: "goes to the command",
  supervisor: "goes to the unrelated process",
});

compare({
  what: "`supervisorctl stop` returns before a daemon that takes 3 s has exited",
  async run(proxy) {
    using dir = new TempDir();
    const script = dir.write(
      "safe",
      `#!/bin/sh\ntrap "" TERM INT QUIT HUP\n${DAEMON.join(" ")} "$@" &\nwait $!\n`,
    );
    Deno.chmodSync(script, 0o755);
    await using supervisor = await Supervisor.start(dir, {
      job: {
        command: `${proxy.join(" ")} ${dir.file("p")} ${script} ${dir.file("p")} linger=3000`,
      },
    });
    assertMatch(await supervisor.ctl("start", "job"), /started/);
    const pid = Number(Deno.readTextFileSync(dir.file("p")));
    assertMatch(await supervisor.ctl("stop", "job"), /stopped/);
    const isLeft = isRunning(pid);
    await until(() => !isRunning(pid), "the daemon has exited");
    return isLeft ? "yes" : "no";
  },
  sipid: "no",
  supervisor: "yes",
});

compare({
  what: "stays for a daemon in the background",
  async run(proxy) {
    using dir = new TempDir();
    const wait = proxy[0] === SIPID ? ["--wait", "5s"] : [];
    const background = ["/bin/sh", "-c", '"$@" & exit 0', "sh", ...DAEMON, dir.file("p")];
    const [first, ...rest] = [...proxy, ...wait, dir.file("p"), ...background];
    await using running = await Running.start(first!, rest, { stderr: "null" });
    // Supervisor's checks every five seconds whether its command has exited.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stays = await Promise.race([
      running.status.then(() => "no"),
      new Promise<string>((resolve) => timer = setTimeout(() => resolve("yes"), 6_000)),
    ]);
    clearTimeout(timer);
    killDaemon(running);
    return stays;
  },
  sipid: "yes",
  supervisor: "no",
});

Deno.test("the table has a row for each scenario", () => {
  const rows = [["", "sipid pidproxy", "Supervisor 4.2's"], ["---", "---", "---"], ...table];
  for (const row of rows) print(`| ${row.join(" | ")} |`);
  assertEquals(table.map(([what]) => what), scenarios.map(({ what }) => what));
});

Deno.test("docs/pidproxy.md says of each scenario what happens", () => {
  const [, text] = Deno.readTextFileSync(`${ROOT}docs/pidproxy.md`).split("original_test.ts)");
  const rows = [...text!.matchAll(/^\| (.+?) +\| (.+?) +\| (.+?) +\|$/gm)].slice(2);
  assertGreaterOrEqual(rows.length, scenarios.length - 1);
  for (const [, what, sipid, supervisor] of rows) {
    const scenario = scenarios.find((one) => one.what === what);
    assert(scenario !== undefined, `${what} is not measured`);
    assertCell(sipid!, scenario.sipid);
    assertCell(supervisor!, scenario.supervisor);
  }
});
