/**
 * Every word sipid says. What was asked for goes to stdout; what happened goes to stderr, in a
 * log with the time before it, on a terminal without, and with one live line while it waits.
 *
 * What happened is written beside the work: a pipe that is full and that nobody reads holds up
 * neither a SIGTERM nor the SIGKILL after it.
 */
import { deadline } from "@std/async/deadline";

/** Milliseconds that stderr is given at the end to take what it has not taken yet. */
const FLUSH_TIMEOUT_MS = 1_000;

const encoder = new TextEncoder();
/** All that was said on stderr so far, and taken. */
let said = Promise.resolve();
let mayBlock: boolean | undefined;
let quiet = false;
let liveLineShown = false;

/** Silences what is not an error. */
export function setQuiet(): void {
  quiet = true;
}

/** What was asked for, on stdout. */
export function print(text: string): void {
  writeAllSync(Deno.stdout, encoder.encode(text));
}

/** What was done or found, on stderr. */
export function info(text: string): void {
  if (!quiet) line("sipid:", text);
}

/** Why it was refused or failed, on stderr. */
export function error(text: string): void {
  line(hasColour() ? "\x1b[1;31msipid:\x1b[0m" : "sipid:", text);
}

/** Text of several lines that goes with an error, on stderr, as it is. */
export function writeStderr(text: string): void {
  say(text);
}

/** What is being waited for: replaces the live line. Says nothing where stderr is no terminal. */
export function live(text: string): void {
  if (quiet || !Deno.stderr.isTerminal()) return;
  clearLive();
  say(printable(text).slice(0, width() - 1));
  liveLineShown = true;
}

/** Columns of the terminal; 80 where it does not say. */
function width(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Takes the live line away. */
export function clearLive(): void {
  if (!liveLineShown) return;
  liveLineShown = false;
  say("\r\x1b[K");
}

/** Colour is for terminals whose user has not set NO_COLOR. Source: https://no-color.org. */
function hasColour(): boolean {
  return Deno.stderr.isTerminal() && !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb";
}

function line(name: string, text: string): void {
  clearLive();
  const when = Deno.stderr.isTerminal() ? "" : `${now()} `;
  say(`${when}${name} ${printable(text)}\n`);
}

/**
 * The time in UTC, as `toISOString()` gives it: the first call of that costs as much as all else a
 * line does.
 */
function now(): string {
  const date = new Date();
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = [date.getUTCFullYear(), two(date.getUTCMonth() + 1), two(date.getUTCDate())].join(
    "-",
  );
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  return `${day}T${time}.${String(date.getUTCMilliseconds()).padStart(3, "0")}Z`;
}

/** File and program names are strangers' words: none of them may forge a line or steer a terminal. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- the control characters are the point
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** Writes text to stderr: at once where that cannot block, else beside the work. */
function say(text: string): void {
  const bytes = encoder.encode(text);
  mayBlock ??= stderrMayBlock();
  if (mayBlock) said = said.then(() => writeAll(bytes));
  else writeAllSync(Deno.stderr, bytes);
}

/** Files and /dev/null take all at once, or refuse it; pipes and terminals can be full. */
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
    // A closed pipe or a full disk: the work goes on, the exit status still tells.
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stderr.write(rest));
  } catch {
    // The same.
  }
}

/** Returns when stderr has taken everything, or will not. */
export async function flush(): Promise<void> {
  if (mayBlock) await deadline(said, FLUSH_TIMEOUT_MS).catch(() => {});
}
