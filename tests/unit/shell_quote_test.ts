import { assertEquals, assertNotEquals } from "@std/assert";
import { printable, shellQuote, UNPRINTABLE } from "../../lib/shell_quote.ts";
import { run } from "../support.ts";

Deno.test("printable() escapes control characters, line separators and bidirectional controls", () => {
  assertEquals(printable("a\n\x1b[2J\x7f b"), "a\\x0a\\x1b[2J\\x7f b");
  assertEquals(
    printable("\u0085\u009b\u2028\u2029\u202e\u2066"),
    "\\u0085\\u009b\\u2028\\u2029\\u202e\\u2066",
  );
  assertEquals(printable("ü 日本 '\\"), "ü 日本 '\\");
});

Deno.test("shellQuote() leaves a word alone that no shell changes", () => {
  for (const word of ["/run/web.pid", "web-1.2_3", "http://127.0.0.1:80/a,b+c%20@d", "--pid=17"]) {
    assertEquals(shellQuote(word), word);
  }
});

Deno.test("shellQuote() quotes what a shell would split, expand or remove", () => {
  assertEquals(shellQuote("/run/my web.pid"), "'/run/my web.pid'");
  assertEquals(shellQuote("it's"), "'it'\\''s'");
  assertEquals(shellQuote(""), "''");
  assertEquals(shellQuote("~/web.pid"), "'~/web.pid'");
  assertEquals(shellQuote("=ls"), "'=ls'");
  assertEquals(shellQuote("a\nb's"), "$'a\\x0ab\\'s'");
});

Deno.test("bash and zsh read back every character that shellQuote() quotes", async () => {
  const ascii = Array.from({ length: 127 }, (_, k) => String.fromCharCode(k + 1)).join("");
  const texts = [ascii, "", "ü /é", "\u0085\u009b2J", "\u2028\u202e\u2069", "a'b\\", "x\x1b[2J\ty"];
  const script = `printf '%s\\0' ${texts.map(shellQuote).join(" ")}`;
  for (const shell of ["bash", "zsh"]) {
    const env = { LC_ALL: "C.UTF-8" };
    const { stdout, stderr } = await run(shell, ["-c", script], { env });
    assertEquals(stdout.split("\0").slice(0, -1), texts, stderr);
  }
});

Deno.test("shellQuote() gives nothing unprintable", () => {
  for (let code = 0; code < 0x3000; code++) {
    const quoted = shellQuote(String.fromCharCode(code));
    assertNotEquals(quoted, "");
    assertEquals(quoted.search(UNPRINTABLE), -1, `U+${code.toString(16)}`);
  }
});
