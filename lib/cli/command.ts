/** What a command declares: its flags, operands and exit statuses. Parser, help and docs read it. */
import { UsageError } from "../errors.ts";

/** A flag of a command. `T` is the type of its value. */
export interface Flag<T> {
  /** The name of its value in the usage, such as `PID_FILE`; undefined for a switch. */
  readonly placeholder: string | undefined;
  /** What it does, in a phrase. */
  readonly help: string;
  /** The letter it can be written with: `q` for `-q`. */
  readonly letter?: string;
  /** Whether the command fails without it. */
  readonly isRequired: boolean;
  /** Whether it may be given several times, for a list of values; otherwise the last one counts. */
  readonly isRepeated: boolean;
  /** The text that is parsed if the flag is not given. */
  readonly default: string | undefined;
  /**
   * Returns the value for a text.
   *
   * @throws {UsageError} what was expected, to follow `invalid --flag "text": `
   */
  readonly parse: (text: string) => T;
  /** Returns a text as messages show it: without its secrets. */
  readonly redact: (text: string) => string;
  /** The words that a shell offers for its value; undefined if there are none to choose from. */
  readonly words?: readonly string[];
}

/** A flag whose value is a list, empty if it is not given. */
export interface RepeatedFlag<T> extends Flag<T> {
  /** Always true, which distinguishes the two types. */
  readonly isRepeated: true;
}

/** The flags of a command by name, without dashes. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** The values of a command's flags. */
export type Values<F extends Flags> =
  & {
    readonly [name in keyof F]: F[name] extends RepeatedFlag<infer T> ? readonly T[]
      : F[name] extends Flag<infer T> ? T
      : never;
  }
  & { readonly quiet: boolean };

/** A line of the table of commands. A command's file is loaded when the command is called. */
export interface Entry {
  /** The name on the command line. */
  readonly name: string;
  /** What the command does, in an imperative sentence without the full stop. */
  readonly summary: string;
  /** Loads the command. */
  readonly load: () => Promise<Command>;
}

/** A command with its name. */
export interface Command extends Definition, Pick<Entry, "name" | "summary"> {}

/** What a command's own file declares. */
export interface Definition {
  /** Its own flags, without `COMMON_FLAGS`. */
  readonly flags: Flags;
  /** The words after the flags; undefined if it takes none. */
  readonly operands?: Operands;
  /** The meaning of its exit statuses, by status or range of statuses. */
  readonly statuses: Readonly<Record<string, string>>;
  /** Two calls as they stand in a script. */
  readonly examples: readonly string[];
  /**
   * Runs the command.
   *
   * @param commands the table, for commands that show it
   * @returns the exit status
   */
  readonly run: (
    values: Values<Flags>,
    operands: readonly string[],
    commands: readonly Entry[],
  ) => Promise<number>;
}

/** The words after the flags. The first of them ends the flags, or `--` does. */
export interface Operands {
  /** How the usage shows them, such as `PID_FILE COMMAND [ARG ...]`. */
  readonly usage: string;
  /** The least number of them. */
  readonly min: number;
  /** The greatest number of them; undefined if there is no limit. */
  readonly max?: number;
  /** What the first one can be, if not any word. */
  readonly choices?: Choices;
}

/** A fixed set of operands. */
export interface Choices {
  /** What they are, such as `shell`. */
  readonly what: string;
  /** Lists them. */
  readonly list: (commands: readonly Pick<Entry, "name">[]) => readonly string[];
}

/** Declares a command whose `run` gets the values of its own flags with their types. */
export function command<F extends Flags>(
  definition: Omit<Definition, "flags" | "run"> & {
    readonly flags: F;
    readonly run: (
      values: Values<F>,
      operands: readonly string[],
      commands: readonly Entry[],
    ) => Promise<number>;
  },
): Definition {
  // The parser makes the values from these same flags, so the narrower type is the true one.
  return definition as unknown as Definition;
}

/** A flag with a value, before it is said what holds if it is not given. */
export interface ValueFlag<T> {
  /** Makes the command fail without it. */
  required(): Flag<T>;
  /** Leaves its value undefined if it is not given. */
  optional(): Flag<T | undefined>;
  /** Parses `text` if it is not given. */
  or(text: string): Flag<T>;
  /** Collects the values of each time it is given. */
  repeated(): RepeatedFlag<T>;
}

/**
 * Declares a flag with a value. Without `redact`, messages show its text as it is; with `words`, a
 * shell completes its value with them.
 */
export function flag<T>(
  placeholder: string,
  help: string,
  parse: (text: string) => T,
  redact: (text: string) => string = (text) => text,
  words?: readonly string[],
): ValueFlag<T> {
  const base = {
    placeholder,
    help,
    isRequired: false,
    isRepeated: false,
    default: undefined,
    parse,
    redact,
    ...(words === undefined ? {} : { words }),
  };
  return {
    required: () => ({ ...base, isRequired: true }),
    optional: () => base,
    or: (text) => ({ ...base, default: text }),
    repeated: () => ({ ...base, isRepeated: true }),
  };
}

/** Declares a flag without a value; `--flag=false` is the same as leaving it out. */
export function flagSwitch(help: string, letter?: string): Flag<boolean> {
  return {
    placeholder: undefined,
    help,
    ...(letter === undefined ? {} : { letter }),
    isRequired: false,
    isRepeated: false,
    default: undefined,
    parse: parseSwitch,
    redact: (text) => text,
  };
}

/** Reads the words of Go's strconv.ParseBool. */
function parseSwitch(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new UsageError("expected true or false");
}

/** The flags of every command. */
export const COMMON_FLAGS = {
  quiet: flagSwitch("print errors only", "q"),
  help: flagSwitch("show this help", "h"),
} as const;

/** The flags of sipid without a command. */
export const PROGRAM_FLAGS = {
  version: flagSwitch("show the version", "v"),
  help: flagSwitch("show this help, or that of a command: sipid COMMAND --help", "h"),
} as const;
