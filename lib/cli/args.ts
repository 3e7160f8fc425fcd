/**
 * The command line as one declarative table: parsing comes from it here, the help texts in
 * usage.ts.
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../errors.ts";
import { suggest } from "./suggest.ts";

/** One flag of a command. `T` is what the command gets for it. */
export interface Flag<T> {
  /** How its value is called in the usage, such as `PID_FILE`; undefined for a switch. */
  readonly value: string | undefined;
  /** What it is for, in a few words. */
  readonly help: string;
  /** Whether the command cannot do without it. */
  readonly required: boolean;
  /** The text that is parsed when the flag is not given. */
  readonly default: string | undefined;
  /**
   * Makes a value of the text.
   *
   * @throws {UsageError} what is wrong, as a sentence without its subject, the flag */
  readonly parse: (text: string) => T;
}

/** The flags of a command by their names, without the dashes. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What a command gets: one value for each flag. */
export type Values<F extends Flags> = {
  readonly [name in keyof F]: F[name] extends Flag<infer T> ? T : never;
};

/** One command. */
export interface Command extends Declared {
  /** What it is called by. */
  readonly name: string;
  /** What it does, in one sentence without a full stop. */
  readonly purpose: string;
}

/** What a command's own file says of it. */
export interface Declared {
  /** Its own flags; those of `COMMON_FLAGS` come on top. */
  readonly flags: Flags;
  /** The words after the flags; undefined where it takes none. */
  readonly operands?: Operands;
  /** Exit statuses, or ranges of them, and what they mean. */
  readonly statuses: Readonly<Record<string, string>>;
  /** Two calls as a script has them. */
  readonly examples: readonly string[];
  /**
   * Does it.
   *
   * @returns the exit status
   */
  readonly run: (values: Values<Flags>, operands: readonly string[]) => Promise<number>;
}

/** The words after the flags, which end at the first of them. */
export interface Operands {
  /** As the usage shows them, such as `PID_FILE COMMAND [ARG ...]`. */
  readonly usage: string;
  /** How many there must be at least. */
  readonly least: number;
  /** How many there may be at most; undefined where there is no end to them. */
  readonly most?: number;
  /** The words the first one may be; undefined for any. */
  readonly choices?: () => readonly string[];
}

/** Declares a command; `run` gets the values of its own flags, with their types. */
export function command<F extends Flags>(
  declared: Omit<Declared, "flags" | "run"> & {
    readonly flags: F;
    readonly run: (values: Values<F>, operands: readonly string[]) => Promise<number>;
  },
): Declared {
  // The values are made from the same flags, so the narrower type is the true one.
  return declared as unknown as Declared;
}

/** The flags that every command has. */
export const COMMON_FLAGS = {
  quiet: flagSwitch("say nothing but errors"),
  help: flagSwitch("show this help"),
} as const;

/** A flag that takes a value, before it is decided what holds where it is not given. */
export interface ValueFlag<T> {
  /** It must be given. */
  required(): Flag<T>;
  /** Undefined where it is not given. */
  optional(): Flag<T | undefined>;
  /** The parsed `text` where it is not given. */
  or(text: string): Flag<T>;
}

/** A flag that takes a value, parsed by `parse`. */
export function flag<T>(
  value: string,
  help: string,
  parse: (text: string) => T,
): ValueFlag<T> {
  const base = { value, help, parse, required: false, default: undefined };
  return {
    required: () => ({ ...base, required: true }),
    optional: () => base,
    or: (text) => ({ ...base, default: text }),
  };
}

/** A flag that is there or not; `--flag=false` is the same as leaving it out. */
export function flagSwitch(help: string): Flag<boolean> {
  return {
    value: undefined,
    help,
    required: false,
    default: "false",
    parse: parseSwitch,
  };
}

/** The words Go's flag package takes for true and false. */
function parseSwitch(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new UsageError(`is a switch: it takes true or false, not "${text}"`);
}

/** A command line, taken apart. */
export type Parsed =
  | { readonly help: true }
  | {
    readonly help: false;
    readonly quiet: boolean;
    readonly values: Values<Flags>;
    readonly operands: readonly string[];
  };

/**
 * Takes a command line apart.
 *
 * Taken are `--flag value`, `--flag=value` and, because scripts for the original use it, Go's
 * single dash.
 *
 * @param args what follows the command's name
 * @throws {UsageError} unknown, incomplete or missing flags, values that do not parse, operands
 */
export function parse({ flags: own, operands: taken }: Declared, args: readonly string[]): Parsed {
  const flags: Flags = { ...own, ...COMMON_FLAGS };
  const names = Object.keys(flags);
  const { words, operands, help } = split(flags, args);
  if (help) return { help };
  const given = parseArgs(words, { string: names });
  const values: Record<string, unknown> = {};
  for (const name of names) values[name] = valueOf(name, flags[name]!, given[name]);
  checkOperands(taken ?? { usage: "", least: 0, most: 0 }, operands);
  return { help, quiet: values.quiet === true, values, operands };
}

function checkOperands(
  { usage, least, most = Infinity, choices }: Operands,
  operands: readonly string[],
): void {
  if (operands.length > most) throw new UsageError(`unexpected operand "${operands[most]}"`);
  if (operands.length < least) throw new UsageError(`operands are missing: ${usage}`);
  const [first] = operands;
  const known = choices?.();
  if (first === undefined || known === undefined || known.includes(first)) return;
  const nearest = suggest(first, known);
  throw new UsageError(`there is no "${first}"${nearest || `; there are ${known.join(", ")}`}`);
}

function valueOf(
  name: string,
  { required, default: fallback, parse }: Flag<unknown>,
  given?: string,
): unknown {
  if (given === undefined && required) throw new UsageError(`--${name} is missing`);
  const text = given ?? fallback;
  if (text === undefined) return undefined;
  if (text === "") throw new UsageError(`--${name} needs a value`);
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`--${name} ${error.message}`);
    throw error;
  }
}

/**
 * The flags, each in one word as `--flag=value`, and the operands, of which the first ends the
 * flags. Only in one word does a value that begins with a dash, such as -100, come out whole.
 */
function split(
  flags: Flags,
  args: readonly string[],
): { words: string[]; operands: readonly string[]; help: boolean } {
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") return { words, operands: args.slice(i + 1), help: false };
    // A dash alone is an operand, as everywhere.
    if (!arg.startsWith("-") || arg === "-") {
      return { words, operands: args.slice(i), help: false };
    }
    const [start, equals] = [arg.startsWith("--") ? 2 : 1, arg.indexOf("=")];
    const name = arg.slice(start, equals < 0 ? undefined : equals);
    const value = equals < 0 ? undefined : arg.slice(equals + 1);
    if (arg === "-h" || (name === "help" && value === undefined)) {
      return { words, operands: [], help: true };
    }
    if (!Object.hasOwn(flags, name)) {
      const nearest = suggest(`--${name}`, Object.keys(flags).map((it) => `--${it}`));
      const typed = name === "" ? arg : arg.slice(0, start + name.length);
      throw new UsageError(`unknown flag ${typed}${nearest}`);
    }
    if (value !== undefined) words.push(`--${name}=${value}`);
    else if (flags[name]!.value === undefined) words.push(`--${name}=true`);
    else if (i + 1 < args.length) words.push(`--${name}=${args[++i]}`);
    else throw new UsageError(`--${name} needs a value`);
  }
  return { words, operands: [], help: false };
}
