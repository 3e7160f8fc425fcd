/** What an HTTP probe sends, expects and reports, on the compiled binary. */
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { closedPort, httpServer, rawServer, readRequest, writeAll } from "../servers.ts";
import { expectResult, type Result, run, SIPID, sipid, SLACK_MS, TempDir } from "../support.ts";

function wait(url: string, ...flags: string[]): Promise<Result> {
  return sipid("wait-until-healthy", "--url", url, ...flags);
}

const BRIEFLY = ["--timeout", "300ms", "--polling-frequency", "50ms"];

// --status

const STATUSES: [list: string, status: number, isHealthy: boolean][] = [
  ["204", 204, true],
  ["200,204", 204, true],
  ["200, 204", 204, true],
  ["200-299,401", 250, true],
  ["200-299,401", 401, true],
  ["200-299,401", 300, false],
  ["200-299,401", 400, false],
  ["204", 200, false],
  ["500-599", 503, true],
];
for (const [list, status, isHealthy] of STATUSES) {
  Deno.test(`--status '${list}' ${isHealthy ? "accepts" : "rejects"} ${status}`, async () => {
    await using server = httpServer(() => new Response(null, { status }));
    expectResult(await wait(server.url, "--status", list, ...BRIEFLY), {
      code: isHealthy ? 0 : 1,
      stderr: isHealthy ? " is healthy after " : `(expected ${list})\n`,
    });
  });
}

Deno.test("a redirect is followed unless its status is in the list", async () => {
  let followed = 0;
  await using server = httpServer((request) => {
    if (new URL(request.url).pathname === "/") {
      return new Response(null, { status: 302, headers: { location: "/there" } });
    }
    followed++;
    return new Response(null, { status: 401 });
  });
  expectResult(await wait(server.url, "--status", "302", ...BRIEFLY), { code: 0 });
  assertEquals(followed, 0);
  expectResult(await wait(server.url, "--status", "200,401", ...BRIEFLY), { code: 0 });
  assertEquals(followed, 1);
});

for (const list of ["", "2xx", "200,", "99", "600", "299-200", "200-", "200 204"]) {
  Deno.test(`--status '${list}' is wrong usage`, async () => {
    expectResult(await wait("http://127.0.0.1:2/", "--status", list), {
      code: 2,
      stderr: list === "" ? "missing value for --status" : "expected HTTP statuses such as 200,204",
    });
  });
}

// --header

Deno.test("--header is sent as often as it is given, and replaces what sipid sends itself", async () => {
  let sent = new Headers();
  await using server = httpServer((request) => {
    sent = request.headers;
    return new Response();
  });
  const headers = ["X-One: 1", "x-two:2", "X-Two:  3 ", "User-Agent: probe", "X-Empty:", "X-Ü: ü"];
  const flags = headers.slice(0, 5).flatMap((header) => ["--header", header]);
  expectResult(await wait(server.url, ...flags, "--header", "X-Utf: ü"), { code: 0 });
  assertEquals(sent.get("x-one"), "1");
  assertEquals(sent.get("x-two"), "2, 3");
  assertEquals(sent.get("user-agent"), "probe");
  assertEquals(sent.get("x-empty"), "");
  assertEquals(sent.get("x-utf"), "Ã¼"); // its two bytes in UTF-8
  expectResult(await wait(server.url, "--header", headers[5]!), { code: 2 });
});

Deno.test("--header 'Host: …' selects the virtual host", async () => {
  await using server = httpServer((request) =>
    new Response(null, { status: request.headers.get("host") === "web.internal" ? 200 : 404 })
  );
  expectResult(await wait(server.url, "--header", "Host: web.internal", ...BRIEFLY), { code: 0 });
  expectResult(await wait(server.url, ...BRIEFLY), { code: 1, stderr: "404 Not Found" });
});

const WRONG_HEADERS: [header: string, message: string][] = [
  ["s3cret", `invalid --header "...": expected 'NAME: VALUE'`],
  ["Authorization s3cret", `invalid --header "...": expected 'NAME: VALUE'`],
  [": s3cret", `invalid --header ":": expected 'NAME: VALUE'`],
  ["X-A: s3cret\r\nX-B: 1", `invalid --header "X-A:": control characters in the value of "X-A"`],
  ["Content-Length: s3cret", `"Content-Length" cannot be set`],
  ["transfer-encoding: s3cret", `"transfer-encoding" cannot be set`],
];
for (const [header, message] of WRONG_HEADERS) {
  Deno.test(`--header ${JSON.stringify(header)} is wrong usage, and is not printed`, async () => {
    const { stderr } = expectResult(await wait("http://127.0.0.1:2/", "--header", header), {
      code: 2,
      stderr: message,
    });
    assertNotMatch(stderr, /s3cret/);
  });
}

// What a redirect must not carry to another server

/** Two servers: the first redirects to the second; what the second got. */
async function redirected(
  url: (port: number) => string,
  ...flags: string[]
): Promise<{ readonly first: Headers; readonly second: Headers; readonly result: Result }> {
  let [first, second] = [new Headers(), new Headers()];
  await using other = httpServer((request) => {
    second = request.headers;
    return new Response();
  });
  await using server = httpServer((request) => {
    first = request.headers;
    return new Response(null, { status: 302, headers: { location: `${other.url}/there` } });
  });
  const result = await wait(url(server.port), ...flags);
  return { first, second, result };
}

Deno.test("a redirect to another port gets neither --header nor the URL's password", async () => {
  const { first, second, result } = await redirected(
    (port) => `http://admin:s3cret@127.0.0.1:${port}/`,
    "--header",
    "X-Token: s3cret",
    "--header",
    "User-Agent: probe",
  );
  expectResult(result, { code: 0 });
  assertEquals(first.get("x-token"), "s3cret");
  assertEquals(first.get("authorization"), `Basic ${btoa("admin:s3cret")}`);
  assertEquals(first.get("user-agent"), "probe");
  assertEquals([...second.values()].join().includes("s3cret"), false);
  assertEquals(second.get("x-token"), null);
  assertEquals(second.get("authorization"), null);
  assertEquals(second.get("user-agent")?.startsWith("sipid/"), true);
});

Deno.test("a redirect from another server back to the first gets no header either", async () => {
  const tokens: (string | null)[] = [];
  await using server = httpServer((request) => {
    tokens.push(request.headers.get("x-token"));
    const isBack = new URL(request.url).pathname === "/back";
    return isBack ? new Response() : new Response(null, {
      status: 302,
      headers: { location: other.url },
    });
  });
  await using other = httpServer(() =>
    new Response(null, { status: 302, headers: { location: `${server.url}/back` } })
  );
  expectResult(await wait(server.url, "--header", "X-Token: s3cret"), { code: 0 });
  assertEquals(tokens, ["s3cret", null]);
});

Deno.test("a redirect on the same server keeps headers and password", async () => {
  const seen: string[] = [];
  await using server = httpServer((request) => {
    const { headers, url } = request;
    seen.push(`${headers.get("x-token")} ${headers.get("authorization")}`);
    const isThere = new URL(url).pathname === "/there";
    return isThere ? new Response() : new Response(null, {
      status: 307,
      headers: { location: `${server.url}/there` },
    });
  });
  const url = server.url.replace("//", "//admin:p%40ss@");
  expectResult(await wait(url, "--header", "X-Token: s3cret"), { code: 0 });
  assertEquals(seen, Array(2).fill(`s3cret Basic ${btoa("admin:p@ss")}`));
});

Deno.test("an Authorization header of --header replaces the password of the URL", async () => {
  let authorization: string | null = null;
  await using server = httpServer((request) => {
    authorization = request.headers.get("authorization");
    return new Response();
  });
  const url = server.url.replace("//", "//admin:s3cret@");
  expectResult(await wait(url, "--header", "Authorization: Bearer x"), { code: 0 });
  assertEquals(authorization, "Bearer x");
});

// What messages name

Deno.test("the reason names the target of a redirect", async () => {
  const dead = `http://127.0.0.1:${closedPort()}/there?token=s3cret`;
  await using server = httpServer(() =>
    new Response(null, { status: 302, headers: { location: dead } })
  );
  const { stderr } = expectResult(await wait(server.url, ...BRIEFLY), {
    code: 1,
    stderr: `: ${dead.replace("s3cret", "xxxxx")}: connection refused\n`,
  });
  assertNotMatch(stderr, /s3cret/);
});

Deno.test("the reason names the target of a redirect that does not answer", async () => {
  await using silent = rawServer(async () => {});
  await using server = httpServer(() =>
    new Response(null, { status: 302, headers: { location: silent.url } })
  );
  expectResult(await wait(server.url, "--timeout", "500ms"), {
    code: 1,
    stderr: `: ${silent.url}/: no answer before the timeout of `,
  });
});

Deno.test("a long target of a redirect does not hide the reason", async () => {
  const dead = `http://127.0.0.1:${closedPort()}/${"a".repeat(10_000)}`;
  await using server = httpServer(() =>
    new Response(null, { status: 302, headers: { location: dead } })
  );
  const { stderr } = expectResult(await wait(server.url, ...BRIEFLY), {
    code: 1,
    stderr: /: http:\/\/127\.0\.0\.1:\d+\/a+\.\.\.a+: connection refused\n/,
  });
  assertLess(stderr.length, 2_000);
});

Deno.test("the reason names the proxy that refuses, without its password", async () => {
  const proxy = `http://user:s3cret@127.0.0.1:${closedPort()}`;
  const args = ["wait-until-healthy", "--url", "http://web.invalid/", ...BRIEFLY];
  const { stderr } = expectResult(
    await run(SIPID, args, { env: { HTTP_PROXY: proxy }, clearEnv: true }),
    { code: 1, stderr: `: proxy ${proxy.replace("s3cret", "xxxxx")}/: connection refused\n` },
  );
  assertNotMatch(stderr, /s3cret/);
});

for (
  const [answer, reason] of [
    ["403 Forbidden", "refused to connect to the host"],
    ["407 Proxy Authentication Required", "wrong or missing user name and password"],
  ]
) {
  Deno.test(`the reason names the proxy that answers CONNECT with ${answer}`, async () => {
    await using proxy = rawServer(async (connection) => {
      await readRequest(connection);
      await writeAll(connection, `HTTP/1.1 ${answer}\r\n\r\n`);
      connection.close();
    });
    const args = ["wait-until-healthy", "--url", "https://web.invalid/", ...BRIEFLY];
    expectResult(
      await run(SIPID, args, { env: { HTTPS_PROXY: proxy.url }, clearEnv: true }),
      { code: 1, stderr: `: proxy ${proxy.url}: ${reason}\n` },
    );
  });
}

Deno.test("the reason names the Unix socket", async () => {
  using dir = new TempDir();
  const cases: [path: string, reason: string][] = [
    [dir.file("none.sock"), "does not exist"],
    [dir.write("file.sock", ""), "connection refused"],
    [dir.file("file.sock/x"), "one of its parents is not a directory"],
    [dir.file("x".repeat(110)), "the path is longer than 107 bytes"],
  ];
  for (const [path, reason] of cases) {
    expectResult(await wait("http://web/", "--unix-socket", path, ...BRIEFLY), {
      code: 1,
      stderr: `: ${path}: ${reason}\n`,
    });
  }
});

Deno.test("HTTP/2 without TLS is named", async () => {
  await using server = rawServer(async (connection) => {
    const request = await readRequest(connection);
    // An empty SETTINGS frame; after anything but the preface, GOAWAY with PROTOCOL_ERROR as well.
    await writeAll(connection, "\0\0\0\x04\0\0\0\0\0");
    if (!request.startsWith("PRI ")) {
      await writeAll(connection, "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01");
    }
    connection.close();
  });
  expectResult(await wait(server.url, ...BRIEFLY), {
    code: 1,
    stderr: "HTTP/2 without TLS is not supported\n",
  });
});

Deno.test("what neither speaks HTTP nor HTTP/2 is not taken for HTTP/2", async () => {
  await using server = rawServer(async (connection) => {
    await readRequest(connection);
    await writeAll(connection, "220 mail.example ESMTP\r\n");
    connection.close();
  });
  expectResult(await wait(server.url, ...BRIEFLY), { code: 1, stderr: "the answer is not HTTP\n" });
});

Deno.test("secrets in the query of the URL are not printed", async () => {
  const url = `http://127.0.0.1:${closedPort()}/?deep=1&api_key=s3cret&Token=s3cret#x`;
  const { stderr } = expectResult(await wait(url, ...BRIEFLY), {
    code: 1,
    stderr: "/?deep=1&api_key=xxxxx&Token=xxxxx#x' was not healthy",
  });
  assertNotMatch(stderr, /s3cret/);
});

Deno.test("the password of a URL that is wrong usage is not printed", async () => {
  for (
    const url of ["http://u:s3cret@[", "ftp://u:s3cret@h/", "u:s3cret@h/", "http://u:s3/cret@h"]
  ) {
    const { stderr } = expectResult(await wait(url), { code: 2, stderr: "invalid --url" });
    assertNotMatch(stderr, /s3\/?cret/);
  }
});

Deno.test("success is reported with the number of attempts", async () => {
  await using server = httpServer((_, count) =>
    new Response(null, { status: count < 3 ? 503 : 200 })
  );
  expectResult(await wait(server.url, "--polling-frequency", "20ms"), {
    code: 0,
    stderr: /:\d+ is healthy after [\d.]+m?s \(3 attempts\)\n$/,
  });
});

// --successes and --probe-timeout

Deno.test("--successes asks for that many in a row", async () => {
  // Two, a failure, then three: the sixth probe is the third in a row.
  await using server = httpServer((_, count) =>
    new Response(null, { status: count === 3 ? 503 : 200 })
  );
  const begin = performance.now();
  const flags = ["--successes", "3", "--polling-frequency", "100ms"];
  const { stderr } = expectResult(await wait(server.url, ...flags), {
    code: 0,
    stderr: ["healthy 1 of 3 times in a row", "503 Service Unavailable", "(6 attempts)"],
  });
  // With a thousand there would be a thousand lines.
  assertNotMatch(stderr, /healthy 2 of 3/);
  assertGreaterOrEqual(performance.now() - begin, 500);
  assertLess(performance.now() - begin, 500 + SLACK_MS);
});

Deno.test("--successes that are not reached are the reason at the timeout", async () => {
  await using server = httpServer(() => new Response());
  expectResult(await wait(server.url, "--successes", "999999", "--timeout", "300ms"), {
    code: 1,
    stderr: "attempt) within 300ms: healthy 1 of 999999 times in a row",
  });
});

for (const count of ["0", "-1", "1.5", "x", "1000000"]) {
  Deno.test(`--successes ${count} is wrong usage`, async () => {
    expectResult(await wait("http://127.0.0.1:2/", "--successes", count), {
      code: 2,
      stderr: "expected a number from 1 to 999999",
    });
  });
}

Deno.test("--probe-timeout ends a probe that has no answer, and another follows", async () => {
  await using server = httpServer(async (_, count) => {
    if (count === 1) await new Promise((resolve) => setTimeout(resolve, 5_000));
    return new Response();
  });
  const { ms, stderr } = expectResult(
    await wait(server.url, "--probe-timeout", "300ms", "--polling-frequency", "100ms"),
    { code: 0, stderr: "no answer within 300ms" },
  );
  assertStringIncludes(stderr, "(2 attempts)");
  assertGreaterOrEqual(ms, 300);
  assertLess(ms, 300 + SLACK_MS);
});

Deno.test("--probe-timeout is 30s by default", async () => {
  const { stdout } = expectResult(await sipid("wait-until-healthy", "--help"), { code: 0 });
  assertStringIncludes(stdout.replace(/\s+/g, " "), "the limit of one probe (default 30s)");
});
