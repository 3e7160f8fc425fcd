/** argv in, exit status out: the only place that exits. */
import { commands, type Entry } from "./commands/mod.ts";
import { parse } from "./lib/cli/args.ts";
import { CommandError, UsageError } from "./lib/errors.ts";
import { suggest } from "./lib/cli/suggest.ts";
import { invokedAs } from "./lib/process/process.ts";
import {
  error as report,
  flush,
  hint,
  setCommandName,
  setQuiet,
  writeStderr,
  writeStdout,
} from "./lib/cli/output.ts";

/** Loaded for those who ask, as the commands are. */
const usage = () => import("./lib/cli/help.ts");

async function main(args: readonly string[]): Promise<number> {
  // A link of that name stands in for Supervisor's program.
  const [first = "", ...rest] = invokedAs() === "pidproxy" ? ["pidproxy", ...args] : args;
  if (["--help", "-help", "--h", "-h"].includes(first)) {
    writeStdout((await usage()).help(commands));
    return 0;
  }
  if (first === "--version" || first === "-version") {
    const { version } = await import("./lib/version.ts");
    writeStdout(`sipid ${version}\n`);
    return 0;
  }
  const command = commands.find(({ name }) => name === first);
  if (command === undefined) {
    if (first === "") {
      writeStderr((await usage()).help(commands));
      return 2;
    }
    const known = commands.map(({ name }) => name);
    report(`unknown command "${first}"${suggest(first, known)}`);
    hint("run 'sipid help' for the list of commands");
    return 2;
  }
  return await run(command, rest);
}

async function run(entry: Entry, args: readonly string[]): Promise<number> {
  setCommandName(entry.name);
  const command = await entry.load();
  try {
    const parsed = parse(command, args);
    if (parsed.help) {
      writeStdout((await usage()).commandHelp(command));
      return 0;
    }
    if (parsed.quiet) setQuiet();
    return await command.run(parsed.values, parsed.operands);
  } catch (error) {
    if (error instanceof UsageError) {
      report(error.message);
      hint(`run 'sipid ${command.name} --help' for usage`);
      return 2;
    }
    if (error instanceof CommandError) {
      report(error.message);
      return error.status;
    }
    report(`this should not happen, please report it: ${error}`);
    return 1;
  }
}

// In a turn of its own: the first error, such as that of a file which is not there, has V8 read all
// functions that are being called once more, for their line numbers; the module would be one of them.
const status = await Promise.resolve(Deno.args).then(main);
await flush();
// The runtime's own mark that the event "unload" was dispatched; nobody here waits for it, and
// dispatching it would take 0.2 ms.
Object.assign(globalThis, { [Symbol.for("Deno.isUnloadDispatched")]: true });
Deno.exit(status);
