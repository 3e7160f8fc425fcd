import { assertEquals, assertThrows } from "@std/assert";
import {
  command,
  flag,
  flagSwitch,
  parse as parseCommand,
  type Parsed,
} from "../../lib/cli/args.ts";
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
const COMMAND = command({
  flags: FLAGS,
  statuses: {},
  examples: [],
  run: () => Promise.resolve(0),
});
const PROXY = { ...COMMAND, operands: { usage: "FILE COMMAND [ARG ...]", least: 2 } };

function parse(...args: string[]): Record<string, unknown> {
  const parsed = parseCommand(COMMAND, args);
  if (parsed.help) return { help: true };
  const { help: _help, quiet: _quiet, ...values } = parsed.values;
  return values;
}

Deno.test("parse() gives each flag its value, its default or undefined", () => {
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

Deno.test("parse() says what is wrong", () => {
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

Deno.test("parse() finds --help and -h where a flag can stand, whatever is missing", () => {
  assertEquals(parse("--help"), { help: true });
  assertEquals(parse("--loud", "-h"), { help: true });
  assertEquals(parse("--count", "1", "--name", "--help").name, "--help");
});

Deno.test("parse() leaves everything from the first operand on untouched", () => {
  const operandsOf = (...args: string[]): readonly string[] => {
    const parsed: Parsed = parseCommand(PROXY, ["--count=1", ...args]);
    return parsed.help ? ["help"] : parsed.operands;
  };
  const words = ["file", "cmd", "--loud", "--help", "-h", "--", "", "-", "--unknown=1"];
  assertEquals(operandsOf(...words), words);
  assertEquals(operandsOf("--", ...words), words);
  assertEquals(operandsOf("--", "--loud", "cmd"), ["--loud", "cmd"]);
  assertThrows(() => operandsOf("file"), UsageError, "operands are missing: FILE COMMAND [ARG");
});
