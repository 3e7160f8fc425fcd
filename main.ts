/** Reads the command line and exits with the command's status; nothing else exits. */
import { commands } from "./commands/mod.ts";
import { parse } from "./lib/cli/args.ts";
import { PROGRAM_FLAGS } from "./lib/cli/command.ts";
import * as output from "./lib/cli/output.ts";
import { CommandError, UsageError } from "./lib/errors.ts";
import { invokedAs } from "./lib/process/invoked_as.ts";

/** Runs sipid and returns its exit status. */
async function main(args: readonly string[]): Promise<number> {
  try {
    // Called as pidproxy, through a link, sipid takes the place of Supervisor's program.
    const [first, ...rest] = invokedAs() === "pidproxy" ? ["pidproxy", ...args] : args;
    if (first === undefined) {
      output.writeStderr(await programHelp());
      return 2;
    }
    if (isFlag("help", first)) {
      output.writeStdout(await programHelp());
      return 0;
    }
    if (isFlag("version", first)) {
      const { version } = await import("./lib/version.ts");
      output.writeStdout(`sipid ${version}\n`);
      return 0;
    }
    return await runCommand(first, rest);
  } catch (error) {
    return await report(error);
  }
}

function isFlag(name: keyof typeof PROGRAM_FLAGS, word: string): boolean {
  return [`--${name}`, `-${name}`, `-${PROGRAM_FLAGS[name].letter}`].includes(word);
}

async function programHelp(): Promise<string> {
  const { programHelp } = await import("./lib/cli/help.ts");
  return programHelp(commands, output.helpWidth());
}

async function runCommand(name: string, args: readonly string[]): Promise<number> {
  const entry = commands.find((entry) => entry.name === name);
  if (entry === undefined) {
    if (name.startsWith("-")) {
      const known = Object.keys(PROGRAM_FLAGS).map((flag) => `--${flag}`);
      throw new UsageError(`unknown flag ${name}`, { typed: name, known });
    }
    const known = commands.map(({ name }) => name);
    throw new UsageError(`unknown command "${name}"`, { typed: name, known });
  }
  output.setCommandName(name);
  const command = await entry.load();
  const parsed = parse(command, args, commands);
  if (parsed.help) {
    const { commandHelp } = await import("./lib/cli/help.ts");
    output.writeStdout(commandHelp(command, output.helpWidth()));
    return 0;
  }
  if (parsed.quiet) output.setQuiet();
  return await command.run(parsed.values, parsed.operands, commands);
}

/** Prints an error and returns the exit status it leads to. */
async function report(error: unknown): Promise<number> {
  if (error instanceof CommandError) {
    output.error(error.message);
    return error.status;
  }
  if (error instanceof UsageError) {
    const { suggestion } = await import("./lib/cli/suggest.ts");
    output.error(error.message + (error.typo === undefined ? "" : suggestion(error.typo)));
    output.usageHint();
    return 2;
  }
  output.error(`internal error: ${error}; this is a bug in sipid, report it with the command line`);
  return 1;
}

const status = await main(Deno.args);
await output.flush();
Deno.exit(status);
