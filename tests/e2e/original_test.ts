/**
 * The same scenarios with sipid pidproxy and with Supervisor's own: what the table in docs/pidproxy.md says
 * of both is measured here, and printed.
 */
import { assert, assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import {
  fixture,
  fixtureCommand,
  isRunning,
  print,
  run,
  Running,
  SIPID,
  TempDir,
  until,
} from "../support.ts";
import { Database } from "./mariadb.ts";
import { PYTHON_PIDPROXY, Supervisor } from "./supervisor.ts";

const DAEMON = fixtureCommand("daemon");
/** As mysqld_safe: deaf to signals, and there until the daemon is gone. */
const SAFE = ["/bin/sh", "-c", 'trap "" TERM INT QUIT HUP; "$@" & wait $!', "sh", ...DAEMON];

const PROXIES = { ours: [SIPID, "pidproxy"], python: [PYTHON_PIDPROXY] } as const;
type Which = keyof typeof PROXIES;

const measured: [string, string, string][] = [];

/** Runs a scenario with both, prints what each did, and gives both to `check`. */
function compare<T>(
  what: string,
  scenario: (proxy: readonly string[], which: Which) => Promise<T>,
  show: (found: T) => string,
  check: (found: Record<Which, T>) => void,
): void {
  Deno.test(`${what}: ours and the Python original`, async () => {
    const found = {
      ours: await scenario(PROXIES.ours, "ours"),
      python: await scenario(PROXIES.python, "python"),
    };
    measured.push([what, show(found.ours), show(found.python)]);
    check(found);
  });
}

const ms = (time: number): string => `${Math.round(time)} ms`;

/** Starts a proxy; its daemon's words come out on its stdout. */
function proxied(proxy: readonly string[], ...args: string[]): Promise<Running> {
  return Running.start(proxy[0]!, [...proxy.slice(1), ...args], {
    awaited: "daemon .*",
    stderr: "null",
  });
}

/** Ends what a proxy may have left behind: the daemon that it named. */
function endDaemon(proxy: Running): void {
  const pid = Number(/^daemon (\d+)$/m.exec(proxy.seen)?.[1]);
  if (isRunning(pid)) Deno.kill(pid, "SIGKILL");
}

compare(
  "exit status of a command that returns 7",
  async (proxy) => {
    using dir = new TempDir();
    return (await run(proxy[0]!, [...proxy.slice(1), dir.file("p"), "/bin/sh", "-c", "exit 7"]))
      .code;
  },
  String,
  ({ ours, python }) => assertEquals([ours, python], [7, 0]),
);

compare(
  "time from the command's end to the proxy's (the command sleeps 0.5 s)",
  async (proxy) => {
    using dir = new TempDir();
    const { ms } = await run(proxy[0]!, [...proxy.slice(1), dir.file("p"), "/bin/sleep", "0.5"]);
    return ms - 500;
  },
  ms,
  ({ ours, python }) => {
    assertLess(ours, 1_000); // with its start, on a busy machine
    assertGreater(python, 4_000);
  },
);

compare(
  "time from the proxy's end to the daemon's after TERM (it takes 1 s to go)",
  async (proxy) => {
    using dir = new TempDir();
    await using running = await proxied(
      proxy,
      dir.file("p"),
      ...SAFE,
      dir.file("p"),
      "linger=1000",
    );
    await running.line(/ready/);
    const pid = Number(/^daemon (\d+)$/m.exec(running.seen)![1]);
    running.kill("SIGTERM");
    await running.status;
    const end = performance.now();
    await until(() => !isRunning(pid), "the daemon has ended");
    return performance.now() - end;
  },
  ms,
  ({ ours, python }) => {
    assertLess(ours, 100);
    assertGreater(python, 500);
  },
);

compare(
  "time from the proxy's end to MariaDB's after TERM",
  async (proxy) => {
    using dir = new TempDir();
    const db = await Database.create(dir);
    const [program, ...args] = [...proxy, db.pidFile, ...db.safe.split(" ")];
    const running = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await db.untilUp();
    const { pid } = db;
    running.kill("SIGTERM");
    await running.status;
    const end = performance.now();
    await until(() => !isRunning(pid), "mariadbd has ended");
    await until(() => db.log.includes("mariadbd: Shutdown complete"), "it has said so");
    return performance.now() - end;
  },
  ms,
  // How long the other one leaves it alone is MariaDB's affair: it is shown, not judged.
  ({ ours }) => assertLess(ours, 100),
);

compare(
  "HUP that comes before the pidfile does",
  async (proxy) => {
    using dir = new TempDir();
    await using running = await proxied(proxy, dir.file("p"), ...DAEMON, dir.file("p"), "late=500");
    running.kill("SIGHUP");
    await running.line(/ready/);
    const got = running.seen.includes("SIGHUP");
    endDaemon(running);
    return got;
  },
  (got) => got ? "delivered" : "lost",
  ({ ours, python }) => assertEquals([ours, python], [true, false]),
);

compare(
  "HUP while the pidfile is an old one, naming a stranger",
  async (proxy) => {
    using dir = new TempDir();
    await using stranger = await fixture("daemon", dir.file("stranger"));
    const path = dir.write("p", String(stranger.pid));
    await using running = await proxied(proxy, path, ...DAEMON, dir.file("other"));
    await running.line(/ready/);
    running.kill("SIGHUP");
    const who = await Promise.race([
      stranger.line(/SIGHUP/).then(() => "the stranger got it"),
      running.line(/SIGHUP/).then(() => "the command got it"),
    ]);
    // So that the other of the two ends too.
    stranger.kill("SIGHUP");
    endDaemon(running);
    return who;
  },
  String,
  ({ ours, python }) => assertEquals([ours, python], ["the command got it", "the stranger got it"]),
);

compare(
  "supervisorctl stop of a daemon that takes 3 s: it still runs afterwards",
  async (proxy) => {
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
    const still = isRunning(pid);
    await until(() => !isRunning(pid), "the daemon has ended");
    return still;
  },
  (still) => still ? "yes" : "no",
  ({ ours, python }) => assertEquals([ours, python], [false, true]),
);

compare(
  "a daemon in the background: the proxy stays for it",
  async (proxy, which) => {
    using dir = new TempDir();
    const wait = which === "ours" ? ["--wait", "5s"] : [];
    const background = ["/bin/sh", "-c", '"$@" & exit 0', "sh", ...DAEMON, dir.file("p")];
    const [first, ...rest] = [...proxy, ...wait, dir.file("p"), ...background];
    await using running = await Running.start(first!, rest, { stderr: "null" });
    // The original looks every five seconds whether its command has ended.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stayed = await Promise.race([
      running.status.then(() => false),
      new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(true), 6_000)),
    ]);
    clearTimeout(timer);
    endDaemon(running);
    return stayed;
  },
  (stayed) => stayed ? "yes" : "no",
  ({ ours, python }) => assertEquals([ours, python], [true, false]),
);

Deno.test("the table", () => {
  assert(measured.length > 0);
  const rows = [["", "sipid pidproxy", "Supervisor 4.2's"], ["---", "---", "---"], ...measured];
  for (const row of rows) print(`| ${row.join(" | ")} |`);
});
