/** The help texts, made from the table of commands. */
import {
  type Command,
  COMMON_FLAGS,
  type Entry,
  type Flag,
  type Flags,
  PROGRAM_FLAGS,
} from "./command.ts";
import { version } from "../version.ts";

/** What sipid is, as a phrase. */
export const TAGLINE = "safe pidfiles for start and stop scripts";

/** Returns the help of a command, wrapped at `width` columns. */
export function commandHelp(command: Command, width: number): string {
  return [
    usage(command, width),
    "",
    wrap(`${command.summary}.`, width),
    "",
    ...(Object.keys(command.flags).length === 0 ? [] : [
      "Flags:",
      ...table(flagRows(command.flags), width),
      "",
    ]),
    "Common flags:",
    ...table(flagRows(COMMON_FLAGS), width),
    "",
    "Exit status:",
    ...table(Object.entries(command.statuses), width),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

/** Returns the help of sipid without a command, wrapped at `width` columns. */
export function programHelp(
  commands: readonly Pick<Entry, "name" | "summary">[],
  width: number,
): string {
  return [
    fill(["Usage: sipid", "COMMAND", "[FLAG ...]"], width, " ".repeat(4)).join("\n"),
    "",
    wrap(`sipid ${version}: ${TAGLINE}.`, width),
    "",
    "Commands:",
    ...table(commands.map(({ name, summary }) => [name, summary]), width),
    "",
    "Flags:",
    ...table(flagRows(PROGRAM_FLAGS), width),
    "",
  ].join("\n");
}

/** `Usage: sipid kill --pid-file PID_FILE [--show-stacks] …`, broken only between flags. */
function usage({ name, flags, operands }: Command, width: number): string {
  const words = Object.entries(flags).map(([name, flag]) => {
    const word = withPlaceholder(`--${name}`, flag);
    const optional = flag.isRequired ? word : `[${word}]`;
    return flag.isRepeated ? `${optional} ...` : optional;
  });
  const parts = [
    "Usage: sipid",
    name,
    ...words,
    ...(operands === undefined ? [] : [operands.usage]),
  ];
  return fill(parts, width, " ".repeat(4)).join("\n");
}

function withPlaceholder(name: string, { placeholder }: Flag<unknown>): string {
  return placeholder === undefined ? name : `${name} ${placeholder}`;
}

/** Returns what a flag does, its default, and whether it can be repeated. */
export function describeFlag({ help, isRepeated, default: text }: Flag<unknown>): string {
  const facts = [
    ...(isRepeated ? ["may be repeated"] : []),
    ...(text === undefined ? [] : [`default ${text}`]),
  ];
  return facts.length === 0 ? help : `${help} (${facts.join(", ")})`;
}

function flagRows(flags: Flags): [string, string][] {
  return Object.entries(flags).map(([name, flag]) => {
    const letter = flag.letter === undefined ? "" : `-${flag.letter}, `;
    return [withPlaceholder(`${letter}--${name}`, flag), describeFlag(flag)];
  });
}

/** Two columns; a text that does not fit beside its name starts on the next line. */
function table(rows: readonly (readonly [string, string])[], width: number): string[] {
  const longest = Math.max(...rows.map(([name]) => name.length));
  const column = Math.min(2 + longest + 2, Math.max(8, Math.floor(width * 0.4)));
  const indent = " ".repeat(column);
  return rows.map(([name, text]) => {
    const lines = fill(text.split(" "), width, indent, indent);
    return name.length + 4 <= column
      ? `  ${name}`.padEnd(column) + lines.join("\n").slice(column)
      : [`  ${name}`, ...lines].join("\n");
  });
}

function wrap(text: string, width: number): string {
  return fill(text.split(" "), width, "").join("\n");
}

/** Fills lines of at most `width` columns with words; a longer word has a line of its own. */
function fill(words: readonly string[], width: number, indent: string, first = ""): string[] {
  const lines: string[] = [];
  let line = first;
  for (const word of words) {
    const isEmpty = line.trim() === "";
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line];
}
