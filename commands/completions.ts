/** `sipid completions`: the script by which a shell completes sipid's command line. */
import { command, type Declared } from "../lib/cli/args.ts";
import { completionsFor, SHELLS } from "../lib/cli/completions.ts";
import { writeStdout } from "../lib/cli/output.ts";
import { loadAll } from "./mod.ts";

/** The command `completions`. */
export const completions: Declared = command({
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
  async run(_, [shell]) {
    writeStdout(completionsFor(shell!, await loadAll()));
    return 0;
  },
});
