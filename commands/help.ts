/** `sipid help`: the help of sipid, or of one command. */
import { command, type Declared } from "../lib/cli/args.ts";
import { writeStdout } from "../lib/cli/output.ts";
import { commandHelp, help as wholeHelp } from "../lib/cli/help.ts";
import { commands } from "./mod.ts";

/** The command `help`. */
export const help: Declared = command({
  flags: {},
  operands: {
    usage: "[COMMAND]",
    least: 0,
    most: 1,
    choices: () => commands.map(({ name }) => name),
  },
  statuses: { 0: "shown", 2: "wrong usage, or no such command" },
  examples: ["sipid help", "sipid help kill"],
  async run(_, [name]) {
    const asked = commands.find((one) => one.name === name);
    writeStdout(asked === undefined ? wholeHelp(commands) : commandHelp(await asked.load()));
    return 0;
  },
});
