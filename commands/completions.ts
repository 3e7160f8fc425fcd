/** `sipid completions`: prints a shell's completion script for sipid. */
import { command, type Definition } from "../lib/cli/command.ts";
import { completionScript, SHELLS } from "../lib/cli/completions.ts";
import { writeStdout } from "../lib/cli/output.ts";

/** The command `completions`. */
export const completions: Definition = command({
  flags: {},
  operands: {
    usage: SHELLS.join("|"),
    min: 1,
    max: 1,
    choices: { what: "shell", list: () => SHELLS },
  },
  statuses: { 0: "printed", 2: "wrong usage, or an unknown shell" },
  examples: [
    "sipid completions bash > /etc/bash_completion.d/sipid",
    "sipid completions fish > ~/.config/fish/completions/sipid.fish",
  ],
  async run(_, [shell], commands) {
    const loaded = await Promise.all(commands.map(({ load }) => load()));
    writeStdout(completionScript(shell!, loaded));
    return 0;
  },
});
