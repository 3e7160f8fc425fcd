/** Health checks of tcp:// and unix:// URLs and of hosts with several addresses. */
import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { closedPort, fullServer, httpServer, rawServer } from "../servers.ts";
import {
  expectResult,
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

const BRIEFLY = ["--timeout", "300ms", "--polling-frequency", "50ms"];

/** Runs sipid with this file as /etc/hosts. */
function withHosts(hosts: string, ...args: string[]): Promise<Result> {
  return inNamespace({ "/etc/hosts": hosts }, [], [SIPID, "wait-until-healthy", ...args]);
}

async function inNamespace(
  files: Record<string, string>,
  unshare: readonly string[],
  command: readonly string[],
): Promise<Result> {
  using dir = new TempDir();
  const mounts = Object.entries(files).map(([path, content], i) =>
    `mount --bind '${dir.write(`${i}`, content)}' ${path}\n`
  );
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  const script = `${mounts.join("")}exec "$@"`;
  return await run("unshare", [
    "--mount",
    ...user,
    ...unshare,
    "sh",
    "-euc",
    script,
    "sh",
    ...command,
  ]);
}

// tcp://

Deno.test("a TCP port that accepts is healthy at once, and gets nothing but a connection", async () => {
  const received: (number | null)[] = [];
  await using server = rawServer(async (connection) => {
    received.push(await connection.read(new Uint8Array(10)));
  });
  const { ms } = expectResult(await wait(`tcp://127.0.0.1:${server.port}`), {
    code: 0,
    stderr: `tcp://127.0.0.1:${server.port} is healthy after `,
  });
  assertLess(ms, SLACK_MS);
  assertEquals(received, [null]);
});

Deno.test("a TCP port is probed until it accepts", async () => {
  const port = closedPort();
  const url = `tcp://127.0.0.1:${port}/`;
  const args = ["wait-until-healthy", "--url", url, "--polling-frequency", "20ms"];
  // It is refused before anything listens.
  await using waiting = await Running.start("sh", ["-c", 'exec "$0" "$@" 2>&1', SIPID, ...args], {
    awaited: `.*: waiting for ${url}: connection refused`,
  });
  using _listener = Deno.listen({ hostname: "127.0.0.1", port });
  expectResult(await waiting.result(), { code: 0 });
});

Deno.test("a TCP port that refuses is not healthy", async () => {
  const url = `tcp://127.0.0.1:${closedPort()}`;
  expectResult(await wait(url, ...BRIEFLY), {
    code: 1,
    stderr: new RegExp(
      `healthcheck unhealthy \\(url '${url}' was not healthy after \\d attempts?\\) within \\d+m?s: connection refused`,
    ),
  });
});

Deno.test("tcp:// takes IPv6 addresses in brackets", async () => {
  using listener = Deno.listen({ hostname: "::1", port: 0 });
  expectResult(await wait(`tcp://[::1]:${listener.addr.port}`), { code: 0 });
});

Deno.test("a full TCP backlog does not delay the deadline", async () => {
  await using server = await fullServer();
  const { ms } = expectResult(
    await wait(`tcp://127.0.0.1:${server.port}`, "--timeout", "700ms"),
    { code: 1, stderr: /1 attempt\) within \w+: no connection before the timeout of 700ms\n/ },
  );
  assertGreaterOrEqual(ms, 700);
  assertLess(ms, 700 + SLACK_MS);
});

Deno.test("a full TCP backlog is probed again after --probe-timeout", async () => {
  await using server = await fullServer();
  const flags = ["--timeout", "1s", "--probe-timeout", "100ms", "--polling-frequency", "150ms"];
  expectResult(await wait(`tcp://127.0.0.1:${server.port}`, ...flags), {
    code: 1,
    stderr: /after [3-7] attempts\) within \w+: no connection within 100ms\n/,
  });
});

// unix://

Deno.test("a Unix socket that accepts is healthy", async () => {
  using dir = new TempDir();
  using _listener = Deno.listen({ transport: "unix", path: dir.file("a b.sock") });
  const url = `unix://${dir.file("a b.sock")}`;
  expectResult(await wait(url), { code: 0, stderr: `${url} is healthy after ` });
});

Deno.test("a Unix socket that does not accept is not healthy, and the reason says why", async () => {
  using dir = new TempDir();
  const full = dir.file("full.sock");
  await using _full = await fullServer(full);
  const cases: [path: string, reason: string][] = [
    [dir.file("none.sock"), "does not exist"],
    [dir.write("file", ""), "connection refused"],
    [full, "nothing accepts connections (the backlog is full)"],
  ];
  for (const [path, reason] of cases) {
    const { ms } = expectResult(await wait(`unix://${path}`, ...BRIEFLY), {
      code: 1,
      stderr: `) within 300ms: ${reason}\n`,
    });
    assertGreaterOrEqual(ms, 300);
    assertLess(ms, 300 + SLACK_MS);
  }
});

Deno.test("HTTP over a Unix socket that nobody accepts on meets its deadline", async () => {
  using dir = new TempDir();
  const path = dir.file("deaf.sock");
  using _listener = Deno.listen({ transport: "unix", path });
  const { ms } = expectResult(
    await wait("http://web/", "--unix-socket", path, "--timeout", "700ms"),
    { code: 1, stderr: `: ${path}: no answer before the timeout of 700ms\n` },
  );
  assertGreaterOrEqual(ms, 700);
  assertLess(ms, 700 + SLACK_MS);
});

// Several addresses

for (const scheme of ["tcp", "http"]) {
  Deno.test(`${scheme}: an address of the other family is tried if one refuses`, async () => {
    for (const hostname of ["127.0.0.1", "::1"]) {
      await using server = httpServer(() => new Response(), { hostname });
      const hosts = "127.0.0.1 localhost\n::1 localhost\n";
      const url = `${scheme}://localhost:${server.port}/`;
      const { ms } = expectResult(await withHosts(hosts, "--url", url), { code: 0 });
      assertLess(ms, SLACK_MS);
    }
  });

  Deno.test(`${scheme}: an address that accepts is found beside one that is silent`, async () => {
    let host: string | null = null;
    // Whichever comes first: each of the two addresses is silent once.
    for (const [silent, alive] of [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]]) {
      await using server = httpServer((request) => {
        host = request.headers.get("host");
        return new Response();
      }, { hostname: alive! });
      await using _full = await fullServer(silent, server.port);
      const hosts = "127.0.0.1 web.test\n127.0.0.2 web.test\n";
      const url = `${scheme}://web.test:${server.port}/`;
      const { ms } = expectResult(await withHosts(hosts, "--url", url), { code: 0 });
      assertLess(ms, 250 + SLACK_MS);
      if (scheme === "http") assertEquals(host, `web.test:${server.port}`);
    }
  });
}

Deno.test("the reasons of all addresses are reported, each once", async () => {
  const url = `tcp://web.test:${closedPort()}`;
  const hosts = "127.0.0.1 web.test\n127.0.0.2 web.test\n::1 web.test\n";
  expectResult(await withHosts(hosts, "--url", url, ...BRIEFLY), {
    code: 1,
    stderr: ") within 300ms: connection refused\n",
  });
});

// Name servers

/** Brings the loopback interface of a new network namespace up, and listens on the DNS port. */
const SILENT_NAME_SERVER = `use Socket; $^F = 255;
  socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
  my $request = pack("a16sx22", "lo", 1); # struct ifreq, IFF_UP
  ioctl($s, 0x8914, $request) or die $!; # SIOCSIFFLAGS
  bind($s, pack_sockaddr_in(53, INADDR_LOOPBACK)) or die $!;
  exec @ARGV`;

/** Waits where the name server never answers. */
function withoutNames(...command: string[]): Promise<Result> {
  const files = {
    "/etc/resolv.conf": "nameserver 127.0.0.1\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/hosts": "",
  };
  return inNamespace(files, ["--net"], ["perl", "-e", SILENT_NAME_SERVER, ...command]);
}

for (const scheme of ["tcp", "http", "https"]) {
  const sipid = [SIPID, "wait-until-healthy", "--url", `${scheme}://web.test:8080`];
  Deno.test(`${scheme}: a name server that never answers does not delay the deadline`, async () => {
    const { ms } = expectResult(await withoutNames(...sipid, "--timeout", "700ms"), {
      code: 1,
      stderr: /1 attempt\) within \w+: no (answer|connection) before the timeout of 700ms\n/,
    });
    assertGreaterOrEqual(ms, 700);
    assertLess(ms, 700 + SLACK_MS);
  });

  Deno.test(`${scheme}: lookups without an answer do not pile up from probe to probe`, async () => {
    // Each one blocks a thread of the runtime, which has 32: without one it can print nothing.
    const flags = ["--timeout", "3s", "--probe-timeout", "10ms", "--polling-frequency", "10ms"];
    expectResult(await withoutNames(...sipid, ...flags), {
      code: 1,
      stderr: /after \d{2,3} attempts\) within \w+: no (answer|connection) within 10ms\n/,
    });
  });
}

/** An HTTP server on port 8080 that redirects each request to another name. */
const REDIRECTS = `use Socket;
  socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
  bind($s, pack_sockaddr_in(8080, INADDR_LOOPBACK)) and listen($s, 8) or die $!;
  while (accept(my $c, $s)) {
    sysread($c, my $request, 4096);
    syswrite($c, "HTTP/1.1 302 F\\r\\nLocation: http://h" . ++$n . ".test/\\r\\n\\r\\n");
    close($c);
  }`;

Deno.test("lookups of ever new names, to which a server redirects, do not pile up either", async () => {
  const flags = ["--timeout", "3s", "--probe-timeout", "20ms", "--polling-frequency", "10ms"];
  const sipid = [SIPID, "wait-until-healthy", "--url", "http://127.0.0.1:8080/", ...flags];
  const script = 'perl -e "$0" & "$@"; status=$?; kill $!; exit $status';
  expectResult(await withoutNames("sh", "-c", script, REDIRECTS, ...sipid), {
    code: 1,
    stderr: /after \d{2,3} attempts\) within \w+: http:\/\/h\d+\.test\/: no answer within 20ms\n/,
  });
});

Deno.test("lookups of a proxy's name do not pile up either", async () => {
  const flags = ["--timeout", "3s", "--probe-timeout", "10ms", "--polling-frequency", "10ms"];
  const sipid = [SIPID, "wait-until-healthy", "--url", "http://10.0.0.1/", ...flags];
  const proxy = "HTTP_PROXY=http://proxy.test:3128";
  expectResult(await withoutNames("env", proxy, ...sipid), {
    code: 1,
    stderr: ") within 3s: proxy http://proxy.test:3128: no answer within 10ms\n",
  });
});

// Wrong usage

const WRONG: [args: string[], message: string][] = [
  [["--url", "tcp://127.0.0.1"], "expected tcp://HOST:PORT, such as tcp://127.0.0.1:6379"],
  [["--url", "tcp://127.0.0.1:0"], "expected tcp://HOST:PORT"],
  [["--url", "tcp://127.0.0.1:65536"], "expected tcp://HOST:PORT"],
  [["--url", "tcp://::1:80"], "expected tcp://HOST:PORT"],
  [["--url", "tcp://127.0.0.1:80/x"], "expected tcp://HOST:PORT"],
  [["--url", "tcp://u:s3cret@127.0.0.1:80"], "expected tcp://HOST:PORT"],
  [["--url", "unix://run/web.sock"], "expected unix:///PATH"],
  [["--url", "unix:///run/"], "expected unix:///PATH"],
  [
    ["--url", "udp://127.0.0.1:53"],
    'unsupported scheme "udp"; supported are http, https, tcp, unix',
  ],
  ...[
    ["--status", "200"],
    ["--header", "X-A: b"],
    ["--unix-socket", "/run/web.sock"],
    ["--ca-cert", "ca.pem"],
    ["--cert", "cert.pem"],
    ["--key", "key.pem"],
  ].flatMap((flag): [string[], string][] => [
    [["--url", "tcp://127.0.0.1:80", ...flag], `${flag[0]} needs an http or https --url`],
    [["--url", "unix:///run/web.sock", ...flag], `${flag[0]} needs an http or https --url`],
    [[...flag, "--", "true"], `${flag[0]} needs an http or https --url`],
  ]),
  [
    ["--url", "tcp://127.0.0.1:80", "--", "true"],
    "--url and a command cannot be given together",
  ],
  // A header that was not quoted: its value is taken for a command, and is not printed.
  [["--url", "http://h/", "--header", "X-Key:", "s3cret"], "cannot be given together"],
  [
    ["--url", "unix:/run/web.sock"],
    "expected http://HOST, https://HOST, tcp://HOST:PORT or unix:///PATH",
  ],
  [["--url", " http:\\\\u:s3cret@h/"], "expected http://HOST"],
];
for (const [args, message] of WRONG) {
  Deno.test(`wait ${args.join(" ")} is a usage error`, async () => {
    const { stderr } = expectResult(await sipid("wait-until-healthy", ...args), {
      code: 2,
      stdout: "",
      stderr: message,
    });
    assertEquals(stderr.includes("s3cret"), false);
  });
}

Deno.test("tcp:// ignores the proxies of the environment", async () => {
  await using server = rawServer(async () => {});
  const proxy = `http://127.0.0.1:${closedPort()}`;
  const args = ["wait-until-healthy", "--url", `tcp://127.0.0.1:${server.port}`, ...BRIEFLY];
  expectResult(await run(SIPID, args, { env: { HTTP_PROXY: proxy, ALL_PROXY: proxy } }), {
    code: 0,
  });
});
