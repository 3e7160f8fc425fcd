/** The example release's job under a real Monit on a minimal system. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { closedPort } from "../servers.ts";
import { expectResult, type Result, until } from "../support.ts";
import { Stemcell, Watcher } from "./stemcell.ts";

const PIDFILE = "/var/vcap/sys/run/web/web.pid";

/** The PID of web, which runs alone. */
async function webPid(stemcell: Stemcell): Promise<number> {
  await until(() => stemcell.processes("web").length === 1, "one web runs");
  return stemcell.processes("web")[0]!;
}

Deno.test("Monit starts, stops and restarts web, forty times, and never two at once", async () => {
  await using stemcell = await Stemcell.boot({ port: closedPort(), start_seconds: 1 });
  using watcher = new Watcher(stemcell, "web");

  await stemcell.tell("start");
  const { stderr } = await stemcell.vcap("jobs/web/bin/post-start");
  assertMatch(stderr, /503 Service Unavailable[^]*is healthy after/);
  const first = await webPid(stemcell);
  assertEquals(stemcell.read(PIDFILE), String(first));
  await stemcell.untilMonit(/ OK /);

  // Monit brings back what is killed.
  await stemcell.run("perl", "-e", "kill 9, @ARGV", String(first));
  await until(() => {
    const [pid] = stemcell.processes("web");
    return pid !== undefined && pid !== first;
  }, "Monit has brought web back");
  await stemcell.vcap("jobs/web/bin/post-start");
  await stemcell.untilMonit(/ OK /);

  for (let round = 1; round <= 20; round++) {
    await stemcell.tell("stop");
    assertEquals(stemcell.processes("web"), [], `round ${round}`);
    expectResult(await stemcell.sipid("status", "--pid-file", PIDFILE), { code: 3 });
    await stemcell.tell("start");
    await webPid(stemcell);
  }
  for (let round = 1; round <= 20; round++) {
    const before = await webPid(stemcell);
    await stemcell.tell("restart");
    const after = await webPid(stemcell);
    assert(after !== before, `round ${round}`);
    assertEquals(stemcell.read(PIDFILE), String(after));
  }
  assertEquals(watcher.most, 1);
  assertGreater(watcher.samples, 1_000);
  // The lock that web takes itself is the second witness.
  assertNotMatch(stemcell.log, /ANOTHER WEB HOLDS/);
});

Deno.test("a web that ignores TERM is killed after the grace period, its stacks in the log", async () => {
  const properties = { port: closedPort(), ignore_term: true, grace_period: "1s" };
  await using stemcell = await Stemcell.boot(properties);
  await stemcell.tell("start");
  await webPid(stemcell);
  await stemcell.tell("stop");
  assertEquals(stemcell.processes("web"), []);
  assertMatch(stemcell.log, /sent SIGTERM[^]*is still running after 1s[^]*sent SIGQUIT/);
  assertMatch(
    stemcell.log,
    /web: stack dump\n.*\[0x[0-9a-f]+\]\n[^]*sent SIGKILL[^]*removed/,
  );
});

Deno.test("of two starts at once one wins", async () => {
  await using stemcell = await Stemcell.boot({ port: closedPort() });
  using watcher = new Watcher(stemcell, "web");
  // The loser sees the winner's PID, or meets it while it holds the lock.
  const refusals = (): number =>
    stemcell.log.match(/already exists|another process is locking/g)?.length ?? 0;
  for (let round = 0; round < 10; round++) {
    const before = refusals();
    const start = (): Promise<unknown> => stemcell.vcap("jobs/web/bin/start");
    await Promise.all([start(), start()]);
    await until(() => refusals() > before, () => `one is refused:\n${stemcell.log}`);
    const pid = await webPid(stemcell);
    assertEquals(stemcell.read(PIDFILE), String(pid));
    await stemcell.vcap("jobs/web/bin/stop");
  }
  assertEquals(watcher.most, 1);
  assertNotMatch(stemcell.log, /ANOTHER WEB HOLDS/);
});

Deno.test("a pidfile from before a reboot that names an unrelated process: web starts, and leaves it running", async () => {
  await using stemcell = await Stemcell.boot({ port: closedPort() });
  await stemcell.sh("setsid --fork sleep 600 </dev/null >/dev/null 2>&1");
  await until(() => stemcell.processes("sleep").length === 1, "the unrelated process is running");
  const [unrelated] = stemcell.processes("sleep");
  const stale = `echo ${unrelated} > ${PIDFILE}; touch -d '1 day ago' ${PIDFILE}`;

  // The start script by itself.
  await stemcell.sh(stale);
  await stemcell.vcap("jobs/web/bin/start");
  const first = await webPid(stemcell);
  assertEquals(stemcell.read(PIDFILE), String(first));
  assertStringIncludes(
    stemcell.log,
    `was stale (process ${unrelated} (sleep) runs /usr/bin/sleep, not /var/vcap/packages/web/bin`,
  );
  await stemcell.vcap("jobs/web/bin/stop");

  // Monit takes any running process for web, so pre-start clears the pidfile before Monit reads it.
  await stemcell.sh(stale);
  await stemcell.vcap("jobs/web/bin/pre-start");
  await stemcell.tell("start");
  await webPid(stemcell);

  // The stop script, with another such file, does not signal the unrelated process.
  await stemcell.tell("stop");
  await stemcell.sh(stale);
  await stemcell.vcap("jobs/web/bin/stop");
  assertEquals(stemcell.processes("sleep"), [unrelated]);
  expectResult(await stemcell.sipid("status", "--pid-file", PIDFILE), { code: 3 });
});

Deno.test("post-start of a web that crashes at its start fails in under three seconds", async () => {
  await using stemcell = await Stemcell.boot({ port: closedPort(), crash: true });
  await stemcell.vcap("jobs/web/bin/start");
  const { ms } = expectResult(await stemcell.run("/var/vcap/jobs/web/bin/post-start"), {
    code: 1,
    stderr: /web\.pid: (does not exist|was removed|process \d+ .*(exited|is not running))/,
  });
  assertLess(ms, 3_000);
});

/** Runs claim, status, a wait, pidproxy and kill; prints `fine` if all of them work. */
const ALL_COMMANDS = `
  sipid=/var/vcap/packages/sipid/bin/sipid
  cd "$dir"
  sleep 600 & pid=$!
  $sipid claim --pid $pid --pid-file sub/web.pid
  ! $sipid claim --pid 1 --pid-file sub/web.pid 2>refusal
  grep -q 'already exists: sleep' refusal
  $sipid status --pid-file sub/web.pid --exec /bin/sleep | grep -q '^running'
  ! $sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 200ms --pid-file sub/web.pid 2>refusal
  grep -q 'connection refused' refusal
  $sipid pidproxy proxied.pid sh -c 'exit 7' && exit 1 || [ $? = 7 ]
  $sipid kill --pid-file sub/web.pid 2>refusal
  [ ! -e sub/web.pid ]
  echo fine`;

const SURROUNDINGS: Record<string, string> = {
  "an empty environment and no locale":
    `dir=$(mktemp -d); export dir; exec env -i dir="$dir" PATH=/usr/bin:/bin sh -euc "$all"`,
  "no /tmp":
    `mkdir /run/d; umount /tmp; rm -rf /tmp /var/tmp; dir=/run/d; export dir; sh -euc "$all"`,
  "64 open files": `dir=$(mktemp -d); export dir; ulimit -n 64; sh -euc "$all"`,
  "a read-only root": `mkdir /run/d
    export all; exec unshare --mount sh -euc '
      mount --bind / /mnt; mount -o remount,bind,ro /mnt
      mount --bind /run /mnt/run; mount --bind /proc /mnt/proc; mount --bind /dev /mnt/dev
      exec env dir=/run/d chroot /mnt sh -euc "! touch /file 2>/dev/null; $all"'`,
  "an unprivileged user":
    `dir=$(mktemp -d); chown vcap $dir; export dir; exec chpst -u vcap:vcap sh -euc "$all"`,
  "an unprivileged user and hidepid=2":
    `mount -o remount,hidepid=2 /proc; dir=$(mktemp -d); chown vcap $dir; export dir; exec chpst -u vcap:vcap sh -euc "$all"`,
};

Deno.test("every command works in bare surroundings", async (test) => {
  for (const [what, script] of Object.entries(SURROUNDINGS)) {
    await test.step(what, async () => {
      await using stemcell = await Stemcell.boot({});
      const { stdout, stderr } = await stemcell.run(
        "sh",
        "-euc",
        `all=$1; ${script}`,
        "sh",
        ALL_COMMANDS,
      );
      assertEquals(stdout, "fine\n", stderr);
    });
  }
});

/** A request that web cannot answer before its last byte has come. */
class SlowRequest implements Disposable {
  private constructor(readonly connection: Deno.TcpConn) {}

  static async begin(port: number): Promise<SlowRequest> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const slow = new SlowRequest(connection);
    await slow.#send("POST /slow HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\n1");
    return slow;
  }

  /** Sends the last byte and returns the answer. */
  async finish(): Promise<string> {
    await this.#send("2");
    return await this.answer();
  }

  /** Returns what comes until the connection ends. */
  async answer(): Promise<string> {
    return await new Response(this.connection.readable).text().catch(() => "");
  }

  async #send(text: string): Promise<void> {
    await this.connection.write(new TextEncoder().encode(text));
  }

  [Symbol.dispose](): void {
    try {
      this.connection.close();
    } catch {
      // The stream of answer() has closed it.
    }
  }
}

Deno.test("drain has web finish its requests before Monit stops it", async () => {
  const port = closedPort();
  await using stemcell = await Stemcell.boot({ port });
  await stemcell.tell("start");
  await stemcell.vcap("jobs/web/bin/post-start");
  const pid = await webPid(stemcell);
  using slow = await SlowRequest.begin(port);

  // As BOSH does: drain runs once Monit no longer watches the job.
  await stemcell.monit("unmonitor", "web");
  await stemcell.untilMonit(/Not monitored/);
  const drain = stemcell.vcap("jobs/web/bin/drain");
  await until(() => stemcell.log.includes("web: drains 1 requests"), "web drains");
  await assertRejects(() => SlowRequest.begin(port), Deno.errors.ConnectionRefused);
  assertEquals(stemcell.processes("web"), [pid]);
  assertMatch(await slow.finish(), /^HTTP\/1.1 200 OK\r\n[^]*ok\n$/);
  assertEquals((await drain).stdout, "0\n");
  assertEquals(stemcell.processes("web"), []);
  assertStringIncludes(stemcell.log, `sent SIGUSR1 to process ${pid} (web)`);
  assertMatch(stemcell.log, /drains 1 requests[^]*POST \/slow[^]*web: exits/);

  // Nothing but web was changed; Monit starts and stops it again.
  expectResult(await stemcell.sipid("status", "--pid-file", PIDFILE), { code: 1 });
  await stemcell.tell("start");
  await stemcell.vcap("jobs/web/bin/post-start");
  assert(await webPid(stemcell) !== pid);
  await stemcell.tell("stop");
  expectResult(await stemcell.sipid("status", "--pid-file", PIDFILE), { code: 3 });

  // Of a stopped job there is nothing to drain.
  assertEquals((await stemcell.vcap("jobs/web/bin/drain")).stdout, "0\n");
});

Deno.test("drain gives up at its timeout, and stop ends what is left", async () => {
  const port = closedPort();
  await using stemcell = await Stemcell.boot({ port, drain_timeout: "1s" });
  await stemcell.tell("start");
  await stemcell.vcap("jobs/web/bin/post-start");
  await webPid(stemcell);
  using slow = await SlowRequest.begin(port);
  await stemcell.monit("unmonitor", "web");
  await stemcell.untilMonit(/Not monitored/);
  assertEquals((await stemcell.vcap("jobs/web/bin/drain")).stdout, "0\n");
  assertMatch(stemcell.log, /process \d+ \(web\) is still running after 1s/);
  assertEquals(stemcell.processes("web").length, 1);
  // This Monit runs no stop program of a job that it does not watch.
  await stemcell.monit("monitor", "web");
  await stemcell.untilMonit(/ OK /);
  await stemcell.tell("stop");
  assertEquals(stemcell.processes("web"), []);
  assertEquals(await slow.answer(), "");
});

Deno.test("logrotate and signal: web writes to the new log", async () => {
  // The system of this machine, on which logrotate is installed, in a copy of it.
  const port = closedPort();
  await using stemcell = await Stemcell.boot({ port }, "web", "/");
  const log = "var/vcap/sys/log/web/web.log";
  const rotate = ["--force", "--state", "/run/rotated", "/var/vcap/jobs/web/config/logrotate.conf"];
  const request = async (path: string): Promise<void> => {
    await (await fetch(`http://127.0.0.1:${port}/${path}`)).body?.cancel();
    await until(() => stemcell.read(log).includes(`GET /${path} `), `${path} is in the log`);
  };
  await stemcell.tell("start");
  await stemcell.vcap("jobs/web/bin/post-start");
  await request("before");
  for (let round = 1; round <= 3; round++) {
    expectResult(await stemcell.run("logrotate", ...rotate), { code: 0, stderr: "" });
    await request(`after-${round}`);
    assertStringIncludes(stemcell.read(`${log}.1`), round === 1 ? "before" : `after-${round - 1}`);
    assertNotMatch(stemcell.read(log), new RegExp(`before|after-${round - 1} `));
  }
  // A stopped service is no reason for logrotate to complain.
  await stemcell.tell("stop");
  expectResult(await stemcell.run("logrotate", ...rotate), { code: 0, stderr: "" });
});

Deno.test("the job with pidproxy runs a MariaDB, which has exited when Monit has stopped it", async () => {
  // The system of this machine, on which Supervisor and MariaDB are installed, in a copy of it.
  await using stemcell = await Stemcell.boot({}, "mariadb-proxy", "/");
  const data = "/var/vcap/data/mariadb-proxy";
  const socket = "/var/vcap/sys/run/mariadb-proxy/mysqld/mysqld.sock";
  expectResult(
    await stemcell.sh(
      `mysql_install_db --no-defaults --user=vcap --datadir=${data} \\
       --auth-root-authentication-method=normal --skip-test-db`,
    ),
    { code: 0 },
  );
  const query = (sql: string): Promise<Result> =>
    stemcell.run("mariadb", "--no-defaults", "-uroot", `--socket=${socket}`, "-NBe", sql);
  const answers = (): Promise<void> =>
    until(async () => (await query("SELECT 1")).code === 0, "MariaDB answers");
  for (let round = 1; round <= 2; round++) {
    await stemcell.tell("start");
    await answers();
    const sql = `CREATE DATABASE d${round}; SHOW DATABASES LIKE 'd%'`;
    assertEquals((await query(sql)).stdout.trim().split("\n").length, round);
    await stemcell.tell("stop");
    assertEquals(stemcell.processes("mariadbd"), []);
    const log = stemcell.read("var/vcap/sys/run/mariadb-proxy/mysqld/error.log");
    assertEquals(log.match(/mariadbd: Shutdown complete/g)?.length, round);
  }
  // Without its supervisord the database runs on; the next start ends it first.
  await stemcell.tell("start");
  await answers();
  const [left] = stemcell.processes("mariadbd");
  await stemcell.run("monit", "unmonitor", "mariadb-proxy");
  await stemcell.sh("kill -9 $(cat /var/vcap/sys/run/mariadb-proxy/supervisord.pid)");
  await stemcell.tell("start");
  await until(() => stemcell.processes("mariadbd").some((pid) => pid !== left), "MariaDB is new");
  await answers();
  await stemcell.tell("stop");
  assertEquals(stemcell.processes("mariadbd"), []);
});
