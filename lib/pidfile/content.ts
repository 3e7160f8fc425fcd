/** What the bytes of a pidfile say. */
import { parsePid, type Pid } from "../process/process.ts";

/** What a pidfile holds. `invalid` is anything that is neither empty nor one PID. */
export type Content =
  | { readonly kind: "pid"; readonly pid: Pid }
  | { readonly kind: "empty" }
  | { readonly kind: "invalid" };

/** Bytes; what is longer is no pidfile. */
export const MAX_PIDFILE_BYTES = 65_536;

/** One PID in ASCII digits, with white space around it allowed; no other byte. */
export function parse(bytes: Uint8Array): Content {
  if (bytes.length === 0) return { kind: "empty" };
  if (bytes.length > MAX_PIDFILE_BYTES) return { kind: "invalid" };
  const isSpace = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);
  const start = bytes.findIndex((byte) => !isSpace(byte));
  const end = bytes.findLastIndex((byte) => !isSpace(byte)) + 1;
  // Eleven characters are one more than any PID has.
  const pid = start < 0 ? undefined : parsePid(
    String.fromCharCode(...bytes.subarray(start, end).subarray(0, 11)),
  );
  return pid === undefined ? { kind: "invalid" } : { kind: "pid", pid };
}
