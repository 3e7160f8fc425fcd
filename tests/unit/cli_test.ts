// @ts-types="../../toolchain/std/assert.d.ts"
import { assertEquals, assertThrows } from "@std/assert";
import { flag, flagSwitch, parseFlags } from "../../lib/cli.ts";
import { UsageError } from "../../lib/errors.ts";

const number = (text: string): number => {
  if (!/^-?\d+$/.test(text)) throw new UsageError("is no number");
  return Number(text);
};
const FLAGS = {
  "count": flag("N", "how many", number).required(),
  "size": flag("N", "how large", number).or("3"),
  "name": flag("NAME", "what for", (text) => text).optional(),
  "loud": flagSwitch("say more"),
};
const parse = (...args: string[]) => parseFlags(FLAGS, args);

Deno.test("parseFlags() gives each flag its value, its default or undefined", () => {
  const expected = { count: 1, size: 3, name: undefined, loud: false };
  assertEquals(parse("--count", "1"), expected);
  assertEquals(parse("--count=1", "--loud", "--name=x=y"), {
    ...expected,
    loud: true,
    name: "x=y",
  });
  assertEquals(parse("-count", "-5", "-size=4", "-loud=false"), {
    ...expected,
    count: -5,
    size: 4,
  });
  assertEquals(parse("--count", "1", "--name", "--loud"), { ...expected, name: "--loud" });
  assertEquals(parse("--count", "1", "--name", "a\nb"), { ...expected, name: "a\nb" });
  assertEquals(parse("--count", "1", "--"), expected);
});

Deno.test("parseFlags() says what is wrong", () => {
  const wrong: [string[], string][] = [
    [[], "--count is missing"],
    [["--count"], "--count needs a value"],
    [["--count="], "--count needs a value"],
    [["--count", "x"], "--count is no number"],
    [["--count", "1", "--size", "x"], "--size is no number"],
    [
      ["--count", "1", "--loud=perhaps"],
      '--loud is a switch: it takes true or false, not "perhaps"',
    ],
    [["--count", "1", "--cuont", "1"], "unknown flag --cuont"],
    [["--count", "1", "--no-loud"], "unknown flag --no-loud"],
    [["--count", "1", "--toString"], "unknown flag --toString"],
    [["--count", "1", "---"], "unknown flag ---"],
    [["--count", "1", "x"], 'unexpected operand "x"'],
    [["--count", "1", "--", "--loud"], 'unexpected operand "--loud"'],
  ];
  for (const [args, message] of wrong) {
    assertThrows(() => parse(...args), UsageError, message);
  }
});
