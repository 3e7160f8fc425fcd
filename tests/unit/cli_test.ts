import { assertEquals, assertThrows } from "@std/assert";
import { parse as parseCommand } from "../../lib/cli/args.ts";
import { command, flag, flagSwitch } from "../../lib/cli/command.ts";
import { suggestion } from "../../lib/cli/suggest.ts";
import { UsageError } from "../../lib/errors.ts";

const number = (text: string): number => {
  if (!/^-?\d+$/.test(text)) throw new UsageError("expected a number");
  return Number(text);
};
const FLAGS = {
  "count": flag("N", "how many", number).required(),
  "size": flag("N", "how large", number).or("3"),
  "name": flag("NAME", "what for", (text) => text).optional(),
  "add": flag("N", "one more", number).repeated(),
  "loud": flagSwitch("say more", "l"),
};
const COMMAND = command({
  flags: FLAGS,
  statuses: {},
  examples: [],
  run: () => Promise.resolve(0),
});
const WITH_OPERANDS = { ...COMMAND, operands: { usage: "FILE COMMAND [ARG ...]", min: 2 } };

/** Returns the values of the command's own flags. */
function parse(...args: string[]): Record<string, unknown> {
  const parsed = parseCommand(COMMAND, args);
  if (parsed.help) return { help: true };
  const { help: _help, quiet: _quiet, ...values } = parsed.values;
  return values;
}

const EXPECTED = { count: 1, size: 3, name: undefined, add: [], loud: false };

Deno.test("parse() returns each flag's value, its default, or undefined", () => {
  assertEquals(parse("--count", "1"), EXPECTED);
  assertEquals(parse("--count=1", "--name=x=y"), { ...EXPECTED, name: "x=y" });
  assertEquals(parse("--count", "1", "--size", "4"), { ...EXPECTED, size: 4 });
  assertEquals(parse("--count", "1", "--"), EXPECTED);
});

Deno.test("parse() accepts Go's single dash and values that begin with a dash", () => {
  assertEquals(parse("-count", "-5", "-size=4"), { ...EXPECTED, count: -5, size: 4 });
  assertEquals(parse("--count", "1", "--name", "--lou"), { ...EXPECTED, name: "--lou" });
  assertEquals(parse("--count", "1", "--name=--loud"), { ...EXPECTED, name: "--loud" });
  assertEquals(parse("--count", "1", "--name=--"), { ...EXPECTED, name: "--" });
  assertEquals(parse("--count", "1", "--name", "a\n-b="), { ...EXPECTED, name: "a\n-b=" });
});

Deno.test("parse() turns switches on and off with Go's words, and by their letter", () => {
  for (const on of ["--loud", "-loud", "-l", "--loud=true", "-loud=1", "-l=T", "--loud=TRUE"]) {
    assertEquals(parse("--count=1", on), { ...EXPECTED, loud: true }, on);
  }
  for (const off of ["--loud=false", "-loud=0", "-l=F", "--loud=False"]) {
    assertEquals(parse("--count=1", "--loud", off), EXPECTED, off);
  }
});

Deno.test("parse() takes the last value of a flag, and each value of a repeated one", () => {
  assertEquals(parse("--count=2", "--count", "1"), EXPECTED);
  assertEquals(parse("--count=1", "--add", "1", "-add=-2", "--add=1"), {
    ...EXPECTED,
    add: [1, -2, 1],
  });
});

Deno.test("parse() reads -q and --quiet as one flag", () => {
  for (const [args, quiet] of [[[], false], [["-q"], true], [["--quiet"], true]] as const) {
    const parsed = parseCommand(COMMAND, ["--count=1", ...args]);
    assertEquals(!parsed.help && parsed.quiet, quiet);
  }
});

Deno.test("parse() says what is wrong", () => {
  const wrong: [string[], string][] = [
    [[], "missing required flag --count"],
    [["x", "--count", "1"], 'unexpected operand "x"'],
    [["--count"], "missing value for --count"],
    [["--count="], "missing value for --count"],
    [["--count", ""], "missing value for --count"],
    // The value was a variable that is not set.
    [["--count", "1", "--name", "--loud"], "missing value for --name"],
    [["--count", "1", "--name", "-size=4"], "missing value for --name"],
    [["--count", "1", "--name", "-q"], "missing value for --name"],
    [["--count", "1", "--name", "--help"], "missing value for --name"],
    [["--count", "1", "--name", "--"], "missing value for --name"],
    [["--count", "x"], 'invalid --count "x": expected a number'],
    [["--count", "x", "--count", "1"], 'invalid --count "x": expected a number'],
    [["--count", "1", "--add", "1", "--add", "x"], 'invalid --add "x": expected a number'],
    [["--count", "1", "--loud=perhaps"], 'invalid --loud "perhaps": expected true or false'],
    [["--count", "1", "--loud="], "missing value for --loud"],
    [["--count", "1", "--cuont=1"], "unknown flag --cuont"],
    [["--count", "1", "--no-loud"], "unknown flag --no-loud"],
    [["--count", "1", "--no-loud=1"], "unknown flag --no-loud"],
    [["--count", "1", "--toString"], "unknown flag --toString"],
    [["--count", "1", "--__proto__=x"], "unknown flag --__proto__"],
    [["--count", "1", "--l"], "unknown flag --l"],
    [["--count", "1", "-lx"], "unknown flag -lx"],
    [["--count", "1", "---"], "unknown flag ---"],
    [["--count", "1", "x"], 'unexpected operand "x"'],
    [["--count", "1", "--loud", "true"], 'unexpected operand "true"'],
    [["--count", "1", "--", "--loud"], 'unexpected operand "--loud"'],
  ];
  for (const [args, message] of wrong) {
    const { message: actual } = assertThrows(() => parse(...args), UsageError);
    assertEquals(actual, message, args.join(" "));
  }
});

Deno.test("parse() shows the redacted text of an invalid value", () => {
  const flags = {
    "url": flag("URL", "where", number, (text) => text.replace("s3cret", "x")).or("1"),
  };
  const { message } = assertThrows(
    () => parseCommand({ ...COMMAND, flags }, ["--url", "a:s3cret@b"]),
    UsageError,
  );
  assertEquals(message, 'invalid --url "a:x@b": expected a number');
});

Deno.test("parse() finds --help and -h among other flags, whatever is missing", () => {
  assertEquals(parse("--help"), { help: true });
  assertEquals(parse("--loud", "-h"), { help: true });
  assertEquals(parse("--count", "1", "--name=--help").name, "--help");
});

Deno.test("parse() leaves everything from the first operand on as it is", () => {
  const operandsOf = (...args: string[]): readonly string[] => {
    const parsed = parseCommand(WITH_OPERANDS, ["--count=1", ...args]);
    return parsed.help ? ["help"] : parsed.operands;
  };
  const words = ["file", "cmd", "--loud", "--help", "-h", "--", "", "-", "--unknown=1", "007"];
  assertEquals(operandsOf(...words), words);
  assertEquals(operandsOf("--", ...words), words);
  assertEquals(operandsOf("--loud", "1", "2.0"), ["1", "2.0"]);
  assertEquals(operandsOf("--", "--loud", "cmd"), ["--loud", "cmd"]);
  assertThrows(
    () => operandsOf("file"),
    UsageError,
    "missing operands: expected FILE COMMAND [ARG ...]",
  );
});

Deno.test("parse() accepts only the listed choices as the first operand", () => {
  const choices = { what: "shell", list: () => ["bash", "zsh"] };
  const definition = {
    ...COMMAND,
    flags: {},
    operands: { usage: "SHELL", min: 1, max: 1, choices },
  };
  assertEquals(parseCommand(definition, ["zsh"]).help, false);
  const { message, typo } = assertThrows(() => parseCommand(definition, ["zhs"]), UsageError);
  assertEquals(message, 'unknown shell "zhs": expected bash, zsh');
  assertEquals(typo, { typed: "zhs", known: ["bash", "zsh"] });
});

Deno.test("suggestion() names the nearest word, and none for one that is not near", () => {
  const known = ["claim", "kill", "status"];
  for (const [typed, word] of [["calim", "claim"], ["KILL", "kill"], ["statsu", "status"]]) {
    assertEquals(suggestion({ typed: typed!, known }), `; did you mean ${word}?`);
  }
  for (const typed of ["stop", "x", "", "clamber"]) assertEquals(suggestion({ typed, known }), "");
});
