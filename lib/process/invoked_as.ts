/** How this program was called. In a file of its own: help and usage errors need no more of /proc. */
import { withHint } from "../errors.ts";

/**
 * Returns the name this program was called by, without directories: that of a link, perhaps.
 *
 * @throws {CommandError} a shortage keeps /proc from being read
 */
export function invokedAs(): string | undefined {
  const path = "/proc/self/cmdline";
  const words = withHint(`cannot read ${path}`, () => Deno.readTextFileSync(path)).split("\0");
  return words[0]?.split("/").at(-1);
}
