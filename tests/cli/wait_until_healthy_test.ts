/** sipid wait-until-healthy, compiled, against real servers on loopback. */
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { closedPort, httpServer, rawServer, readRequest, writeAll } from "../servers.ts";
import {
  deadPid,
  expectResult,
  fixture,
  loggedMs,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  start,
  TempDir,
  until,
} from "../support.ts";

function wait(url: string, ...flags: string[]): Promise<Result> {
  return sipid("wait-until-healthy", "--url", url, ...flags);
}

/** With a proxy environment and nothing else of the test's own environment. */
function waitWith(
  env: Record<string, string>,
  url: string,
  ...flags: string[]
): Promise<Result> {
  const args = ["wait-until-healthy", "--url", url, ...flags];
  return run(SIPID, args, { env, clearEnv: true });
}

/** How often a process has slept so far; Infinity when it has ended. */
function pauses(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

const BRIEFLY = ["--timeout", "300ms", "--polling-frequency", "50ms"];

Deno.test("wait returns at once when the endpoint is healthy already", async () => {
  await using server = httpServer(() => new Response("fine"));
  const { ms } = expectResult(await wait(`${server.url}/health`), {
    code: 0,
    stdout: "",
    stderr: `${server.url}/health is healthy after `,
  });
  assertLess(ms, SLACK_MS);
});

Deno.test("wait probes at the frequency until it gets 200", async () => {
  const probes: number[] = [];
  await using server = httpServer((_, count) => {
    probes.push(performance.now());
    return new Response(null, { status: count < 4 ? 503 : 200 });
  });
  const begin = performance.now();
  const result = await wait(server.url, "--polling-frequency", "200ms");
  const { stderr } = expectResult(result, { code: 0 });
  assertEquals(probes.length, 4);
  // From its start to the last: how far apart two arrive is up to the machine.
  assertGreaterOrEqual(probes[3]! - begin, 600);
  assertLess(probes[3]! - begin, 600 + SLACK_MS);
  assertStringIncludes(stderr, "503 Service Unavailable");
});

for (const status of [201, 204, 206, 304, 400, 404, 418, 500, 503]) {
  Deno.test(`wait does not accept status ${status}`, async () => {
    await using server = httpServer(() => new Response(null, { status }));
    expectResult(await wait(server.url, ...BRIEFLY), {
      code: 1,
      stderr: new RegExp(`attempts?\\) within \\w+: ${status} \\w.* \\(expected 200\\)$`, "m"),
    });
  });
}

Deno.test("wait fails at the timeout and reports the attempts and the last reason", async () => {
  const url = `http://127.0.0.1:${closedPort()}/health`;
  const { ms } = expectResult(
    await wait(
      url,
      "--timeout",
      "1s",
      "--polling-frequency=300ms",
    ),
    {
      code: 1,
      stdout: "",
      stderr:
        `healthcheck unhealthy (url '${url}' was not healthy after 4 attempts) within 1s: connection refused`,
    },
  );
  assertGreaterOrEqual(ms, 1_000);
  assertLess(ms, 1_000 + SLACK_MS);
});

Deno.test("wait reports a reason once, not at every attempt", async () => {
  const url = `http://127.0.0.1:${closedPort()}/`;
  const { stderr } = await wait(url, ...BRIEFLY);
  assertEquals(stderr.match(/connection refused/g)?.length, 2);
});

Deno.test("wait has a timeout of 1m and a polling frequency of 5s by default", async () => {
  const { stdout } = await sipid("wait-until-healthy", "--help");
  assertMatch(stdout, /--timeout DURATION[^-]*\(default 1m\)/);
  assertMatch(stdout, /--polling-frequency DURATION[^-]*\(default 5s\)/);
  // And in fact: unhealthy once, then healthy, one period later.
  await using server = httpServer((_, count) =>
    new Response(null, { status: count < 2 ? 500 : 200 })
  );
  const { ms } = expectResult(await wait(server.url), { code: 0 });
  assertGreaterOrEqual(ms, 5_000);
  assertLess(ms, 5_000 + SLACK_MS);
});

Deno.test("wait does not download the body", async () => {
  let sent = 0;
  await using server = rawServer(async (connection) => {
    await readRequest(connection);
    await writeAll(
      connection,
      "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n",
    );
    const chunk = "x".repeat(65_536);
    for (;;) {
      await writeAll(connection, chunk);
      sent += chunk.length;
    }
  });
  const { ms } = expectResult(await wait(server.url), { code: 0 });
  assertLess(ms, SLACK_MS);
  assertLess(sent, 50e6);
});

Deno.test("wait keeps no connection from one probe to the next", async () => {
  let connections = 0;
  await using server = rawServer(async (connection) => {
    connections++;
    for (;;) {
      if (await readRequest(connection) === "") return connection.close();
      await writeAll(
        connection,
        "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
      );
    }
  });
  const { stderr } = await wait(server.url, "--timeout", "1s", "--polling-frequency", "50ms");
  const attempts = Number(/after (\d+) attempts/.exec(stderr)![1]);
  assertGreaterOrEqual(attempts, 2);
  assertEquals(connections, attempts);
});

type Serve = Parameters<typeof rawServer>[0];
const HOSTILE: Record<string, [Serve, RegExp]> = {
  "accepts and says nothing": [async () => {}, /no answer before the timeout of 1.5s/],
  "sends a byte a second": [async (connection, signal) => {
    await readRequest(connection);
    for (const byte of "HTTP/1.1 200 OK\r\nX-Slow: 1\r\n\r\n") {
      await writeAll(connection, byte);
      await delay(1_000, { signal });
    }
  }, /no answer before the timeout of 1.5s/],
  "streams headers for ever": [async (connection) => {
    await readRequest(connection); // what comes before it does not count as its answer
    await writeAll(connection, "HTTP/1.1 200 OK\r\n");
    for (let i = 0;; i++) {
      await writeAll(connection, `X-${i}: ${"y".repeat(1_000)}\r\n`);
    }
  }, /the answer has more than 100 headers, or too long ones/],
  "streams garbage for ever": [async (connection) => {
    for (;;) await writeAll(connection, "garbage");
  }, /the answer is not HTTP/],
  "closes at once": [async (connection) => {
    await readRequest(connection);
    connection.close();
  }, /the server closed the connection without an answer/],
  "closes in the middle of the headers": [async (connection) => {
    await readRequest(connection);
    await writeAll(connection, "HTTP/1.1 200 OK\r\nContent-Le");
    connection.close();
  }, /the server closed the connection without an answer/],
  "speaks HTTP/0.9": [async (connection) => {
    await readRequest(connection);
    await writeAll(connection, "<html>200 OK</html>");
    connection.close();
  }, /the answer is not HTTP/],
  "speaks SSH": [async (connection) => {
    await writeAll(connection, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n");
  }, /the answer is not HTTP/],
};
for (const [what, [serve, reason]] of Object.entries(HOSTILE)) {
  Deno.test(`wait meets its deadline with a server that ${what}`, async () => {
    await using server = rawServer(serve);
    const { stderr, ms } = expectResult(
      await wait(
        server.url,
        "--timeout=1500ms",
        "--polling-frequency=1s",
      ),
      { code: 1 },
    );
    assertMatch(stderr.trimEnd().split("\n").at(-1)!, reason);
    assertGreaterOrEqual(ms, 1_500);
    assertLess(ms, 1_500 + SLACK_MS);
  });
}

Deno.test("wait keeps to its timeout to 100 ms, by its own clock", async () => {
  // One answer, right after the start, and none after that.
  let count = 0;
  await using server = rawServer(async (connection) => {
    if (++count > 1) return;
    await readRequest(connection);
    await writeAll(connection, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  });
  const flags = ["--timeout", "700ms", "--polling-frequency", "10ms"];
  const { stderr } = await wait(server.url, ...flags);
  const waited = loggedMs(stderr, /waiting for/, /healthcheck unhealthy/);
  assertGreaterOrEqual(waited, 600);
  assertLess(waited, 800);
});

Deno.test("wait follows redirects, up to ten", async () => {
  await using server = httpServer((request) => {
    const left = Number(new URL(request.url).pathname.slice(1));
    return left === 0 ? new Response("done") : new Response(null, {
      status: [301, 302, 303, 307, 308][left % 5]!,
      headers: { location: `/${left - 1}` },
    });
  });
  expectResult(await wait(`${server.url}/10`), { code: 0 });
});

Deno.test("wait does not follow an eleventh redirect", async () => {
  await using server = httpServer((request) => {
    const left = Number(new URL(request.url).pathname.slice(1));
    return new Response(null, { status: 302, headers: { location: `/${left - 1}` } });
  });
  const args = ["wait-until-healthy", "--url", `${server.url}/11`];
  await using _waiting = await Running.start("sh", ["-c", 'exec "$0" "$@" 2>&1', SIPID, ...args], {
    awaited: `.*: more than 10 redirects, the last one to ${server.url}/0`,
  });
});

Deno.test("wait meets its deadline with a redirect loop", async () => {
  await using server = httpServer(() =>
    new Response(null, { status: 302, headers: { location: "/" } })
  );
  const { ms } = expectResult(await wait(server.url, "--timeout=1s"), {
    code: 1,
    stderr: `more than 10 redirects, the last one to ${server.url}/`,
  });
  assertGreaterOrEqual(ms, 1_000);
  assertLess(ms, 1_000 + SLACK_MS);
});

for (
  const to of [
    "data:text/plain,fine",
    "file:///etc/hostname",
    "ftp://127.0.0.1/",
    "http://",
  ]
) {
  Deno.test(`wait does not follow a redirect to ${to}`, async () => {
    await using server = httpServer(() =>
      new Response(null, { status: 302, headers: { location: to } })
    );
    expectResult(await wait(server.url, ...BRIEFLY), {
      code: 1,
      stderr: "302 Found, which redirects to something that is not an http or https URL",
    });
  });
}

Deno.test("wait reports a redirect without a location", async () => {
  await using server = httpServer(() => new Response(null, { status: 302 }));
  assertMatch(
    (await wait(server.url, ...BRIEFLY)).stderr,
    /attempts?\) within \w+: 302 Found \(expected 200\)/,
  );
});

Deno.test("wait reports that the host name cannot be resolved", async () => {
  expectResult(
    await wait(
      "http://no-such-host.invalid/",
      ...BRIEFLY,
    ),
    { code: 1, stderr: "the host name cannot be resolved" },
  );
});

Deno.test("wait sends the password of the URL and prints it nowhere", async () => {
  let sent: string | null = null;
  await using server = httpServer((request) => {
    sent = request.headers.get("authorization");
    return new Response(null, { status: 403 });
  });
  const url = server.url.replace("//", "//admin:s3cret@");
  const { stdout, stderr } = await wait(url, ...BRIEFLY);
  assertEquals(sent, `Basic ${btoa("admin:s3cret")}`);
  assertNotMatch(stdout + stderr, /s3cret/);
  assertStringIncludes(stderr, "http://admin:xxxxx@127.0.0.1:");
});

Deno.test("wait sends its name and version as User-Agent", async () => {
  let agent: string | null = null;
  await using server = httpServer((request) => {
    agent = request.headers.get("user-agent");
    return new Response();
  });
  await wait(server.url);
  assertMatch(agent!, /^sipid\/\d+\.\d+\.\d+$/);
});

// --pid-file

Deno.test("wait stops as soon as the process of the pidfile has exited", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  let probed = (): void => {};
  const probe = new Promise<void>((resolve) => probed = resolve);
  await using server = httpServer(() => {
    probed();
    return new Response(null, { status: 503 });
  });
  const waiting = wait(server.url, "--pid-file", path);
  await probe;
  const death = performance.now();
  job.kill("SIGKILL");
  expectResult(await waiting, {
    code: 1,
    stderr: `${path}: process ${job.pid} (deno) has exited; see the log of the service`,
  });
  assertLess(performance.now() - death, SLACK_MS);
});

Deno.test("wait stops as soon as the pidfile is removed", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  await using server = httpServer(() => {
    Deno.removeSync(path);
    return new Response(null, { status: 503 });
  });
  const { ms } = expectResult(await wait(server.url, "--pid-file", path), {
    code: 1,
    stderr: `${path}: was removed`,
  });
  assertLess(ms, SLACK_MS);
});

Deno.test("wait aborts a probe when the process of the pidfile exits", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  await using server = rawServer((_) => {
    job.kill("SIGKILL");
    return Promise.resolve();
  });
  const { ms } = expectResult(await wait(server.url, "--pid-file", path), { code: 1 });
  assertLess(ms, SLACK_MS);
});

Deno.test("wait does not start without a running process in the pidfile", async () => {
  using dir = new TempDir();
  await using server = httpServer(() => new Response());
  const dead = await deadPid();
  const cases: [string, string][] = [
    [
      dir.write("dead.pid", String(dead)),
      `${dir.file("dead.pid")}: process ${dead} is not running`,
    ],
    [
      dir.write("bad.pid", "-1"),
      `${dir.file("bad.pid")}: does not contain a valid pid: it begins with "-1" (2 bytes)`,
    ],
  ];
  for (const [path, message] of cases) {
    const { ms } = expectResult(await wait(server.url, "--pid-file", path), {
      code: 1,
      stderr: message,
    });
    assertLess(ms, 200 + SLACK_MS);
  }
});

Deno.test("wait goes on through a restart", async () => {
  using dir = new TempDir();
  await using first = await fixture("exits_on_term");
  await using second = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(first.pid));
  await using server = httpServer((_, count) => {
    if (count === 1) Deno.writeTextFileSync(path, String(second.pid));
    if (count === 2) first.kill("SIGKILL");
    return new Response(null, { status: count < 5 ? 503 : 200 });
  });
  expectResult(
    await wait(
      server.url,
      "--pid-file",
      path,
      "--polling-frequency=150ms",
    ),
    { code: 0 },
  );
});

Deno.test("wait recognises a restart whose new process is still its start script", async () => {
  using dir = new TempDir();
  const go = dir.file("go");
  await using first = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  await using second = await Running.start("sh", [
    "-c",
    `echo ready; until [ -e ${go} ]; do :; done; exec sleep 600`,
  ]);
  const path = dir.write("web.pid", String(first.pid));
  await using server = httpServer(async (_, count) => {
    if (count > 1) return new Response();
    dir.write("web.pid", String(second.pid));
    first.kill("SIGKILL");
    await first.status;
    // It wakes two or three times for a look.
    const before = pauses(waiting.pid);
    await until(() => pauses(waiting.pid) >= before + 4, "it has looked");
    dir.write("go", "");
    return new Response(null, { status: 503 });
  });
  const options = ["--pid-file", path, "--exec", "/bin/sleep", "--polling-frequency=150ms"];
  const waiting = start(SIPID, ["wait-until-healthy", "--url", server.url, ...options]);
  expectResult(await waiting.result, { code: 0 });
});

Deno.test("wait fails if another server answers on the port of a process that has exited", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  await using server = httpServer(async () => {
    job.kill("SIGKILL");
    await job.status;
    return new Response("I am another one");
  });
  expectResult(await wait(server.url, "--pid-file", path), { code: 1, stderr: /has exited/ });
});

// --unix-socket

Deno.test("wait probes through a Unix socket", async () => {
  using dir = new TempDir();
  const path = dir.file("web.sock");
  let host: string | null = null;
  const server = Deno.serve({ path, onListen: () => {} }, (request) => {
    host = request.headers.get("host");
    return new Response(null, {
      status: new URL(request.url).pathname === "/health" ? 200 : 404,
    });
  });
  try {
    expectResult(await wait("http://web.internal/health", "--unix-socket", path), { code: 0 });
    assertEquals(host, "web.internal");
    const missing = dir.file("no.sock");
    expectResult(
      await wait(
        "http://w/",
        "--unix-socket",
        missing,
        ...BRIEFLY,
      ),
      { code: 1, stderr: `${missing}: does not exist` },
    );
  } finally {
    await server.shutdown();
  }
});

// Proxies

Deno.test("wait goes through the proxy of the environment, upper or lower case", async () => {
  const seen: string[] = [];
  await using proxy = rawServer(async (connection) => {
    seen.push((await readRequest(connection)).split("\r\n")[0]!);
    await writeAll(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  for (const name of ["HTTP_PROXY", "http_proxy"]) {
    for (const value of [proxy.url, `127.0.0.1:${proxy.port}`]) {
      expectResult(
        await waitWith(
          { [name]: value },
          "http://web.invalid/health",
          ...BRIEFLY,
        ),
        { code: 0 },
      );
    }
  }
  assertEquals(seen, Array(4).fill("GET http://web.invalid/health HTTP/1.1"));
  expectResult(
    await waitWith(
      { HTTPS_PROXY: proxy.url },
      "https://web.invalid/",
      ...BRIEFLY,
    ),
    { code: 1 },
  );
  assertStringIncludes(seen.at(-1)!, "CONNECT web.invalid:443");
});

Deno.test("wait never goes through a proxy to localhost or a loopback address", async () => {
  const { port } = new URL(`http://127.0.0.1:${closedPort()}`);
  const proxy = `http://127.0.0.1:${port}`;
  const env = {
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    ALL_PROXY: proxy,
    all_proxy: proxy,
  };
  await using server = httpServer(() => new Response());
  for (const host of ["127.0.0.1", "localhost", "127.1"]) {
    const url = `http://${host}:${server.port}/`;
    expectResult(await waitWith(env, url, ...BRIEFLY), { code: 0 });
  }
});

Deno.test("wait honours NO_PROXY", async () => {
  let proxied = 0;
  await using proxy = rawServer(async (connection) => {
    proxied++;
    await readRequest(connection);
    await writeAll(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  const env = { HTTP_PROXY: proxy.url, NO_PROXY: "web.invalid" };
  expectResult(await waitWith(env, "http://web.invalid/", ...BRIEFLY), { code: 1 });
  assertEquals(proxied, 0);
});

Deno.test("wait reports a proxy that is not a URL", async () => {
  const env = { HTTP_PROXY: "http://user:s3cret@[" };
  const { stderr } = expectResult(
    await waitWith(
      env,
      "http://web.invalid/",
      ...BRIEFLY,
    ),
    {
      code: 1,
      stderr: "HTTP_PROXY: is not the URL of an http, https or socks5 proxy; correct or unset it",
    },
  );
  assertNotMatch(stderr, /s3cret/);
});

// Wrong usage

const WRONG: [string[], string][] = [
  [
    ["--url", ":health.example.com/health"],
    "missing protocol scheme; did you mean http://health.example.com/health?",
  ],
  [["--url", "health.example.com/health"], "missing protocol scheme"],
  [
    ["--url", "localhost:8080/health"],
    "missing protocol scheme; did you mean http://localhost:8080/health?",
  ],
  [["--url", "ftp://example.com/"], 'unsupported scheme "ftp"; supported are http, https'],
  [["--url", "file:///etc/passwd"], 'unsupported scheme "file"'],
  [["--url", "http://"], "expected a URL such as"],
  [["--url", "http:///health"], "expected a URL such as"],
  [["--url", "http://a:99999/"], "expected a URL such as"],
  [["--url", "http://[::1/"], "expected a URL such as"],
  [["--url", ""], "missing value for --url"],
  [[], "expected --url, or a command after --"],
  [["--exec", "/bin/true", "--", "true"], "--exec needs --pid-file"],
  [
    ["--url", "http://a/", "--timeout", "0s"],
    'invalid --timeout "0s": expected more than 0s',
  ],
  [["--url", "http://a/", "--timeout", "-1s"], "must not be negative"],
  [["--url", "http://a/", "--timeout", "60"], "missing unit"],
  [["--url", "http://a/", "--timeout", "soon"], "expected a duration"],
  [["--url", "http://a/", "--timeout", "10000h"], "must not be longer than 576h"],
  [
    ["--url", "http://a/", "--polling-frequency", "0s"],
    "expected more than 0s",
  ],
  [["--url", "http://a/", "--cert", "a.pem"], "--cert and --key must be given together"],
  [["--url", "http://a/", "--key", "a.pem"], "--cert and --key must be given together"],
];
for (const [args, message] of WRONG) {
  Deno.test(`wait ${args.join(" ")} is wrong usage`, async () => {
    const { ms } = expectResult(
      await sipid(
        "wait-until-healthy",
        ...args,
      ),
      { code: 2, stdout: "", stderr: [message, "run 'sipid wait-until-healthy --help' for usage"] },
    );
    assertLess(ms, SLACK_MS);
  });
}

Deno.test("wait accepts every unit of Go's durations", async () => {
  const url = `http://127.0.0.1:${closedPort()}/`;
  for (
    const timeout of [
      "0.00001h",
      "0.0005m",
      "0.03s",
      "30ms",
      "30000us",
      "30000\u00b5s",
      "30000000ns",
    ]
  ) {
    const { ms } = expectResult(
      await wait(
        url,
        "--timeout",
        timeout,
        "--polling-frequency",
        "5ns",
      ),
      { code: 1 },
    );
    assertLess(ms, SLACK_MS);
  }
});
