/** sipid wait-until-healthy over TLS, with an authority made here by openssl. */
import { httpServer, rawServer, readRequest, type Server, writeAll } from "../servers.ts";
import { Authority, openssl, type Pair } from "../certificates.ts";
import { expectResult, type Result, run, Running, SIPID, sipid, TempDir } from "../support.ts";

function tlsServer({ cert, key }: Pair): Server {
  return httpServer(() => new Response("fine"), {
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  });
}

function wait(url: string, ...flags: string[]): Promise<Result> {
  const briefly = ["--timeout", "1s", "--polling-frequency", "300ms"];
  return sipid("wait-until-healthy", "--url", url, ...briefly, ...flags);
}

Deno.test("wait does not trust an unknown authority", async () => {
  using authority = await Authority.create();
  await using server = tlsServer(await authority.sign("web"));
  expectResult(await wait(server.url), {
    code: 1,
    stderr:
      /attempts?\) within \w+: certificate signed by unknown authority; trust it with --ca-cert FILE\n/,
  });
});

Deno.test("wait trusts the authority of --ca-cert", async () => {
  using authority = await Authority.create();
  await using server = tlsServer(await authority.sign("web"));
  expectResult(await wait(server.url, "--ca-cert", authority.cert), { code: 0 });
});

Deno.test("wait trusts the certificates of the system's store", async () => {
  using authority = await Authority.create();
  await using server = tlsServer(await authority.sign("web"));
  // SSL_CERT_FILE is where the system's store is looked for, if it is set.
  expectResult(
    await run(SIPID, [
      "wait-until-healthy",
      "--url",
      server.url,
    ], {
      env: { SSL_CERT_FILE: authority.cert },
      clearEnv: true,
    }),
    { code: 0 },
  );
});

Deno.test("wait ignores certificate variables that name missing files", async () => {
  await using server = httpServer(() => new Response());
  const env = {
    SSL_CERT_FILE: "/no/such.pem",
    SSL_CERT_DIR: "/no/such",
    DENO_CERT: "/no/such",
    DENO_TLS_CA_STORE: "none",
  };
  const args = ["wait-until-healthy", "--url", server.url];
  expectResult(await run(SIPID, args, { env, clearEnv: true }), {
    code: 0,
    stderr: "ignoring SSL_CERT_FILE=/no/such.pem: no such file or directory",
  });
});

Deno.test("wait rejects a certificate of X.509 version 1, and that of an authority", async () => {
  using authority = await Authority.create();
  const web = await authority.sign("web");
  // Signed by its own key and without extensions.
  const v1 = { cert: authority.file("v1.pem"), key: web.key };
  const sign = ["x509", "-req", "-in", authority.file("web.csr"), "-signkey", v1.key];
  await openssl(...sign, "-out", v1.cert);
  const own = { cert: authority.cert, key: authority.file("ca.key") };
  await using server = tlsServer(own);
  expectResult(await wait(server.url, "--cert", v1.cert, "--key", v1.key), {
    code: 1,
    stderr: ": X.509 version 1 certificates are not supported\n",
  });
  expectResult(await wait(server.url, "--ca-cert", own.cert), {
    code: 1,
    stderr: ") within 1s: the server uses the certificate of an authority as its own\n",
  });
});

Deno.test("wait rejects a certificate for another host, and one that has expired", async () => {
  using authority = await Authority.create();
  const cases = [
    [
      await authority.sign("other", { san: "DNS:other.example" }),
      /certificate is not valid for the host 127\.0\.0\.1/,
    ],
    [await authority.sign("old", { days: "-1" }), /certificate has expired/],
  ] as const;
  for (const [pair, reason] of cases) {
    await using server = tlsServer(pair);
    expectResult(
      await wait(
        server.url,
        "--ca-cert",
        authority.cert,
      ),
      { code: 1, stderr: reason },
    );
  }
});

Deno.test("wait reports that the server does not speak TLS", async () => {
  await using server = rawServer(async (connection) => {
    await readRequest(connection);
    await writeAll(connection, "HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  expectResult(await wait(server.url.replace("http:", "https:")), {
    code: 1,
    stderr: /attempts?\) within \w+: the server does not speak TLS/,
  });
});

Deno.test("wait does mutual TLS with --cert and --key", async () => {
  using authority = await Authority.create();
  const [{ cert, key }, client] = [
    await authority.sign("web"),
    await authority.sign("client"),
  ];
  using others = await Authority.create();
  const outsider = await others.sign("outsider");
  await using server = await mutualTlsServer(authority.cert, cert, key);
  const trusting = ["--ca-cert", authority.cert];

  expectResult(
    await wait(
      server.url,
      ...trusting,
      "--cert",
      client.cert,
      "--key",
      client.key,
    ),
    { code: 0 },
  );

  expectResult(await wait(server.url, ...trusting), {
    code: 1,
    stderr: "the server requires a client certificate; use --cert and --key",
  });

  const expired = await authority.sign("expired", { days: "-1" });
  const identity = ["--cert", expired.cert, "--key", expired.key];
  expectResult(await wait(server.url, ...trusting, ...identity), {
    code: 1,
    stderr: "the server does not accept the client certificate, which has expired\n",
  });

  expectResult(
    await wait(
      server.url,
      ...trusting,
      "--cert",
      outsider.cert,
      "--key",
      outsider.key,
    ),
    { code: 1, stderr: "the server does not accept the client certificate" },
  );
});

/** A server that demands a client certificate: openssl's own, since Deno's cannot. */
async function mutualTlsServer(
  ca: string,
  cert: string,
  key: string,
): Promise<Server> {
  const args = [
    "s_server",
    "-accept",
    "127.0.0.1:0",
    "-www",
    "-naccept",
    "100",
  ];
  const running = await Running.start("openssl", [
    ...args,
    "-cert",
    cert,
    "-key",
    key,
    "-CAfile",
    ca,
    "-Verify",
    "1",
    "-verify_return_error",
  ], { awaited: "ACCEPT.*", stderr: "null" });
  const port = Number((await running.line(/^ACCEPT .*:(\d+)$/m))[1]);
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

Deno.test("wait reports at once which certificate or key it cannot use", async () => {
  using authority = await Authority.create();
  const { cert, key } = await authority.sign("web");
  const other = await authority.sign("other");
  const garbage = authority.write("garbage.pem", "no PEM");
  const hollow = authority.write(
    "hollow.pem",
    "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n",
  );
  const trusted = authority.file("trusted.pem");
  await openssl("x509", "-in", authority.cert, "-trustout", "-out", trusted);
  const missing = authority.file("missing.pem");
  const badKey = authority.write(
    "bad.key",
    Deno.readTextFileSync(hollow).replaceAll("CERTIFICATE", "PRIVATE KEY"),
  );
  const encrypted = authority.file("encrypted.key");
  await openssl("ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", encrypted);
  // Without a writer, opening it for reading blocks for ever.
  const fifo = authority.file("fifo.pem");
  expectResult(await run("mkfifo", [fifo]), { code: 0 });
  const special = "is not a regular file; write the PEM to a file";
  const cases: [string[], string][] = [
    [["--ca-cert", missing], `cannot read ${missing}: no such file or directory`],
    [["--ca-cert", authority.path], `cannot read ${authority.path}: is a directory`],
    [["--ca-cert", fifo], `cannot read ${fifo}: ${special}`],
    [["--ca-cert", "/dev/zero"], `cannot read /dev/zero: ${special}`],
    [["--cert", fifo, "--key", key], `cannot read ${fifo}: ${special}`],
    [["--cert", cert, "--key", fifo], `cannot read ${fifo}: ${special}`],
    [["--ca-cert", garbage], `${garbage}: contains no "BEGIN CERTIFICATE"; use a PEM file`],
    [["--ca-cert", trusted], `${trusted}: contains no "BEGIN CERTIFICATE"`],
    [["--ca-cert", key], `${key}: contains no "BEGIN CERTIFICATE"`],
    [["--ca-cert", hollow], `${hollow}: cannot be used as an authority: a certificate is damaged`],
    [["--cert", cert, "--key", cert], `${cert}: contains no "BEGIN PRIVATE KEY"`],
    [["--cert", cert, "--key", garbage], `${garbage}: contains no "BEGIN PRIVATE KEY"`],
    [["--cert", hollow, "--key", key], "a certificate is damaged"],
    [["--cert", cert, "--key", badKey], "the key is damaged or of an unsupported kind"],
    [
      ["--cert", cert, "--key", encrypted],
      `${encrypted}: the key is encrypted; decrypt it with openssl pkey`,
    ],
    [
      ["--cert", cert, "--key", other.key],
      `${cert}, ${other.key}: cannot be used as certificate and key: they do not belong together`,
    ],
  ];
  for (const [flags, message] of cases) {
    expectResult(await wait("https://127.0.0.1:2/", ...flags), { code: 1, stderr: message });
  }
});

Deno.test("wait reports that the system's certificates cannot be loaded", async () => {
  using dir = new TempDir();
  const args = ["wait-until-healthy", "--url", "https://127.0.0.1:2/", "--timeout", "1s"];
  expectResult(await run(SIPID, args, { env: { SSL_CERT_FILE: dir.path } }), {
    code: 1,
    stderr:
      "cannot load the system's certificates; correct or unset SSL_CERT_FILE and SSL_CERT_DIR",
  });
  const fifo = dir.file("fifo.pem");
  expectResult(await run("mkfifo", [fifo]), { code: 0 });
  expectResult(await run(SIPID, args, { env: { SSL_CERT_FILE: fifo } }), {
    code: 1,
    stderr: `cannot read ${fifo}: is a FIFO; correct or unset SSL_CERT_FILE`,
  });
});

Deno.test("the reason names the target of a redirect whose certificate is not trusted", async () => {
  using authority = await Authority.create();
  await using target = tlsServer(await authority.sign("web"));
  await using server = httpServer(() =>
    new Response(null, { status: 302, headers: { location: `${target.url}/there` } })
  );
  expectResult(await wait(server.url), {
    code: 1,
    stderr: `: ${target.url}/there: certificate signed by unknown authority; ` +
      "trust it with --ca-cert FILE\n",
  });
});

Deno.test("the client certificate is not shown to another server after a redirect", async () => {
  using authority = await Authority.create();
  const [{ cert, key }, client] = [await authority.sign("web"), await authority.sign("client")];
  await using target = await mutualTlsServer(authority.cert, cert, key);
  await using server = httpServer(
    () => new Response(null, { status: 302, headers: { location: target.url } }),
    { cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) },
  );
  const identity = ["--cert", client.cert, "--key", client.key];
  const flags = ["--ca-cert", authority.cert, ...identity];
  expectResult(await wait(target.url, ...flags), { code: 0 });
  expectResult(await wait(server.url, ...flags), {
    code: 1,
    stderr: `: ${target.url}/: the server requires a client certificate; use --cert and --key\n`,
  });
});

Deno.test("an https proxy does not get the client certificate", async () => {
  using authority = await Authority.create();
  const [{ cert, key }, client] = [await authority.sign("web"), await authority.sign("client")];
  await using proxy = await mutualTlsServer(authority.cert, cert, key);
  const flags = ["--ca-cert", authority.cert, "--cert", client.cert, "--key", client.key];
  const waitProxied = (url: string): Promise<Result> =>
    run(SIPID, ["wait-until-healthy", "--url", url, ...flags, "--timeout", "1s"], {
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url },
    });
  // It demands one, and does not get it.
  expectResult(await waitProxied("http://web.invalid/"), {
    code: 1,
    stderr: "the server requires a client certificate",
  });
  expectResult(await waitProxied("https://web.invalid/"), {
    code: 1,
    stderr: "HTTPS_PROXY: an https proxy would get the client certificate of --cert too; " +
      "use an http proxy, or NO_PROXY\n",
  });
});

Deno.test("https: an address of the other family is tried if one refuses", async () => {
  using authority = await Authority.create();
  const { cert, key } = await authority.sign("web", { san: "DNS:localhost" });
  const hosts = authority.write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  const script = `mount --bind ${hosts} /etc/hosts; exec "$@"`;
  for (const hostname of ["127.0.0.1", "::1"]) {
    await using server = httpServer(() => new Response("fine"), {
      cert: Deno.readTextFileSync(cert),
      key: Deno.readTextFileSync(key),
      hostname,
    });
    const url = `https://localhost:${server.port}/`;
    const sipid = [SIPID, "wait-until-healthy", "--url", url, "--ca-cert", authority.cert];
    expectResult(
      await run("unshare", ["--mount", ...user, "sh", "-euc", script, "sh", ...sipid]),
      { code: 0 },
    );
  }
});

Deno.test("https over a Unix socket is refused: it would be plain text", async () => {
  using dir = new TempDir();
  const path = dir.file("web.sock");
  expectResult(await wait("https://web/", "--unix-socket", path), {
    code: 2,
    stderr: "--unix-socket needs an http --url",
  });
  const server = Deno.serve(
    { path, onListen: () => {} },
    () => new Response(null, { status: 302, headers: { location: "https://web/there" } }),
  );
  expectResult(await wait("http://web/", "--unix-socket", path), {
    code: 1,
    stderr: ": https://web/there: TLS over a Unix socket is not supported\n",
  });
  await server.shutdown();
});
