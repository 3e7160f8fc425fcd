/** argv in, exit status out: the only place that exits. */
import { commands } from "./commands/mod.ts";

import { type Command, COMMON_FLAGS, parseFlags } from "./lib/cli.ts";
import { Refusal, UsageError } from "./lib/errors.ts";
import { attach, beQuiet, error as report, print } from "./lib/report.ts";
import { commandHelp, help, usageLine } from "./lib/usage.ts";
import { version } from "./lib/version.ts";

async function main(args: readonly string[]): Promise<number> {
  const [first = "", ...rest] = args;
  if (/^--?(help|h)$/.test(first)) {
    print(help(commands, version));
    return 0;
  }
  if (/^--?version$/.test(first)) {
    print(`sipid ${version}\n`);
    return 0;
  }
  const command = commands.find(({ name }) => name === first);
  if (command === undefined) {
    if (first !== "") report(`unknown command "${first}"`);
    attach(help(commands, version));
    return 2;
  }
  if (asksForHelp(command, rest)) {
    print(commandHelp(command));
    return 0;
  }
  return await run(command, rest);
}

/** Whether --help or -h stands where a flag does, and not where the value of one does. */
function asksForHelp({ flags }: Command, args: readonly string[]): boolean {
  return args.some((arg, i) =>
    /^--?(help|h)$/.test(arg) &&
    flags[args[i - 1]?.replace(/^--?/, "") ?? ""]?.value === undefined
  );
}

async function run(command: Command, args: readonly string[]): Promise<number> {
  try {
    const values = parseFlags({ ...command.flags, ...COMMON_FLAGS }, args);
    if (values.quiet) beQuiet();
    return await command.run(values);
  } catch (error) {
    if (error instanceof UsageError) {
      report(`${command.name}: ${error.message}`);
      attach(`${usageLine(command)}\n`);
      return 2;
    }
    report(
      error instanceof Refusal
        ? error.message
        : `this should not happen, please report it: ${error}`,
    );
    return 1;
  }
}

Deno.exit(await main(Deno.args));
