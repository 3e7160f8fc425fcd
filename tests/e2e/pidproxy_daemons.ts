/** The daemons of docs/pidproxy.md: what each is configured with, and how it is asked whether it works. */
import { expectResult, run, SIPID, type TempDir } from "../support.ts";
import { closedPort } from "../servers.ts";
import type { Program } from "./supervisor.ts";

/** A daemon under test. */
export interface Daemon {
  /** Its section in docs/pidproxy.md. */
  readonly program: string;
  /** The signal that reloads its configuration. */
  readonly reload: string;
  /** Whether that replaces its workers, or the master too. */
  readonly isReplacedByReload?: boolean;
  /** Its pidfile, as the documentation has it. */
  readonly pidFile: string;
  /** Writes its configuration files. */
  readonly prepare: (place: Place) => Promise<void>;
  /** Whether it answers as it should. */
  readonly answers: (place: Place) => Promise<boolean>;
}

/** Where a daemon runs: what the documentation's paths and ports are replaced by. */
export class Place {
  readonly port = closedPort();
  readonly #replaced: readonly (readonly [string, string])[];

  constructor(readonly dir: TempDir) {
    this.#replaced = [
      ["/usr/local/bin/sipid", dir.file("sipid")],
      ["/usr/lib/postgresql/15/", `${installed("/usr/lib/postgresql", /^\d+$/)}/`],
      ["/usr/sbin/php-fpm8.2", installed("/usr/sbin", /^php-fpm[\d.]+$/)],
      ["/run/", dir.file("run/")],
      ["/etc/", dir.file("etc/")],
      ["/var/", dir.file("var/")],
      ["11211", String(this.port)],
    ];
    // As another user than root it must be readable outside the working directory.
    Deno.copyFileSync(SIPID, dir.file("sipid"));
  }

  /** Returns a text of the documentation for this place. */
  here(text: string): string {
    const pattern = /\/usr\/local\/bin\/sipid|\/usr\/[\w./-]*|\/run\/|\/etc\/|\/var\/|11211/g;
    return text.replace(pattern, (found) => {
      const [from, to] = this.#replaced.find(([from]) => found.startsWith(from)) ?? ["", ""];
      return to + found.slice(from.length);
    });
  }

  /** Writes a file of the documentation's path, with its directories. */
  write(path: string, content: string): void {
    const file = this.here(path);
    Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(file, this.here(content));
  }

  /** Makes a directory for a user. */
  async directory(path: string, user = "root", mode = 0o755): Promise<string> {
    const directory = this.here(path);
    Deno.mkdirSync(directory, { recursive: true });
    expectResult(await run("chown", [`${user}:${user}`, directory]), { code: 0 });
    Deno.chmodSync(directory, mode);
    return directory;
  }
}

function installed(directory: string, name: RegExp): string {
  const found = [...Deno.readDirSync(directory)].find((entry) => name.test(entry.name));
  if (found === undefined) throw new Error(`nothing in ${directory} matches ${name}`);
  return `${directory}/${found.name}`;
}

/** Returns the section of docs/pidproxy.md for a program, as Supervisor's configuration has it. */
export function documented(text: string, program: string, place: Place): Program {
  const blocks = [...text.matchAll(/^```ini\n([^]*?)^```$/gm)].map(([, block]) => block!);
  const block = blocks.find((block) => block.startsWith(`[program:${program}]\n`));
  if (block === undefined) throw new Error(`docs/pidproxy.md has no [program:${program}]`);
  const lines = block.split("\n").slice(1).filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(lines.map((line) => {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line)!;
    return [key!, place.here(value!)];
  }));
}

/** Sends a request to the daemon's port, and returns what comes until the answer matches. */
async function ask(place: Place, request: string | Uint8Array, answer: RegExp): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: place.port });
    const late = setTimeout(() => connection.close(), 2_000);
    try {
      await connection.write(
        typeof request === "string" ? new TextEncoder().encode(request) : request,
      );
      const decoder = new TextDecoder("latin1");
      const buffer = new Uint8Array(4096);
      for (let seen = ""; !answer.test(seen);) {
        const count = await connection.read(buffer);
        if (count === null) return false;
        seen += decoder.decode(buffer.subarray(0, count));
      }
      return true;
    } finally {
      clearTimeout(late);
    }
  } catch {
    return false;
  }
}

const HTTP = "GET /page HTTP/1.0\r\nHost: localhost\r\n\r\n";

/** A FastCGI request for /ping. */
function fastcgi(): Uint8Array {
  const record = (type: number, content: number[]): number[] => [
    ...[1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0],
    ...content,
  ];
  const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];
  const params = { SCRIPT_NAME: "/ping", SCRIPT_FILENAME: "/ping", REQUEST_METHOD: "GET" };
  const pairs = Object.entries(params).flatMap(([name, value]) => [
    ...[name.length, value.length],
    ...bytes(name + value),
  ]);
  const [BEGIN, PARAMS, STDIN, RESPONDER] = [1, 4, 5, 1];
  return new Uint8Array([
    ...record(BEGIN, [0, RESPONDER, 0, 0, 0, 0, 0, 0]),
    ...[...record(PARAMS, pairs), ...record(PARAMS, []), ...record(STDIN, [])],
  ]);
}

async function preparePostgres(place: Place): Promise<void> {
  const data = await place.directory("/var/lib/postgresql/main", "postgres", 0o700);
  await place.directory("/var/log/postgresql", "postgres");
  await place.directory("/run/postgresql", "postgres");
  const initdb = place.here("/usr/lib/postgresql/15/bin/initdb");
  const as = ["--reuid=postgres", "--regid=postgres", "--init-groups", "--"];
  const args = ["--auth=trust", "--no-sync", "--pgdata", data];
  expectResult(await run("setpriv", [...as, initdb, ...args], { cwd: "/" }), { code: 0 });
  Deno.writeTextFileSync(
    `${data}/postgresql.conf`,
    place.here(`port = ${place.port}
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
external_pid_file = '/run/postgresql/main.pid'
fsync = off
`),
    { append: true },
  );
}

async function postgresAnswers(place: Place): Promise<boolean> {
  const args = [
    "-h",
    "127.0.0.1",
    "-p",
    String(place.port),
    "-U",
    "postgres",
    "-AtXc",
    "SELECT 6*7",
  ];
  return (await run("psql", [...args, "postgres"])).stdout === "42\n";
}

/** All daemons of the documentation. */
export const DAEMONS: readonly Daemon[] = [
  {
    program: "redis",
    reload: "HUP",
    pidFile: "/run/redis/redis.pid",
    async prepare(place) {
      await place.directory("/var/lib/redis");
      await place.directory("/run/redis");
      place.write(
        "/etc/redis/redis.conf",
        `daemonize yes
pidfile /run/redis/redis.pid
port ${place.port}
bind 127.0.0.1
dir /var/lib/redis
logfile /var/lib/redis/redis.log
`,
      );
    },
    answers: (place) => ask(place, "PING\r\n", /^\+PONG/),
  },
  {
    program: "nginx",
    reload: "HUP",
    isReplacedByReload: true,
    pidFile: "/run/nginx/nginx.pid",
    async prepare(place) {
      await place.directory("/run/nginx");
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path /run/nginx/${name};`).join(" ");
      place.write(
        "/etc/nginx/nginx.conf",
        `user www-data;
worker_processes 2;
pid /run/nginx/nginx.pid;
error_log /run/nginx/error.log;
events {}
http {
  access_log off;
  ${temporary}
  server { listen 127.0.0.1:${place.port}; location / { return 200 fine; } }
}
`,
      );
    },
    answers: (place) => ask(place, HTTP, /fine$/),
  },
  {
    program: "php-fpm",
    reload: "USR2",
    isReplacedByReload: true,
    pidFile: "/run/php/php-fpm.pid",
    async prepare(place) {
      await place.directory("/run/php");
      place.write(
        "/etc/php/8.2/fpm/php-fpm.conf",
        `[global]
pid = /run/php/php-fpm.pid
error_log = /run/php/php-fpm.log
[www]
user = www-data
group = www-data
listen = 127.0.0.1:${place.port}
pm = static
pm.max_children = 3
ping.path = /ping
`,
      );
    },
    answers: (place) => ask(place, fastcgi(), /pong/),
  },
  {
    program: "apache2",
    reload: "USR1",
    isReplacedByReload: true,
    pidFile: "/run/apache2/apache2.pid",
    async prepare(place) {
      await place.directory("/run/apache2");
      await place.directory("/var/www");
      place.write("/var/www/page", "fine");
      place.write(
        "/etc/apache2/apache2.conf",
        `ServerRoot /run/apache2
ServerName localhost
PidFile /run/apache2/apache2.pid
ErrorLog /run/apache2/error.log
Listen 127.0.0.1:${place.port}
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User www-data
Group www-data
StartServers 3
DocumentRoot /var/www
`,
      );
    },
    answers: (place) => ask(place, HTTP, /fine$/),
  },
  {
    program: "haproxy",
    reload: "USR2",
    isReplacedByReload: true,
    pidFile: "/run/haproxy/haproxy.pid",
    async prepare(place) {
      await place.directory("/run/haproxy");
      place.write(
        "/etc/haproxy/haproxy.cfg",
        `defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend web
  bind 127.0.0.1:${place.port}
  http-request return status 200 content-type text/plain string fine
`,
      );
    },
    answers: (place) => ask(place, HTTP, /fine$/),
  },
  {
    program: "memcached",
    reload: "HUP",
    pidFile: "/run/memcached/memcached.pid",
    prepare: async (place) => void await place.directory("/run/memcached", "memcache"),
    answers: (place) => ask(place, "version\r\n", /^VERSION/),
  },
  {
    program: "postgresql",
    reload: "HUP",
    pidFile: "/run/postgresql/main.pid",
    prepare: preparePostgres,
    answers: postgresAnswers,
  },
  {
    program: "postgresql-postmaster",
    reload: "HUP",
    pidFile: "/var/lib/postgresql/main/postmaster.pid",
    prepare: preparePostgres,
    answers: postgresAnswers,
  },
  {
    program: "mariadb",
    reload: "HUP",
    pidFile: "/run/mysqld/mysqld.pid",
    async prepare(place) {
      await place.directory("/var/lib/mysql", "mysql", 0o700);
      await place.directory("/run/mysqld", "mysql");
      place.write(
        "/etc/mysql/my.cnf",
        `[mysqld]
user = mysql
datadir = /var/lib/mysql
pid-file = /run/mysqld/mysqld.pid
socket = /run/mysqld/mysqld.sock
log-error = /run/mysqld/error.log
bind-address = 127.0.0.1
port = ${place.port}
innodb-flush-log-at-trx-commit = 0
`,
      );
      const args = ["--auth-root-authentication-method=normal", "--skip-test-db"];
      const defaults = `--defaults-file=${place.here("/etc/mysql/my.cnf")}`;
      expectResult(await run("mysql_install_db", [defaults, ...args]), { code: 0 });
    },
    async answers(place) {
      const socket = `--socket=${place.here("/run/mysqld/mysqld.sock")}`;
      const args = ["--no-defaults", "--user=root", socket, "-NBe", "SELECT 6*7"];
      return (await run("mariadb", args)).stdout === "42\n";
    },
  },
];
