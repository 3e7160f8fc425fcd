/** `sipid help`: shows the help of sipid or of one command. */
import { command, type Definition } from "../lib/cli/command.ts";
import { commandHelp, programHelp } from "../lib/cli/help.ts";
import { helpWidth, writeStdout } from "../lib/cli/output.ts";

/** The command `help`. */
export const help: Definition = command({
  flags: {},
  operands: {
    usage: "[COMMAND]",
    min: 0,
    max: 1,
    choices: { what: "command", list: (commands) => commands.map(({ name }) => name) },
  },
  statuses: { 0: "shown", 2: "wrong usage, or an unknown command" },
  examples: ["sipid help", "sipid help kill"],
  async run(_, [name], commands) {
    const entry = commands.find((entry) => entry.name === name);
    const width = helpWidth();
    writeStdout(
      entry === undefined ? programHelp(commands, width) : commandHelp(await entry.load(), width),
    );
    return 0;
  },
});
