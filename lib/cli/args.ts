/** The parser of a command line, from what the command declares. */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../errors.ts";
import {
  COMMON_FLAGS,
  type Definition,
  type Entry,
  type Flag,
  type Flags,
  type Operands,
  type Values,
} from "./command.ts";

/** A parsed command line. */
export type Parsed =
  | { readonly help: true }
  | {
    readonly help: false;
    readonly quiet: boolean;
    readonly values: Values<Flags>;
    readonly operands: readonly string[];
  };

/**
 * Parses a command line: `--flag value` or `--flag=value`, with one dash or two as in Go. If a flag
 * that is not repeated is given twice, the last one counts, as in Go.
 *
 * @param args the words after the command's name
 * @param commands the table, for operands that are names of commands
 * @throws {UsageError} unknown, incomplete or missing flags, invalid values, wrong operands
 */
export function parse(
  definition: Definition,
  args: readonly string[],
  commands: readonly Entry[] = [],
): Parsed {
  const flags: Flags = { ...definition.flags, ...COMMON_FLAGS };
  const names = Object.keys(flags);
  const isSwitch = (name: string): boolean => flags[name]!.placeholder === undefined;
  const given = parseArgs(rewrite(flags, args), {
    boolean: names.filter(isSwitch),
    string: names.filter((name) => !isSwitch(name)),
    collect: names.filter((name) => !isSwitch(name)),
    "--": true,
  });
  if (given.help === true) return { help: true };
  // Before the flags: those that follow an operand by mistake would be reported as missing.
  const operands = given["--"];
  checkOperands(definition.operands ?? { usage: "", min: 0, max: 0 }, operands, commands);
  const entries = names.map((name) => {
    const texts = given[name]!;
    return [name, typeof texts === "boolean" ? texts : valueOf(name, flags[name]!, texts)];
  });
  const quiet = given.quiet === true;
  const values = { ...Object.fromEntries(entries), quiet };
  return { help: false, quiet, values, operands };
}

/**
 * Rewrites what Go's flag package accepts and parseArgs does not: long flags with a single dash,
 * values that begin with a dash, and all of Go's words for true and false. `--` goes before the
 * first operand, so that nothing after it is taken for a flag or a number.
 *
 * @throws {UsageError} a value is missing, or a flag unknown; parseArgs would read --no-quiet=1 as
 *   --quiet=1
 */
function rewrite(flags: Flags, args: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") return [...words, ...args.slice(i)];
    // A dash alone is an operand: by convention, standard input.
    if (!arg.startsWith("-") || arg === "-") return [...words, "--", ...args.slice(i)];
    const [, typed, value] = /^(--?[^=]*)(?:=(.*))?$/s.exec(arg)!;
    const [name, flag] = findFlag(flags, typed!);
    if (flag.placeholder !== undefined) {
      words.push(`--${name}=${value ?? valueFrom(flags, name, args[++i] ?? "")}`);
    } else if (value === undefined) words.push(`--${name}`);
    else words.push(`--${name}=${parseValue(name, flag, value)}`);
  }
  return words;
}

/**
 * Returns the word after a flag as its value. Unlike in Go, another flag is not a value, unless
 * after an equals sign: `sipid kill --pid-file $UNSET --group` would find no pidfile of that name,
 * and succeed.
 *
 * @throws {UsageError} the word is a flag, or `--`
 */
function valueFrom(flags: Flags, name: string, word: string): string {
  if (word === "--" || matchFlag(flags, word.replace(/=.*/s, "")) !== undefined) {
    throw new UsageError(`missing value for --${name}`);
  }
  return word;
}

/** Finds the flag for `--name`, `-name` or `-letter`. */
function findFlag(flags: Flags, typed: string): readonly [string, Flag<unknown>] {
  const found = matchFlag(flags, typed);
  if (found !== undefined) return found;
  const known = Object.keys(flags).map((name) => `--${name}`);
  throw new UsageError(`unknown flag ${typed}`, { typed: typed.replace(/^-+/, "--"), known });
}

function matchFlag(flags: Flags, typed: string): readonly [string, Flag<unknown>] | undefined {
  return Object.entries(flags).find(([name, { letter }]) =>
    typed === `--${name}` || typed === `-${name}` || typed === `-${letter}`
  );
}

function valueOf(name: string, flag: Flag<unknown>, given: readonly string[]): unknown {
  if (given.length === 0 && flag.isRequired) {
    throw new UsageError(`missing required flag --${name}`);
  }
  const texts = given.length === 0 && flag.default !== undefined ? [flag.default] : given;
  const values = texts.map((text) => parseValue(name, flag, text));
  return flag.isRepeated ? values : values.at(-1);
}

function parseValue(name: string, flag: Flag<unknown>, text: string): unknown {
  if (text === "") throw new UsageError(`missing value for --${name}`);
  try {
    return flag.parse(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`invalid --${name} "${flag.redact(text)}": ${error.message}`, error.typo);
  }
}

function checkOperands(
  { usage, min, max = Infinity, choices }: Operands,
  operands: readonly string[],
  commands: readonly Entry[],
): void {
  if (operands.length > max) throw new UsageError(`unexpected operand "${operands[max]}"`);
  if (operands.length < min) throw new UsageError(`missing operands: expected ${usage}`);
  const [typed] = operands;
  if (typed === undefined || choices === undefined) return;
  const known = choices.list(commands);
  if (known.includes(typed)) return;
  const message = `unknown ${choices.what} "${typed}": expected ${known.join(", ")}`;
  throw new UsageError(message, { typed, known });
}
