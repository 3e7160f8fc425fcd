/** The help texts, made from the table of commands. */
import { type Command, COMMON_FLAGS, type Flag, type Flags } from "./args.ts";
import { version } from "../version.ts";

/** The columns a help text has at most. */
const WIDTH = 80;

/** `sipid kill --pid-file PID_FILE [--show-stacks] …` */
export function usageLine({ name, flags, operands }: Command): string {
  const words = Object.entries(flags).map(([flag, { value, required }]) => {
    const word = value === undefined ? `--${flag}` : `--${flag} ${value}`;
    return required ? word : `[${word}]`;
  });
  const end = operands === undefined ? [] : [operands.usage];
  return wrap(`Usage: sipid ${[name, ...words, ...end].join(" ")}`, " ".repeat(4));
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const statuses = Object.entries(command.statuses).map(([status, meaning]) =>
    row(status, meaning)
  );
  return [
    usageLine(command),
    "",
    wrap(`${command.purpose}.`),
    "",
    "Flags:",
    ...flagRows({ ...command.flags, ...COMMON_FLAGS }),
    "",
    "Exit status:",
    ...statuses,
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

/** The help of sipid as a whole. */
export function help(commands: readonly Pick<Command, "name" | "purpose">[]): string {
  return [
    "Usage: sipid COMMAND [--flag VALUE ...]",
    "",
    `sipid ${version}: pidfiles done right, for start and stop scripts.`,
    "",
    "Commands:",
    ...commands.map(({ name, purpose }) => row(name, purpose, 20)),
    "",
    "Flags:",
    row("--version", "show the version", 20),
    row("--help", "show this help; sipid COMMAND --help shows a command's", 20),
    "",
  ].join("\n");
}

function flagRows(flags: Flags): string[] {
  return Object.entries(flags).map(([name, flag]) => {
    const left = flag.value === undefined ? `--${name}` : `--${name} ${flag.value}`;
    return row(left, flag.help + fallbackOf(flag), 31);
  });
}

function fallbackOf({ value, default: fallback }: Flag<unknown>): string {
  return value === undefined || fallback === undefined ? "" : ` (default ${fallback})`;
}

/** Two columns; what does not fit beside the left one starts below it. */
function row(left: string, right: string, width = 6): string {
  const indent = " ".repeat(width + 2);
  const start = left.length < width ? `  ${left.padEnd(width)}` : `  ${left}\n${indent}`;
  return start + wrap(indent + right, indent).slice(indent.length);
}

/** Breaks at spaces; lines after the first begin with `indent`. */
function wrap(text: string, indent = ""): string {
  const lines = [""];
  for (const word of text.split(/(?<=\S) /)) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(indent + word);
  }
  return lines.join("\n");
}
