/**
 * Every word sipid says. What was asked for goes to stdout; what happened goes to stderr, in a
 * log with the time before it, on a terminal without, and with one live line while it waits.
 */

const encoder = new TextEncoder();
let quiet = false;
let liveLineShown = false;

/** Silences what is not an error. */
export function beQuiet(): void {
  quiet = true;
}

/** What was asked for, on stdout. */
export function print(text: string): void {
  write(Deno.stdout, text);
}

/** What was done or found, on stderr. */
export function info(text: string): void {
  if (!quiet) line(text);
}

/** Why it was refused or failed, on stderr. */
export function error(text: string): void {
  line(text);
}

/** Text of several lines that goes with an error, on stderr, as it is. */
export function attach(text: string): void {
  write(Deno.stderr, text);
}

/** What is being waited for: replaces the live line. Says nothing where stderr is no terminal. */
export function live(text: string): void {
  if (quiet || !Deno.stderr.isTerminal()) return;
  clearLive();
  write(Deno.stderr, printable(text).slice(0, width() - 1));
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
  write(Deno.stderr, "\r\x1b[K");
}

function line(text: string): void {
  clearLive();
  const when = Deno.stderr.isTerminal() ? "" : `${new Date().toISOString()} `;
  write(Deno.stderr, `${when}sipid: ${printable(text)}\n`);
}

/** File and program names are strangers' words: none of them may forge a line or steer a terminal. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- the control characters are the point
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function write(to: typeof Deno.stdout, text: string): void {
  let rest = encoder.encode(text);
  try {
    while (rest.length > 0) rest = rest.subarray(to.writeSync(rest));
  } catch {
    // A closed pipe or a full disk under the log: the work goes on, the exit status still tells.
  }
}
