/** What is said of a pidfile that does not contain a PID. Loaded when there is one. */
import { CommandError } from "../errors.ts";
import { printable, shellQuote } from "../shell_quote.ts";
import type { ExistingPidfile } from "./pidfile.ts";

/** A pidfile whose first line is not a PID. */
export type InvalidState = ExistingPidfile & { readonly kind: "invalid" };

/** Returns the fact, with the beginning of the content and its size, to follow the file's name. */
export function invalidFact({ start, stat: { size } }: InvalidState): string {
  const quoted = printable(JSON.stringify(start));
  return `does not contain a valid pid: it begins with ${quoted} (${size} bytes)`;
}

/** Returns the error of a command that needs a PID; `consequence` is empty or ends in `; `. */
export function invalidPidfile(
  path: string,
  state: InvalidState,
  consequence: string,
): CommandError {
  return new CommandError(
    `${shellQuote(path)}: ${invalidFact(state)}; ${consequence}` +
      "inspect the file and remove it if its process has exited",
  );
}
