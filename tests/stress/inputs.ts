/** Random inputs for the fuzz part, and what they mean by definitions of its own. */
import fc from "fast-check";
import { MAX_DURATION_MS } from "../../lib/duration.ts";
import { MAX_PIDFILE_BYTES } from "../../lib/pidfile/content.ts";

const LARGEST_PID = 2 ** 31 - 1;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf16 = (text: string): number[] => [...text].flatMap((it) => [it.charCodeAt(0), 0]);

/** Digits of another script, from its zero on. */
const digitsFrom = (zero: number, digits: string): string =>
  [...digits].map((it) => String.fromCodePoint(zero + Number(it))).join("");

/** Ways to write a PID into a file; most are not a PID. */
const SPELLINGS: readonly ((digits: string) => string | readonly number[])[] = [
  (digits) => digits,
  (digits) => `${digits}\n`,
  (digits) => ` \t\v\f\r\n${digits}\r\n\r\n`,
  (digits) => `+${digits}`,
  (digits) => `-${digits}`,
  (digits) => `0${digits}`,
  (digits) => `${digits}.0`,
  (digits) => `${digits}e0`,
  (digits) => `0x${Number(digits).toString(16)}`,
  (digits) => `0b${Number(digits).toString(2)}`,
  (digits) => `${digits}\0`,
  (digits) => `\0${digits}`,
  (digits) => `${digits} ${digits}`,
  (digits) => `${digits}\n1\n`,
  (digits) => `${digits}n`,
  (digits) => `${digits[0]} ${digits.slice(1)}`,
  (digits) => `\ufeff${digits}`,
  (digits) => `\u00a0${digits}`,
  (digits) => `\u2003${digits}`,
  (digits) => digitsFrom(0xff10, digits), // fullwidth
  (digits) => digitsFrom(0x660, digits), // Arabic
  (digits) => utf16(digits),
  (digits) => [0xff, 0xfe, ...utf16(digits)],
  (digits) => [...encode(digits)].map((it) => it | 0x80),
  (digits) => String(2 ** 32 + Number(digits)),
  (digits) => String(2n ** 64n + BigInt(digits)),
  (digits) => `${digits}${" ".repeat(MAX_PIDFILE_BYTES)}`,
  (digits) => `${" ".repeat(MAX_PIDFILE_BYTES - digits.length)}${digits}`,
  (digits) => `pid=${digits}`,
  (digits) => `${digits};1`,
  (digits) => `${digits}_0`,
  (digits) => `${digits},0`,
];

/** A way to write a PID into a file; it is applied to a PID that is not known before. */
export const spelling: fc.Arbitrary<(pid: number) => Uint8Array> = fc
  .nat(SPELLINGS.length - 1)
  .map((index) => (pid: number): Uint8Array => {
    const written = SPELLINGS[index]!(String(pid));
    return typeof written === "string" ? encode(written) : Uint8Array.from(written);
  });

const boundary = fc
  .constantFrom(
    0,
    1,
    127,
    2 ** 15 - 1,
    2 ** 15,
    2 ** 22 - 1,
    2 ** 22,
    LARGEST_PID,
    2 ** 31,
    2 ** 32,
  )
  .chain((near) => fc.integer({ min: near - 1, max: near + 1 }));
const PID_BYTES = [...encode("0123456789 \t\n\r\v\f+-.exX_,\0\x80\xff\u0661")];

/** The content of a pidfile: mostly short bytes that nearly are a PID. */
export const pidfileContent: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.array(fc.constantFrom(...PID_BYTES), { maxLength: 14 })
      .map((bytes) => Uint8Array.from(bytes)),
  },
  { weight: 10, arbitrary: boundary.map((number) => encode(String(number))) },
  {
    weight: 1,
    arbitrary: fc.tuple(spelling, fc.integer({ min: 1, max: 4_000_000 }))
      .map(([spell, pid]) => spell(pid)),
  },
);

/** Returns the PID in a pidfile, by a state machine that reads byte by byte. */
export function pidIn(bytes: Uint8Array): number | undefined {
  if (bytes.length > MAX_PIDFILE_BYTES) return undefined;
  let [state, value, digits] = ["before", 0, 0];
  for (const byte of bytes) {
    if (state !== "before" && byte === 10) break; // only the first line counts
    const isEnd = byte === 0 && state !== "before"; // of a string in C
    const isSpace = isEnd || [9, 10, 11, 12, 13, 32].includes(byte);
    const digit = byte - 48;
    const isDigit = digit >= 0 && digit <= 9;
    if (!isSpace && !isDigit) return undefined;
    if (state === "before" && isDigit) state = "in";
    else if (state === "in" && isSpace) state = "after";
    if (state === "after" && isDigit) return undefined;
    if (!isDigit) continue;
    if (digits === 0 && digit === 0) return undefined;
    if (++digits > 10) return undefined;
    value = value * 10 + digit;
  }
  return digits > 0 && value <= LARGEST_PID ? value : undefined;
}

/** A text of the characters and units that durations are made of. */
export const durationText: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(..."0123456789.+- ", ..."s m h ms us ns µs μs d S 1h 30s".split(" ")), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => parts.join(""));

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  "μs": 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 36e5,
};

/** Returns the milliseconds of one of Go's durations, read part by part; undefined for others. */
export function millisecondsIn(text: string): number | undefined {
  if (text === "0") return 0;
  const [, sign, rest] = /^([+-]?)(.*)$/s.exec(text)!;
  let sum = 0;
  let at = 0;
  while (at < rest!.length) {
    let number = "";
    while (at < rest!.length && "0123456789.".includes(rest![at]!)) number += rest![at++];
    if (!/\d/.test(number) || number.split(".").length > 2) return undefined;
    let unit = "";
    while (at < rest!.length && !"0123456789.".includes(rest![at]!)) unit += rest![at++];
    if (!Object.hasOwn(UNITS, unit)) return undefined;
    sum += Number(number) * UNITS[unit]!;
  }
  if (rest === "" || (sign === "-" && sum > 0) || sum > MAX_DURATION_MS) return undefined;
  return sum;
}

const SENSIBLE = [
  "claim --pid 2147483647 --pid-file a.pid",
  "claim --pid 17 --pid-file=b/c.pid --exec /bin/sh",
  "kill --pid-file a.pid --grace-period 0s",
  "kill -pid-file b/c.pid --show-stacks --quiet",
  "status --pid-file a.pid --json",
  "pidproxy a.pid true",
  "pidproxy --wait 0s a.pid false",
  "wait-until-healthy --url http://127.0.0.1:2/ --timeout 10ms",
].map((line) => line.split(" "));

const WORDS = "claim kill status wait-until-healthy pidproxy help completions bash --help -h".split(
  " ",
).concat(
  "--version --wait --json --quiet --header --status --successes --probe-timeout".split(" "),
  "--pid --pid-file --exec --url --timeout --polling-frequency --grace-period --show-stacks"
    .split(" "),
  "-pid -pid-file -url --PID-FILE --pid-fil --ca-cert --client-cert"
    .split(" "),
  "a.pid b/c.pid . / /dev/null /proc/self/stat true false no-such-program http:// http://["
    .split(" "),
  "ftp://x 0 1 -1 17 2147483647 2147483648 1s 0s -5s 1d NaN -- - --- = --pid= --pid-file="
    .split(" "),
  "--pid=12 --pid-file=a.pid --constructor --__proto__ --toString=1 --no-quiet --quiet=yes"
    .split(" "),
  ["", " ", "\n", "a\nb.pid", "\u001b[31mred.pid", "\u202egnp.pid", "x".repeat(300)],
  ["d/".repeat(2_000), "'\"$(true)`", "ü.pid", "😀"],
);

/** Words to put into a command line, each at a place where it may replace the word that is there. */
const edits = fc.array(
  fc.record({ at: fc.nat(), replaces: fc.boolean(), word: fc.constantFrom(...WORDS) }),
  { maxLength: 3 },
);

/** A command line: a sensible one, or none, with words put into it. */
export const commandLine: fc.Arbitrary<string[]> = fc
  .tuple(fc.oneof(fc.constant([]), fc.constantFrom(...SENSIBLE)), edits)
  .map(([sensible, edits]) => {
    const args = [...sensible];
    for (const { at, replaces, word } of edits) {
      args.splice(at % (args.length + 1), replaces ? 1 : 0, word);
    }
    return args;
  });
