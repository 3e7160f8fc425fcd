/** The parsers and the words of lib/health. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { authorizationOf, parseHeader, redactHeader } from "../../lib/health/headers.ts";
import { reasonOf } from "../../lib/health/reasons.ts";
import { parseStatuses } from "../../lib/health/statuses.ts";
import { parseHealthUrl, redactUrl } from "../../lib/health/url.ts";

Deno.test("parseHealthUrl() tells the kinds of URLs apart", () => {
  const http = parseHealthUrl("HTTP://Example.com:8080/health");
  assert(http.kind === "http");
  assertEquals(http.url.href, "http://example.com:8080/health");
  assertEquals(http.shown, "HTTP://Example.com:8080/health");
  assertEquals(parseHealthUrl("tcp://localhost:6379"), {
    kind: "tcp",
    hostname: "localhost",
    port: 6379,
    shown: "tcp://localhost:6379",
  });
  assertEquals(parseHealthUrl("tcp://[::1]:22/"), {
    kind: "tcp",
    hostname: "::1",
    port: 22,
    shown: "tcp://[::1]:22/",
  });
  // Port 80 is the default of http, and a port like any other of tcp.
  assertEquals(parseHealthUrl("tcp://h:80"), {
    kind: "tcp",
    hostname: "h",
    port: 80,
    shown: "tcp://h:80",
  });
  assertEquals(parseHealthUrl("unix:///run/a%20b.sock"), {
    kind: "unix",
    path: "/run/a%20b.sock",
    shown: "unix:///run/a%20b.sock",
  });
});

Deno.test("redactUrl() hides passwords and secrets of the query, and nothing else", () => {
  const cases: [url: string, shown: string][] = [
    ["http://h/", "http://h/"],
    ["http://h/a@b:c@d", "http://h/a@b:c@d"],
    ["http://u@h/", "http://u@h/"],
    ["http://u:p@h/", "http://u:xxxxx@h/"],
    ["http://u:p%40q@h/?a=b", "http://u:xxxxx@h/?a=b"],
    ["http://:p@h/", "http://:xxxxx@h/"],
    ["http://h/?token=t&a=b#c", "http://h/?token=xxxxx&a=b#c"],
    ["http://h/?a=b&X-Amz-Signature=s", "http://h/?a=b&X-Amz-Signature=xxxxx"],
    ["http://h/?monkey=1", "http://h/?monkey=1"],
    ["http://u:p@[", "http://u:xxxxx@["],
    ["u:p@h", "u:xxxxx@h"],
    ["http://u:p@q@h/", "http://u:xxxxx@h/"],
    ["http://u@v:p@h/", "http://u%40v:xxxxx@h/"],
    ["http:u:p@h/", "http://u:xxxxx@h/"],
    [" http:\\\\u:p\t@h\\a", "http://u:xxxxx@h/a"],
    ["http://h/?pass=s&bypass=1", "http://h/?pass=xxxxx&bypass=xxxxx"],
    ["http://h/?api-key=s;access_key=s", "http://h/?api-key=xxxxx;access_key=xxxxx"],
    ["http://h/?%74oken=s&100%=1", "http://h/?%74oken=xxxxx&100%=1"],
    ["http://h/cb#access_token=s&state=1", "http://h/cb#access_token=xxxxx&state=1"],
    ["http://h/?next=%2Fa%3Ftoken%3Ds&a=b", "http://h/?next=xxxxx&a=b"],
    ["http://h/?next=%252Fa%253Ftoken%253Ds", "http://h/?next=xxxxx"],
    ["http://h/?next=%2Fa%3Fb%3Dc", "http://h/?next=%2Fa%3Fb%3Dc"],
    ["/run/x?token=s", "/run/x?token=xxxxx"],
  ];
  for (const [url, shown] of cases) assertEquals(redactUrl(url), shown, url);
});

Deno.test("parseStatuses() reads statuses and ranges", () => {
  const { text, includes } = parseStatuses("200-204, 301,599");
  assertEquals(text, "200-204, 301,599");
  const all = Array.from({ length: 1_000 }, (_, status) => status).filter(includes);
  assertEquals(all, [200, 201, 202, 203, 204, 301, 599]);
  for (const wrong of ["", ",", "2", "2000", "204-200", "-200", "200-", "200;204", "600"]) {
    assertThrows(() => parseStatuses(wrong), UsageError);
  }
});

Deno.test("parseHeader() trims the value, and its errors do not repeat it", () => {
  assertEquals(parseHeader("X-A:  b c "), { name: "X-A", value: "b c" });
  assertEquals(parseHeader("X-A: b:c"), { name: "X-A", value: "b:c" });
  assertEquals(parseHeader("X-A:"), { name: "X-A", value: "" });
  for (const wrong of ["s3cret", "X A: s3cret", "X-A: s3cret\nB: c", "Upgrade: s3cret"]) {
    const { message } = assertThrows(() => parseHeader(wrong), UsageError);
    assertEquals(message.includes("s3cret") || redactHeader(wrong).includes("s3cret"), false);
  }
});

Deno.test("authorizationOf() decodes the user name and password of a URL", () => {
  const of = (url: string): string | undefined => authorizationOf(new URL(url));
  assertEquals(of("http://h/"), undefined);
  assertEquals(of("http://u:p%3Aq@h/"), `Basic ${btoa("u:p:q")}`);
  assertEquals(of("http://u:%25@h/"), `Basic ${btoa("u:%")}`);
  assertEquals(of("http://u:100%@h/"), `Basic ${btoa("u:100%")}`);
  assertEquals(of("http://u@h/"), `Basic ${btoa("u:")}`);
});

Deno.test("reasonOf() names the peer of a connection, and not of an answer", () => {
  const sending = "error sending request for url (http://refused.example/expired): client error";
  const refused = new TypeError(`${sending} (Connect): tcp connect error: Connection refused`);
  assertEquals(reasonOf(refused), "connection refused");
  assertEquals(reasonOf(refused, "proxy http://p"), "proxy http://p: connection refused");
  const garbage = new TypeError(`${sending} (SendRequest): invalid HTTP version parsed`);
  assertEquals(reasonOf(garbage, "proxy http://p"), "the answer is not HTTP");
  const words = (message: string): string => reasonOf(new TypeError(`${sending} ${message}`));
  assertEquals(
    words("(SendRequest): invalid content-length parsed"),
    "the answer has an invalid Content-Length",
  );
  assertEquals(
    words("(SendRequest): message head is too large"),
    "the answer has more than 100 headers, or too long ones",
  );
  assertEquals(
    reasonOf(new Error("Protocol wrong type for socket (os error 91)")),
    "it is not a stream socket",
  );
  assertEquals(words("(SendRequest): connection reset"), "connection reset by the server");
  const alert = "(Connect): received fatal alert: ";
  const refusal = "the server does not accept the client certificate";
  assertEquals(words(`${alert}CertificateExpired`), `${refusal}, which has expired`);
  assertEquals(words(`${alert}UnsupportedCertificate`), refusal);
  assertEquals(
    words(`${alert}HandshakeFailure`),
    "the server ended the TLS handshake: HandshakeFailure",
  );
  assertEquals(words("(Connect): invalid peer certificate: Expired"), "certificate has expired");
  assertEquals(reasonOf(new AggregateError([refused, refused])), "connection refused");
  assertEquals(
    reasonOf(new AggregateError([refused, new Error("Network is unreachable (os error 101)")])),
    "connection refused; network is unreachable",
  );
});
