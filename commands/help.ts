/** `sipid help`: the help of sipid, or of one command. */
import { type Command, command } from "../lib/cli.ts";
import { print } from "../lib/report.ts";
import { commandHelp, help as wholeHelp } from "../lib/usage.ts";
import { version } from "../lib/version.ts";

/**
 * The command `help`.
 *
 * @param commands all commands, this one among them
 */
export function helpFor(commands: () => readonly Command[]): Command {
  return command({
    name: "help",
    purpose: "Show the help of sipid, or of one command",
    flags: {},
    operands: {
      usage: "[COMMAND]",
      least: 0,
      most: 1,
      choices: () => commands().map(({ name }) => name),
    },
    statuses: { 0: "shown", 2: "wrong usage, or no such command" },
    examples: ["sipid help", "sipid help kill"],
    run(_, [name]) {
      const asked = commands().find((one) => one.name === name);
      print(asked === undefined ? wholeHelp(commands(), version) : commandHelp(asked));
      return Promise.resolve(0);
    },
  });
}
