/** Real daemons, each stopped in the way that it wants. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { closedPort } from "../servers.ts";
import {
  exists,
  expectResult,
  isRunning,
  readIfExists,
  run,
  sipid,
  start,
  TempDir,
  until,
} from "../support.ts";

Deno.test("PostgreSQL: a smart stop waits for clients, kill --signal INT is its fast stop", async () => {
  using dir = new TempDir();
  const versions = [...Deno.readDirSync("/usr/lib/postgresql")].map(({ name }) => name).sort();
  const bin = `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  const [data, log, port] = [dir.file("data"), dir.file("log"), String(closedPort())];
  Deno.chmodSync(dir.path, 0o1777);
  const as = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
  const initialise = [`${bin}/initdb`, "--no-sync", "-A", "trust", "-U", "postgres", "-D", data];
  expectResult(await run("setpriv", [...as, ...initialise], { cwd: dir.path }), { code: 0 });
  const flags = ["-D", data, "-p", port, "-h", "127.0.0.1", "-k", dir.path, "-F"];
  const logTo = ["-c", "logging_collector=off"];
  const script = `exec setpriv ${as.join(" ")} ${bin}/postgres ${
    [...flags, ...logTo].join(" ")
  } 2>${log}`;
  const postgres = start("setsid", ["sh", "-c", script], { cwd: dir.path });
  // PostgreSQL's own pidfile, of seven lines.
  const path = `${data}/postmaster.pid`;
  const connect = ["-h", "127.0.0.1", "-p", port, "-U", "postgres"];
  await until(async () => (await run("pg_isready", connect)).code === 0, "PostgreSQL answers");
  const client = start("psql", [...connect, "-c", "SELECT pg_sleep(600)"]);
  const select = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'";
  await until(async () => {
    const { stdout } = await run("psql", [
      ...connect,
      "-Atc",
      `${select} AND pid <> pg_backend_pid()`,
    ]);
    return stdout === "1\n";
  }, "a client is connected");

  const kill = ["kill", "--pid-file", path, "--exec", `${bin}/postgres`];
  expectResult(await sipid(...kill, "--schedule", "TERM/1s"), {
    code: 1,
    stderr: `process ${postgres.pid} (postgres) is still running after 1s; ${path} is kept`,
  });
  assertMatch(readIfExists(log)!, /received smart shutdown request/);
  assert(isRunning(client.pid));
  expectResult(await sipid(...kill, "--signal", "INT", "--grace-period", "1m"), {
    code: 0,
    stderr: /sent SIGINT to process \d+ \(postgres\)[^]*exited after/,
  });
  assertMatch(readIfExists(log)!, /received fast shutdown request[^]*database system is shut down/);
  assert((await client.result).code !== 0);
  await postgres.result;
  assert(!exists(path));
});

Deno.test("nginx: kill --signal QUIT completes a slow download, with --group of its workers too", async () => {
  for (const group of [[], ["--group"]]) {
    using dir = new TempDir();
    const [port, path] = [closedPort(), dir.file("nginx.pid")];
    const bytes = 1_000_000;
    Deno.mkdirSync(dir.file("html"));
    dir.write("html/slow", "x".repeat(bytes));
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${dir.file(`${name}_temp`)};`).join("\n");
    const config = dir.write(
      "nginx.conf",
      `${Deno.uid() === 0 ? "user root;" : ""}
worker_processes 2;
pid ${path};
error_log ${dir.file("error.log")} notice;
events {}
http {
  access_log off;
  ${temporary}
  server { listen 127.0.0.1:${port}; root ${dir.file("html")}; limit_rate 100k; }
}
`,
    );
    // It puts itself in the background, where it leads a group.
    expectResult(await run("/usr/sbin/nginx", ["-c", config]), { code: 0 });
    await until(() => readIfExists(path) !== undefined, "nginx has written its pidfile");
    const master = Number(Deno.readTextFileSync(path));
    const children = Deno.readTextFileSync(`/proc/${master}/task/${master}/children`);
    const workers = children.trim().split(" ").map(Number);
    const response = await fetch(`http://127.0.0.1:${port}/slow`);
    const flags = ["--exec", "/usr/sbin/nginx", "--signal", "QUIT", "--grace-period", "2m"];
    const killing = sipid("kill", "--pid-file", path, ...flags, ...group);
    let isComplete = false;
    const download = response.text().finally(() => isComplete = true);
    await until(() => isRefused(port), "nginx accepts no more connections");
    assert(!isComplete, "the download is under way when nginx stops");
    assertEquals((await download).length, bytes);
    const { stderr } = expectResult(await killing, { code: 0, stderr: "sent SIGQUIT to process" });
    assert(!stderr.includes("SIGKILL"), stderr);
    assertEquals([master, ...workers].filter(isRunning), []);
    assert(!exists(path));
  }
});

async function isRefused(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return true;
    throw error;
  }
}
