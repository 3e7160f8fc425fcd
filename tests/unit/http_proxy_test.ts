import { assertEquals, assertRejects } from "@std/assert";
import { CommandError } from "../../lib/errors.ts";
import { proxyFor, takeProxySettings } from "../../lib/health/http_proxy.ts";

const SETTINGS = { http: "http://proxy:3128", https: "proxy-tls:3128", no: "" };

function proxy(url: string, no = ""): Promise<string | undefined> {
  return proxyFor(new URL(url), { ...SETTINGS, no });
}

Deno.test("proxyFor() returns the proxy of the URL's scheme, with http if it has none itself", async () => {
  assertEquals(await proxy("http://example.com/"), "http://proxy:3128");
  assertEquals(await proxy("https://example.com/"), "http://proxy-tls:3128");
  assertEquals(
    await proxyFor(new URL("http://example.com/"), { http: "", https: "", no: "" }),
    undefined,
  );
});

Deno.test("proxyFor() returns none for localhost and loopback addresses", async () => {
  for (
    const host of [
      "localhost",
      "LOCALHOST",
      "127.0.0.1",
      "127.8.9.10",
      "127.1",
      "0x7f000001",
      "[::1]",
      "[::ffff:127.0.0.1]",
    ]
  ) {
    assertEquals(await proxy(`http://${host}:8080/`), undefined, host);
  }
});

Deno.test("proxyFor() honours NO_PROXY as Go does", async () => {
  const cases: [string, string, boolean][] = [
    ["*", "http://example.com/", true],
    ["example.com", "http://example.com/", true],
    ["example.com", "http://www.example.com/", true],
    ["example.com", "http://notexample.com/", false],
    [".example.com", "http://example.com/", false],
    [".example.com", "http://www.example.com/", true],
    ["*.example.com", "http://www.example.com/", true],
    ["*.example.com", "http://example.com/", false],
    ["EXAMPLE.com", "http://example.com/", true],
    ["other.com, example.com", "http://example.com/", true],
    ["other.com,,", "http://example.com/", false],
    ["example.com:8080", "http://example.com:8080/", true],
    ["example.com:8080", "http://example.com/", false],
    ["example.com:80", "http://example.com/", true],
    ["example.com:443", "https://example.com/", true],
    ["10.0.0.1", "http://10.0.0.1/", true],
    ["10.0.0.1", "http://10.0.0.10/", false],
    ["10.0.0.1:80", "http://10.0.0.1/", true],
    ["10.0.0.1:81", "http://10.0.0.1/", false],
    ["10.0.0.0/8", "http://10.200.3.4/", true],
    ["10.0.0.0/8", "http://11.0.0.1/", false],
    ["10.0.0.0/8", "http://ten.example.com/", false],
    ["10.0.0.0/99", "http://10.0.0.1/", false],
    ["10.0.0.0/x", "http://10.0.0.1/", false],
    ["fd00::/8", "http://[fd00::17]/", true],
    ["fd00::/8", "http://[fe80::17]/", false],
    ["fd00::0017", "http://[fd00::17]/", true],
    ["[fd00::17]", "http://[fd00::17]/", true],
    ["[fd00::17]:80", "http://[fd00::17]/", true],
    ["[fd00::17]:81", "http://[fd00::17]/", false],
    // IPv4-mapped IPv6 addresses are IPv4 addresses.
    ["10.0.0.1", "http://[::ffff:10.0.0.1]/", true],
    ["10.0.0.1", "http://[::ffff:a00:2]/", false],
    ["10.0.0.0/8", "http://[::ffff:10.200.3.4]/", true],
    ["10.0.0.0/8", "http://[::ffff:11.0.0.1]/", false],
    ["::ffff:10.0.0.1", "http://10.0.0.1/", true],
    ["::ffff:10.0.0.1", "http://10.0.0.2/", false],
    ["[::ffff:10.0.0.1]:80", "http://10.0.0.1/", true],
    ["::ffff:10.0.0.0/104", "http://10.200.3.4/", true],
    ["::ffff:10.0.0.0/104", "http://11.0.0.1/", false],
    ["::ffff:10.0.0.0/104", "http://[::ffff:10.200.3.4]/", true],
    ["::ffff:10.0.0.0/95", "http://10.0.0.1/", false],
    ["::/0", "http://[::ffff:10.0.0.1]/", false],
    ["::/0", "http://[fd00::1]/", true],
  ];
  for (const [no, url, direct] of cases) {
    assertEquals(await proxy(url, no) === undefined, direct, `NO_PROXY=${no} ${url}`);
  }
});

Deno.test("proxyFor() rejects what is not the URL of a proxy, and does not show it", async () => {
  for (const http of ["http://u:s3cret@[", "ftp://u:s3cret@proxy:21"]) {
    const error = await assertRejects(
      () => proxyFor(new URL("http://example.com/"), { ...SETTINGS, http }),
      CommandError,
      "HTTP_PROXY: is not the URL of an http, https or socks5 proxy",
    );
    assertEquals(error.message.includes("s3cret"), false);
  }
});

Deno.test("takeProxySettings() prefers upper case and leaves nothing for the runtime", () => {
  const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const name of names) Deno.env.set(name, name === "HTTPS_PROXY" ? "" : `value of ${name}`);
    assertEquals(takeProxySettings(), {
      http: "value of HTTP_PROXY",
      https: "value of https_proxy",
      no: "value of NO_PROXY",
    });
    for (const name of names) assertEquals(Deno.env.get(name), undefined);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});
