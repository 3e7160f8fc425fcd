/**
 * Everything sipid prints. Results go to stdout, messages and progress to stderr.
 *
 * A message is one line, `sipid COMMAND: object: fact; hint`: what it is about (a path, a process,
 * a URL), what is the case, in the present tense, and what the reader can do about it. `sipid: `
 * alone is the prefix where no command is known. In a log the line begins with the time in UTC.
 *
 * Messages are written asynchronously where that can block: a full pipe that nobody reads delays
 * neither SIGTERM nor the SIGKILL that follows.
 */
import { deadline } from "@std/async/deadline";
import { printable } from "../shell_quote.ts";

/** Milliseconds that a blocked stderr gets at exit to take the rest of the messages. */
const FLUSH_TIMEOUT_MS = 1_000;

/** Columns where the width of a terminal is unknown. */
const DEFAULT_WIDTH = 80;

const encoder = new TextEncoder();
/** Resolves when all messages so far are written. */
let pending = Promise.resolve();
let mayBlock: boolean | undefined;
let commandName = "";
let isQuiet = false;
let isProgressShown = false;

/** Names the command in the prefix of every message from here on. */
export function setCommandName(name: string): void {
  commandName = name;
}

/** Suppresses all messages but errors. */
export function setQuiet(): void {
  isQuiet = true;
}

/** Prints a result to stdout, as it is. */
export function writeStdout(text: string): void {
  writeAllSync(Deno.stdout, encoder.encode(text));
}

/** Reports on stderr what was done or found. */
export function info(text: string): void {
  if (!isQuiet) writeMessage(prefix(), text);
}

/** Reports on stderr why the command fails. `--quiet` does not suppress it. */
export function error(text: string): void {
  writeMessage(hasColour() ? `\x1b[1;31m${prefix()}\x1b[0m` : prefix(), text);
}

/** Follows a usage error with a line that says where the usage is. */
export function usageHint(): void {
  const what = commandName === ""
    ? "'sipid help' for the commands"
    : `'sipid ${commandName} --help' for usage`;
  writeMessage(prefix(), `run ${what}`);
}

/** Shows what is being waited for in a line that the next one replaces; on a terminal only. */
export function progress(text: string): void {
  if (isQuiet || !Deno.stderr.isTerminal()) return;
  clearProgress();
  writeStderr(printable(text).slice(0, terminalWidth() - 1));
  isProgressShown = true;
}

function terminalWidth(): number {
  try {
    return Deno.consoleSize().columns || DEFAULT_WIDTH;
  } catch {
    return DEFAULT_WIDTH;
  }
}

/** Returns the columns for help: the terminal's, or 80 if it does not go to one. */
export function helpWidth(): number {
  return Deno.stdout.isTerminal() ? terminalWidth() : DEFAULT_WIDTH;
}

/** Removes the line of `progress`. */
export function clearProgress(): void {
  if (!isProgressShown) return;
  isProgressShown = false;
  writeStderr("\r\x1b[K");
}

/** Returns whether stderr is a terminal with colour. Source: https://no-color.org. */
function hasColour(): boolean {
  return Deno.stderr.isTerminal() && !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb";
}

function prefix(): string {
  return commandName === "" ? "sipid:" : `sipid ${commandName}:`;
}

function writeMessage(prefix: string, text: string): void {
  clearProgress();
  const time = Deno.stderr.isTerminal() ? "" : `${new Date().toISOString()} `;
  writeStderr(`${time}${prefix} ${printable(text)}\n`);
}

/** Prints to stderr as it is: synchronously where that cannot block, otherwise in the background. */
export function writeStderr(text: string): void {
  const bytes = encoder.encode(text);
  mayBlock ??= stderrMayBlock();
  if (mayBlock) pending = pending.then(() => writeAll(bytes));
  else writeAllSync(Deno.stderr, bytes);
}

/** Returns whether stderr is a pipe, socket or terminal, which can be full. */
function stderrMayBlock(): boolean {
  try {
    const { isFile, isCharDevice } = Deno.statSync("/dev/stderr");
    return !isFile && !(isCharDevice && !Deno.stderr.isTerminal());
  } catch {
    return true;
  }
}

function writeAllSync(to: typeof Deno.stdout, bytes: Uint8Array): void {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(to.writeSync(rest));
  } catch {
    // A closed pipe or a full disk must not stop the command; its exit status still counts.
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stderr.write(rest));
  } catch {
    // As above.
  }
}

/** Waits until all messages are written, for at most a second. */
export async function flush(): Promise<void> {
  if (mayBlock) await deadline(pending, FLUSH_TIMEOUT_MS).catch(() => {});
}
