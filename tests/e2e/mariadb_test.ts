/** A real MariaDB under mysqld_safe, under pidproxy, under a real supervisord. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { isRunning, SIPID, TempDir, until } from "../support.ts";
import { Database } from "./mariadb.ts";
import { Supervisor } from "./supervisor.ts";

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
    assert(!isRunning(before), `round ${round}: mariadbd ${before} runs after supervisorctl stop`);
    assertEquals(db.log.match(/mariadbd: Shutdown complete/g)?.length, round);
    assertMatch(await supervisor.ctl("start", "db"), /db: started/);
    await db.untilUp();
    assertEquals(await db.query("SELECT COUNT(*), MAX(n) FROM d.t"), `${round}\t${round}`);
  }
  assert(!/unable to lock|another mysqld|already (running|in use)/i.test(db.log), db.log);
  assertMatch(await supervisor.ctl("stop", "db"), /db: stopped/);
  assertEquals(supervisor.log().match(/stopped: db \(exit status 0\)/g)?.length, 11);
});
