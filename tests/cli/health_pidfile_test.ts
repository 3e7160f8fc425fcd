/** A health check with --pid-file: waits for it, and watches its process. */
import { assertGreaterOrEqual, assertLess } from "@std/assert";
import { httpServer } from "../servers.ts";
import {
  expectResult,
  Job,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
} from "../support.ts";

function wait(url: string, ...flags: string[]): Promise<Result> {
  return sipid("wait-until-healthy", "--url", url, ...flags);
}

for (const [state, content] of [["is missing", undefined], ["is empty", ""]] as const) {
  Deno.test(`a pidfile that ${state} is waited for`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.file("web.pid");
    if (content !== undefined) dir.write("web.pid", content);
    await using server = httpServer(() => new Response());
    const args = ["wait-until-healthy", "--url", server.url, "--pid-file", path];
    await using waiting = await Running.start("sh", [
      ...["-c", 'exec "$0" "$@" 2>&1', SIPID, ...args],
    ], { awaited: `.*: waiting for ${path} to be written` });
    const begin = performance.now();
    dir.write("web.pid", String(job.pid));
    await waiting.line(/is healthy after/);
    assertLess(performance.now() - begin, SLACK_MS);
  });

  Deno.test(`a pidfile that ${state} until the timeout is reported`, async () => {
    using dir = new TempDir();
    const path = dir.file("web.pid");
    if (content !== undefined) dir.write("web.pid", content);
    let probes = 0;
    await using server = httpServer(() => {
      probes++;
      return new Response();
    });
    const { ms } = expectResult(
      await wait(server.url, "--pid-file", path, "--timeout", "500ms"),
      {
        code: 1,
        stderr: content === undefined
          ? /web\.pid: does not exist after 500ms; has the service been started\?\n/
          : /web\.pid: is empty after 500ms; has the service been started\?\n/,
      },
    );
    assertGreaterOrEqual(ms, 500);
    assertLess(ms, 500 + SLACK_MS);
    // Another service may answer on the port before this one is started.
    assertLess(probes, 1);
  });
}

/** A PID that no process can have. */
const NO_PROCESS = "2147483647";

Deno.test("a pidfile that a crash has left is waited for, while a start claims it", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", NO_PROCESS);
  await using server = httpServer(() => new Response());
  const args = ["wait-until-healthy", "--url", server.url, "--pid-file", path];
  await using waiting = await Running.start("sh", [
    ...["-c", 'exec "$0" "$@" 2>&1', SIPID, ...args],
  ], { awaited: `.*: waiting for ${path} to be claimed: process ${NO_PROCESS} is not running` });
  dir.write("web.pid", String(job.pid));
  await waiting.line(/is healthy after/);
});

Deno.test("a pidfile that is stale for a second is reported", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", NO_PROCESS);
  const { ms } = expectResult(await wait("http://127.0.0.1:2/", "--pid-file", path), {
    code: 1,
    stderr: `web.pid: process ${NO_PROCESS} is not running; see the log of the service\n`,
  });
  assertGreaterOrEqual(ms, 1_000);
  assertLess(ms, 1_000 + SLACK_MS);
});

Deno.test("a pidfile that is stale at the timeout is called so", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", NO_PROCESS);
  expectResult(await wait("http://127.0.0.1:2/", "--pid-file", path, "--timeout", "50ms"), {
    code: 1,
    stderr: /web\.pid: names no running process after 50ms; has the service been started\?\n/,
  });
});

Deno.test("an empty pidfile is called empty at any timeout", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  expectResult(await wait("http://127.0.0.1:2/", "--pid-file", path, "--timeout", "50ms"), {
    code: 1,
    stderr: /web\.pid: is empty after 50ms; has the service been started\?\n/,
  });
});

Deno.test("a pidfile whose process is not settled by the timeout is not called missing", async () => {
  using dir = new TempDir();
  await using job = new Job();
  // Unclear: the process started long after the pidfile was written.
  const path = dir.write("web.pid", String(job.pid));
  Deno.utimeSync(path, 1, 1);
  expectResult(await wait("http://127.0.0.1:2/", "--pid-file", path, "--timeout", "50ms"), {
    code: 1,
    stderr: /web\.pid: its process is not identified after 50ms; use a longer --timeout\n/,
  });
});

Deno.test("once the pidfile has named a process, its exit ends the wait", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.file("web.pid");
  await using server = httpServer(() => {
    Deno.kill(job.pid, "SIGKILL");
    return new Response(null, { status: 503 });
  });
  const args = ["wait-until-healthy", "--url", server.url, "--pid-file", path];
  await using waiting = await Running.start("sh", [
    ...["-c", 'exec "$0" "$@" 2>&1', SIPID, ...args],
  ], { awaited: `.*: waiting for ${path} to be written` });
  const begin = performance.now();
  dir.write("web.pid", String(job.pid));
  await waiting.line(/web\.pid: process \d+ \(\w+\) has exited; see the log of the service/);
  assertLess(performance.now() - begin, SLACK_MS);
});

Deno.test("the pidfile is read every 50 ms, whatever the polling frequency", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  await using server = httpServer(() => new Response(null, { status: 503 }));
  const log = dir.file("strace");
  const strace = ["-f", "-qq", "-e", "trace=openat", "-o", log];
  const flags = ["--url", server.url, "--pid-file", path, "--timeout", "2s"];
  expectResult(await run("strace", [...strace, SIPID, "wait-until-healthy", ...flags]), {
    code: 1,
  });
  const reads = Deno.readTextFileSync(log).split(`"${path}"`).length - 1;
  // 40 of them, a few more at the start, and fewer on a busy machine under strace.
  assertGreaterOrEqual(reads, 10);
  assertLess(reads, 60);
});

Deno.test("a command probe is ended when the process of the pidfile exits", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const script = `kill -9 ${job.pid}; exec sleep 600`;
  const args = ["wait-until-healthy", "--pid-file", path, "--", "sh", "-c", script];
  const { ms } = expectResult(await sipid(...args), { code: 1, stderr: "has exited; see the log" });
  assertLess(ms, SLACK_MS);
});
