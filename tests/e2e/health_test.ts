/** Health checks of real servers, each started by a start script that claims its pidfile. */
import { assertEquals } from "@std/assert";
import { Authority } from "../certificates.ts";
import { closedPort } from "../servers.ts";
import { expectResult, isRunning, run, SIPID, sipid, TempDir, until } from "../support.ts";

/** The flags, or the command after --, of a health check. */
type Probe = readonly string[];

const BRIEFLY = ["--timeout", "300ms", "--polling-frequency", "50ms"];

/** A server as a start script starts it; stopped with the block that uses it. */
class Service implements AsyncDisposable {
  readonly pidFile: string;
  readonly #log: string;
  #child: Deno.ChildProcess | undefined;

  constructor(readonly name: string, readonly dir: TempDir, readonly command: readonly string[]) {
    this.pidFile = dir.file(`${name}.pid`);
    this.#log = dir.file(`${name}.log`);
  }

  start(): void {
    const words = this.command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const script = `exec >>${this.#log} 2>&1
      ${SIPID} claim --pid $$ --pid-file ${this.pidFile}
      exec ${words}`;
    this.#child = new Deno.Command("sh", {
      args: ["-euc", script],
      cwd: this.dir.path,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Waits with each probe right after the start; before it, each fails. */
  async assertHealthy(...probes: readonly Probe[]): Promise<void> {
    for (const probe of probes) {
      expectResult(await sipid("wait-until-healthy", ...BRIEFLY, ...probe), { code: 1 });
    }
    this.start();
    const flags = ["--pid-file", this.pidFile, "--polling-frequency", "50ms"];
    const results = await Promise.all(
      probes.map((probe) => sipid("wait-until-healthy", ...flags, ...probe)),
    );
    for (const result of results) {
      const log = result.code === 0 ? "" : Deno.readTextFileSync(this.#log);
      expectResult({ ...result, stderr: `${result.stderr}${log}` }, {
        code: 0,
        stderr: " is healthy after ",
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child === undefined) return;
    expectResult(await sipid("kill", "--pid-file", this.pidFile), { code: 0 });
    await this.#child.status;
    assertEquals(isRunning(this.#child.pid), false);
  }
}

/** Runs a program as another user, who must be able to write in the directory. */
function as(user: string, dir: TempDir, ...command: string[]): string[] {
  Deno.chmodSync(dir.path, 0o1777);
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--", ...command];
}

Deno.test("Redis: tcp, its socket, redis-cli ping", async () => {
  using dir = new TempDir();
  const [port, socket] = [String(closedPort()), dir.file("redis.sock")];
  await using redis = new Service("redis", dir, [
    ...["redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket", socket],
    ...["--dir", dir.path, "--save", "", "--daemonize", "no"],
  ]);
  await redis.assertHealthy(
    ["--url", `tcp://127.0.0.1:${port}`],
    ["--url", `unix://${socket}`],
    ["--", "redis-cli", "-e", "-p", port, "ping"],
    ["--", "redis-cli", "-e", "-s", socket, "ping"],
  );
});

Deno.test("PostgreSQL: tcp, its socket, pg_isready", async () => {
  using dir = new TempDir();
  const versions = [...Deno.readDirSync("/usr/lib/postgresql")].map(({ name }) => name).sort();
  const bin = `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  const [port, data] = [String(closedPort()), dir.file("data")];
  const initialise = [`${bin}/initdb`, "--no-sync", "-A", "trust", "-U", "postgres", "-D", data];
  const [first, ...rest] = as("postgres", dir, ...initialise);
  expectResult(await run(first!, rest, { cwd: dir.path }), { code: 0 });
  await using postgres = new Service(
    "postgres",
    dir,
    as(
      "postgres",
      dir,
      `${bin}/postgres`,
      "-D",
      data,
      "-p",
      port,
      "-h",
      "127.0.0.1",
      "-k",
      dir.path,
    ),
  );
  await postgres.assertHealthy(
    ["--url", `tcp://127.0.0.1:${port}`],
    ["--url", `unix://${dir.file(`.s.PGSQL.${port}`)}`],
    ["--", "pg_isready", "-h", "127.0.0.1", "-p", port],
    ["--", "pg_isready", "-h", dir.path, "-p", port],
  );
});

Deno.test("MariaDB: tcp, its socket, mariadb-admin ping", async () => {
  using dir = new TempDir();
  const [port, socket, data] = [String(closedPort()), dir.file("mysql.sock"), dir.file("data")];
  Deno.mkdirSync(data);
  expectResult(await run("chown", ["mysql:mysql", data]), { code: 0 });
  const install = ["--no-defaults", "--user=mysql", `--datadir=${data}`, "--skip-test-db"];
  const isRoot = "--auth-root-authentication-method=normal";
  expectResult(await run("mysql_install_db", [...install, isRoot]), { code: 0 });
  await using mariadb = new Service(
    "mariadbd",
    dir,
    as("mysql", dir, ...[
      ...["mariadbd", "--no-defaults", `--datadir=${data}`, `--socket=${socket}`],
      ...[`--port=${port}`, "--bind-address=127.0.0.1", `--pid-file=${dir.file("own.pid")}`],
    ]),
  );
  const admin = ["mariadb-admin", "--no-defaults", "--user=root"];
  await mariadb.assertHealthy(
    ["--url", `tcp://127.0.0.1:${port}`],
    ["--url", `unix://${socket}`],
    ["--", ...admin, `--socket=${socket}`, "ping"],
    ["--", ...admin, "--host=127.0.0.1", `--port=${port}`, "ping"],
  );
});

Deno.test("nginx: HTTP/2 with mutual TLS, and HTTP over a Unix socket", async () => {
  using authority = await Authority.create();
  using dir = new TempDir();
  const [web, client] = [await authority.sign("web"), await authority.sign("client")];
  const [port, socket] = [closedPort(), dir.file("nginx.sock")];
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${dir.file(`${name}_temp`)};`).join(" ");
  const conf = dir.write(
    "nginx.conf",
    `${Deno.uid() === 0 ? "user root;" : ""} daemon off; worker_processes 1;
pid ${dir.file("own.pid")}; error_log stderr;
events {}
http {
  access_log off; ${temporary}
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${web.cert}; ssl_certificate_key ${web.key};
    ssl_client_certificate ${authority.cert}; ssl_verify_client on;
    if ($server_protocol != "HTTP/2.0") { return 505; }
    location / { return 204; }
  }
  server { listen unix:${socket}; location /health { return 200; } }
}
`,
  );
  await using nginx = new Service("nginx", dir, ["nginx", "-e", "stderr", "-c", conf]);
  const url = ["--url", `https://127.0.0.1:${port}/`, "--status", "204"];
  const trust = ["--ca-cert", authority.cert];
  await nginx.assertHealthy(
    [...url, ...trust, "--cert", client.cert, "--key", client.key],
    ["--url", "http://web.internal/health", "--unix-socket", socket],
  );
  // Without a certificate nginx answers 400, over HTTP/2.
  expectResult(await sipid("wait-until-healthy", ...BRIEFLY, ...url, ...trust), {
    code: 1,
    stderr: "400 Bad Request (expected 204)\n",
  });
});

Deno.test("haproxy: 503 until its backend is up", async () => {
  using dir = new TempDir();
  const [port, backend] = [closedPort(), closedPort()];
  const conf = dir.write(
    "haproxy.cfg",
    `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server one 127.0.0.1:${backend} check inter 100ms
`,
  );
  await using haproxy = new Service("haproxy", dir, ["haproxy", "-db", "-f", conf]);
  haproxy.start();
  const args = ["--url", `http://127.0.0.1:${port}/`, "--pid-file", haproxy.pidFile];
  const waiting = sipid("wait-until-healthy", ...args, "--polling-frequency", "50ms");
  await until(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.status === 503;
  }, "haproxy answers 503");
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: backend, onListen: () => {} },
    () => new Response("up"),
  );
  expectResult(await waiting, {
    code: 0,
    stderr: ["503 Service Unavailable (expected 200)\n", " is healthy after "],
  });
  await server.shutdown();
});

Deno.test("sshd: tcp", async () => {
  using dir = new TempDir();
  const [port, key] = [String(closedPort()), dir.file("host_key")];
  expectResult(await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]), { code: 0 });
  const options = ["ListenAddress=127.0.0.1", "PidFile=none", "UsePAM=no"];
  // Its directory for privilege separation, where no service manager has made it.
  const mount = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"';
  const command = [
    ...["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", key, "-p", port],
    ...options.flatMap((option) => ["-o", option]),
  ];
  await using sshd = new Service("sshd", dir, [
    "unshare",
    "--mount",
    "sh",
    "-euc",
    mount,
    "sh",
    ...command,
  ]);
  await sshd.assertHealthy(["--url", `tcp://127.0.0.1:${port}`]);
});
