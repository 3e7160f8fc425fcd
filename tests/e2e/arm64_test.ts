/** The arm64 build, run by qemu in user mode: its code is emulated, the processes and /proc are not. */
import { assert, assertEquals } from "@std/assert";
import { closedPort, httpServer } from "../servers.ts";
import {
  exists,
  expectResult,
  isRunning,
  type Result,
  ROOT,
  run,
  Running,
  TempDir,
  until,
} from "../support.ts";

const EMULATED = ["-L", "/usr/aarch64-linux-gnu", `${ROOT}dist/arm64/sipid`];

function sipid(...args: string[]): Promise<Result> {
  return run("qemu-aarch64-static", [...EMULATED, ...args]);
}

function sleep(): Promise<Running> {
  return Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
}

Deno.test("make release ARCH=arm64 builds an archive and a package for arm64", async () => {
  const options = { cwd: ROOT, env: { ARCH: "arm64", DENO: "", DENO_VERSION: "" } };
  const { stdout } = expectResult(await run("sh", ["toolchain/release.sh"], options), {
    code: 0,
    stdout: /^dist\/sipid-\S+-linux-arm64\.tar\.gz\ndist\/sipid_\S+_arm64\.deb$/m,
  });
  const [, deb] = stdout.split("\n");
  expectResult(await run("dpkg-deb", ["--field", deb!, "Architecture"], { cwd: ROOT }), {
    code: 0,
    stdout: "arm64\n",
  });
});

Deno.test("arm64: claim, refused claim, status and kill of a process", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  expectResult(await sipid("--version"), { code: 0, stdout: /^sipid \d/ });
  await using job = await sleep();
  const claim = ["claim", "--pid-file", path, "--pid"];
  expectResult(await sipid(...claim, String(job.pid)), { code: 0, stderr: "" });
  assertEquals(Deno.readTextFileSync(path).trim(), String(job.pid));
  expectResult(await sipid(...claim, String(Deno.pid)), { code: 1, stderr: "already exists" });
  expectResult(await sipid("status", "--pid-file", path), {
    code: 0,
    stdout: new RegExp(`^running ${job.pid} `),
  });
  expectResult(await sipid("kill", "--pid-file", path), {
    code: 0,
    stderr: [`sent SIGTERM to process ${job.pid}`, "exited after"],
  });
  assert(!isRunning(job.pid));
  assert(!exists(path));
  expectResult(await sipid("status", "--pid-file", path), { code: 3 });
});

Deno.test("arm64: signal sends one signal, and fails once the process has exited", async () => {
  using dir = new TempDir();
  const script = "trap 'echo reloaded' HUP; echo ready; while :; do sleep 0.1; done";
  await using job = await Running.start("sh", ["-c", script]);
  const path = dir.write("web.pid", String(job.pid));
  const signal = ["signal", "--pid-file", path, "--signal", "HUP"];
  expectResult(await sipid(...signal), { code: 0, stderr: `sent SIGHUP to process ${job.pid}` });
  await job.line(/^reloaded$/m);
  assert(isRunning(job.pid));
  job.kill("SIGKILL");
  await job.status;
  expectResult(await sipid(...signal), { code: 1, stderr: "SIGHUP was not sent" });
});

Deno.test("arm64: kill sends SIGKILL after the grace period", async () => {
  using dir = new TempDir();
  await using job = await Running.start("sh", ["-c", "trap '' TERM; echo ready; sleep 600 & wait"]);
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await sipid("kill", "--pid-file", path, "--grace-period", "300ms"), {
    code: 0,
    stderr: ["sent SIGTERM", "sent SIGKILL"],
  });
  assert(!isRunning(job.pid));
});

Deno.test("arm64: a wait returns when the URL is healthy, and when its process exits", async () => {
  using dir = new TempDir();
  await using server = httpServer(() => new Response("ok"));
  expectResult(await sipid("wait-until-healthy", "--url", server.url), {
    code: 0,
    stderr: "is healthy",
  });
  await using job = await sleep();
  const path = dir.write("web.pid", String(job.pid));
  const url = `http://127.0.0.1:${closedPort()}/`;
  const wait = sipid("wait-until-healthy", "--url", url, "--pid-file", path);
  job.kill("SIGKILL");
  expectResult(await wait, { code: 1, stderr: "not running" });
});

Deno.test("arm64: pidproxy runs a real nginx, passes HUP on and stops it", async () => {
  using dir = new TempDir();
  const port = closedPort();
  const pidFile = dir.file("nginx.pid");
  const conf = dir.write(
    "nginx.conf",
    `pid ${pidFile}; error_log ${dir.file("error.log")} notice; events {}
     ${Deno.uid() === 0 ? "user root;" : ""}
     http { access_log off; server { listen 127.0.0.1:${port}; return 200 "ok"; } }`,
  );
  const nginx = ["pidproxy", "--wait", "10s", pidFile, "nginx", "-c", conf];
  const script = 'echo ready; exec qemu-aarch64-static "$@"';
  await using proxy = await Running.start("sh", ["-c", script, "sh", ...EMULATED, ...nginx]);
  const log = (): string => Deno.readTextFileSync(dir.file("error.log"));
  await until(() => exists(pidFile), "nginx wrote its pidfile");
  const master = Number(Deno.readTextFileSync(pidFile));
  expectResult(await sipid("wait-until-healthy", "--url", `http://127.0.0.1:${port}/`), {
    code: 0,
  });
  proxy.kill("SIGHUP");
  await until(() => log().includes("reconfiguring"), "nginx reloaded its configuration");
  proxy.kill("SIGTERM");
  expectResult(await proxy.result(), { code: 0 });
  assert(!isRunning(master));
});
