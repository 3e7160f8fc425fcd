/** What the bytes of a pidfile mean. */
import { parsePid, type Pid } from "../process/pid.ts";
import { printable } from "../shell_quote.ts";

/** What a pidfile contains. */
export type Content =
  /** It names nobody: no bytes, or white space and NUL bytes, as a power failure leaves. */
  | { readonly kind: "empty" }
  | {
    /** The first line is one PID. */
    readonly kind: "pid";
    readonly pid: Pid;
    /** The numbers on further lines, if there is nothing else on them. */
    readonly others: readonly Pid[];
    /** Its first characters, if further lines contain more than numbers. */
    readonly foreign: string | undefined;
  }
  | {
    /** The first line is anything else. */
    readonly kind: "invalid";
    /** The numbers in it, if there is nothing else. */
    readonly others: readonly Pid[];
    /** Its first characters, if they are more than a damaged PID. */
    readonly foreign: string | undefined;
    /** Its first characters. */
    readonly start: string;
  };

/** A longer file is not a pidfile. */
export const MAX_PIDFILE_BYTES = 65_536;

/** Pidfiles are hardly ever longer. */
const USUAL_BYTES = 256;

/** Characters shown of a content that is not a PID. */
const EXCERPT_LENGTH = 24;

/**
 * Parses a pidfile: one PID in ASCII digits on the first line, with white space around it, and with
 * NUL bytes after it: many a daemon in C writes the end of its string too.
 *
 * Further lines are accepted and reported as `foreign`, as is every content that an interrupted
 * or overwritten PID cannot explain: one with bytes that are not digits, signs, white space or NUL.
 *
 * @param bytes the content, or its first `MAX_PIDFILE_BYTES` + 1 bytes
 */
export function parseContent(bytes: Uint8Array): Content {
  const text = latin1(bytes);
  const isTooLong = bytes.length > MAX_PIDFILE_BYTES;
  if (/^[\t-\r \0]*$/.test(text) && !isTooLong) return { kind: "empty" };
  const foreign = isTooLong || /[^0-9+\-\s\0]|\u00a0/.test(text) ? excerpt(bytes) : undefined;
  const digits = /^[\t-\r ]*([0-9]{1,10})[\t\v\f\r \0]*(\n[^]*)?$/.exec(text)?.[1];
  const pid = digits === undefined || isTooLong ? undefined : parsePid(digits);
  const others = foreign === undefined ? numbersIn(text).filter((other) => other !== pid) : [];
  return pid === undefined
    ? { kind: "invalid", others, foreign, start: excerpt(bytes) }
    : { kind: "pid", pid, others, foreign };
}

function numbersIn(text: string): readonly Pid[] {
  const numbers = text.match(/[1-9][0-9]*/g)?.map(parsePid) ?? [];
  return [...new Set(numbers)].filter((pid) => pid !== undefined);
}

/**
 * Returns what is wrong with a pidfile whose content is `invalid`, to follow its name: how it begins,
 * and its size in bytes.
 */
export function invalidFact(
  { start, stat: { size } }: { readonly start: string; readonly stat: { readonly size: number } },
): string {
  const quoted = printable(JSON.stringify(start));
  return `does not contain a valid pid: it begins with ${quoted} (${size} bytes)`;
}

/** Returns one character for each byte. The first use of a TextDecoder takes 0.2 ms. */
function latin1(bytes: Uint8Array): string {
  return bytes.length <= USUAL_BYTES
    ? String.fromCharCode(...bytes)
    : new TextDecoder("latin1").decode(bytes);
}

function excerpt(bytes: Uint8Array): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true })
    .decode(bytes.subarray(0, 4 * EXCERPT_LENGTH));
  const start = Array.from(text).slice(0, EXCERPT_LENGTH).join("");
  return start.length < text.length || bytes.length > 4 * EXCERPT_LENGTH ? `${start}…` : start;
}
