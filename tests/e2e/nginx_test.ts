/** A real nginx, which puts itself in the background, under pidproxy and a real supervisord. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { closedPort } from "../servers.ts";
import { isRunning, SIPID, TempDir, until } from "../support.ts";
import { Supervisor } from "./supervisor.ts";

/** An nginx of the test's own, with one worker. */
class Nginx {
  readonly port = closedPort();
  readonly pidFile: string;
  readonly conf: string;

  constructor(readonly dir: TempDir) {
    this.pidFile = dir.file("nginx.pid");
    this.conf = dir.file("nginx.conf");
    Deno.mkdirSync(dir.file("html"));
    dir.write("html/slow", "x".repeat(300_000));
    this.configure("one");
  }

  configure(page: string): void {
    this.dir.write("html/index.html", page);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${this.dir.file(`${name}_temp`)};`).join("\n    ");
    this.dir.write(
      "nginx.conf",
      `${Deno.uid() === 0 ? "user root;" : ""}
worker_processes 1;
pid ${this.pidFile};
error_log ${this.dir.file("nginx-error.log")} notice;
events {}
http {
    access_log off;
    ${temporary}
    server {
        listen 127.0.0.1:${this.port};
        root ${this.dir.file("html")};
        add_header X-Page ${page};
        location /slow { limit_rate 100k; }
    }
}
`,
    );
  }

  fetch(path = "/"): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: "close" } });
  }

  /** The page that is served; undefined while there is none. */
  async page(): Promise<string | undefined> {
    try {
      const response = await this.fetch();
      await response.body?.cancel();
      return response.headers.get("x-page") ?? undefined;
    } catch {
      return undefined;
    }
  }

  get master(): number {
    return Number(Deno.readTextFileSync(this.pidFile));
  }

  get workers(): number[] {
    const children = Deno.readTextFileSync(`/proc/${this.master}/task/${this.master}/children`);
    return children.trim().split(" ").map(Number);
  }
}

Deno.test("nginx under pidproxy: start, serve, HUP, a graceful QUIT, a killed master", async () => {
  using dir = new TempDir();
  const nginx = new Nginx(dir);
  await using supervisor = await Supervisor.start(dir, {
    web: {
      command: `${SIPID} pidproxy --wait 5s ${nginx.pidFile} /usr/sbin/nginx -c ${nginx.conf}`,
      stopsignal: "QUIT",
      autorestart: "unexpected",
    },
  });
  assertMatch(await supervisor.ctl("start", "web"), /web: started/);
  assertEquals(await nginx.page(), "one");

  // HUP reloads the configuration, with new workers under the same master.
  const { master, workers } = nginx;
  nginx.configure("two");
  assertMatch(await supervisor.ctl("signal", "HUP", "web"), /web: signalled/);
  await until(async () => await nginx.page() === "two", "the new configuration is served");
  assertEquals(nginx.master, master);
  await until(() => !isRunning(workers[0]!), "the old worker has exited");

  // QUIT finishes what is under way: three seconds of a download.
  const download = await nginx.fetch("/slow");
  const stopping = supervisor.ctl("stop", "web");
  assertEquals((await download.text()).length, 300_000);
  assertMatch(await stopping, /web: stopped/);
  assert(!isRunning(master));
  assertStringIncludes(supervisor.log(), "stopped: web (exit status 0)");

  // The exit of a killed master is noticed, and Supervisor starts another.
  assertMatch(await supervisor.ctl("start", "web"), /web: started/);
  await until(async () => await nginx.page() === "two", "its worker serves");
  const killed = [nginx.master, ...nginx.workers];
  for (const pid of killed) Deno.kill(pid, "SIGKILL");
  await until(
    () => supervisor.log().includes("exited: web (exit status 1; not expected)"),
    "exit 1",
  );
  await until(async () => await nginx.page() === "two", "it serves again");
  assert(nginx.master !== killed[0]);
  assertMatch(
    supervisor.log("web"),
    /nginx\.pid: process \d+ \(nginx\) exited without being asked to/,
  );
  assertMatch(await supervisor.ctl("stop", "web"), /web: stopped/);
});
