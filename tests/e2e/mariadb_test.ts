/** A real MariaDB under mysqld_safe, under pidproxy, under a real supervisord. */
// @ts-types="../../toolchain/std/assert.d.ts"
import { assert, assertEquals, assertMatch } from "@std/assert";
import { run, runs, SIPID, TempDir, until } from "../support.ts";
import { Supervisor, untilTrue } from "./supervisor.ts";

/** A database of the test's own: no network, its own folder, its own socket. */
class Database {
  readonly socket: string;
  readonly pidFile: string;
  readonly errorLog: string;

  private constructor(readonly dir: TempDir) {
    this.socket = dir.file("mysql.sock");
    this.pidFile = dir.file("run/mysqld.pid");
    this.errorLog = dir.file("run/error.log");
  }

  static async create(dir: TempDir): Promise<Database> {
    for (const name of ["data", "run"]) {
      Deno.mkdirSync(dir.file(name));
      await run("chown", ["mysql:mysql", dir.file(name)]);
    }
    Deno.chmodSync(dir.path, 0o777 | 0o1000); // the socket is mysql's
    const { code, stderr } = await run("mysql_install_db", [
      "--no-defaults",
      "--user=mysql",
      `--datadir=${dir.file("data")}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
    ]);
    assertEquals(code, 0, stderr);
    return new Database(dir);
  }

  /** The command line of mysqld_safe for it. */
  get safe(): string {
    return [
      "/usr/bin/mysqld_safe --no-defaults --user=mysql --skip-networking --skip-syslog",
      `--datadir=${this.dir.file("data")} --socket=${this.socket}`,
      `--pid-file=${this.pidFile} --log-error=${this.errorLog}`,
    ].join(" ");
  }

  async query(sql: string): Promise<string> {
    const args = ["--no-defaults", "--user=root", `--socket=${this.socket}`, "-N", "-B", "-e", sql];
    const { code, stdout, stderr } = await run("mariadb", args);
    assertEquals(code, 0, `${sql}: ${stderr}`);
    return stdout.trim();
  }

  async untilUp(): Promise<void> {
    const args = ["--no-defaults", "--user=root", `--socket=${this.socket}`, "ping"];
    await untilTrue(async () => (await run("mariadb-admin", args)).code === 0, "MariaDB is up");
  }

  get pid(): number {
    return Number(Deno.readTextFileSync(this.pidFile));
  }

  get log(): string {
    return Deno.readTextFileSync(this.errorLog);
  }
}

Deno.test("MariaDB under pidproxy: start, query, HUP, stop, ten restarts with nothing lost", async () => {
  using dir = new TempDir();
  const db = await Database.create(dir);
  await using supervisor = await Supervisor.start(dir, {
    db: { command: `${SIPID} pidproxy ${db.pidFile} ${db.safe}` },
  });

  assertMatch(await supervisor.ctl("start", "db"), /db: started/);
  await db.untilUp();
  assertEquals(await db.query("SELECT 6 * 7"), "42");
  await db.query("CREATE DATABASE d; CREATE TABLE d.t (n INT PRIMARY KEY) ENGINE=InnoDB");

  // HUP makes it flush and reopen its log: it writes to a new one, not to the one moved away.
  Deno.renameSync(db.errorLog, `${db.errorLog}.1`);
  assertMatch(await supervisor.ctl("signal", "HUP", "db"), /db: signalled/);
  await until(
    () => [...Deno.readDirSync(dir.file("run"))].some(({ name }) => name === "error.log"),
    "a new log",
  );
  assertEquals(await db.query("SELECT 1"), "1");

  for (let round = 1; round <= 10; round++) {
    await db.query(`INSERT INTO d.t VALUES (${round})`);
    const before = db.pid;
    // A stop that returns early would make the start collide with a database that still shuts
    // down; InnoDB's lock on its data would show it in the log.
    assertMatch(await supervisor.ctl("stop", "db"), /db: stopped/);
    assert(!runs(before), `round ${round}: mariadbd ${before} runs after supervisorctl stop`);
    assertEquals(db.log.match(/mariadbd: Shutdown complete/g)?.length, round);
    assertMatch(await supervisor.ctl("start", "db"), /db: started/);
    await db.untilUp();
    assertEquals(await db.query("SELECT COUNT(*), MAX(n) FROM d.t"), `${round}\t${round}`);
  }
  assert(!/unable to lock|another mysqld|already (running|in use)/i.test(db.log), db.log);
  assertMatch(await supervisor.ctl("stop", "db"), /db: stopped/);
  assertEquals(supervisor.log().match(/stopped: db \(exit status 0\)/g)?.length, 11);
});
