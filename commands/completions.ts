/** `sipid completions`: the script by which a shell completes sipid's command line. */
import { type Command, command } from "../lib/cli.ts";
import { completionsFor as scriptFor, SHELLS } from "../lib/completions.ts";
import { print } from "../lib/report.ts";

/**
 * The command `completions`.
 *
 * @param commands all commands, this one among them
 */
export function completionsFor(commands: () => readonly Command[]): Command {
  return command({
    name: "completions",
    purpose: "Print the script by which a shell completes the command line of sipid",
    flags: {},
    operands: {
      usage: SHELLS.join("|"),
      least: 1,
      most: 1,
      choices: () => SHELLS,
    },
    statuses: { 0: "printed", 2: "wrong usage, or no such shell" },
    examples: [
      "sipid completions bash > /etc/bash_completion.d/sipid",
      "sipid completions fish > ~/.config/fish/completions/sipid.fish",
    ],
    run(_, [shell]) {
      print(scriptFor(shell!, commands()));
      return Promise.resolve(0);
    },
  });
}
