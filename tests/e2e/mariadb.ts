/** A real MariaDB for the tests. */
import { expectResult, run, type TempDir, until } from "../support.ts";

/** A database of the test's own: no network, its own directory, its own socket. */
export class Database {
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
    expectResult(
      await run("mysql_install_db", [
        "--no-defaults",
        "--user=mysql",
        `--datadir=${dir.file("data")}`,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
      ]),
      { code: 0 },
    );
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
    const { stdout } = expectResult(await run("mariadb", args), { code: 0 });
    return stdout.trim();
  }

  async untilUp(): Promise<void> {
    const args = ["--no-defaults", "--user=root", `--socket=${this.socket}`, "ping"];
    await until(async () => (await run("mariadb-admin", args)).code === 0, "MariaDB is up");
  }

  get pid(): number {
    return Number(Deno.readTextFileSync(this.pidFile));
  }

  get log(): string {
    return Deno.readTextFileSync(this.errorLog);
  }
}
