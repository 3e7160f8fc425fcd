/** Random and structured input: pidfiles, argument lists, durations. */
import { MAX_DURATION_MS, parseDuration } from "../../lib/duration.ts";
import { parseContent } from "../../lib/pidfile/content.ts";
import { inParallel, isRunning, Job, readIfExists, run, SIPID } from "../support.ts";
import { broken, INTERNALS, type Part, peakOf, type Random, type Row } from "./stress.ts";

export const fuzz: Part = async (stress) => [
  parser(stress.random, stress.long ? 1_000_000 : 100_000),
  durations(stress.random, stress.long ? 1_000_000 : 100_000),
  await pidfiles(stress.random, stress.dir, stress.long ? 500 : 60),
  await changing(stress.dir, stress.long ? 300 : 30),
  await hugeFile(stress.dir),
  await argumentLists(stress.random, stress.dir, stress.long ? 2_000 : 150),
];

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Bytes that nearly are a PID, or are one; `pid` comes in all sorts of clothes. */
function disguised(random: Random, pid: number): Uint8Array {
  const digits = String(pid);
  const utf16 = (text: string): Uint8Array =>
    Uint8Array.from([...text].flatMap((it) => [it.charCodeAt(0), 0]));
  const full = [...digits].map((it) => String.fromCodePoint(0xff10 + Number(it))).join("");
  const arabic = [...digits].map((it) => String.fromCodePoint(0x660 + Number(it))).join("");
  return random.pick<() => Uint8Array>([
    () => encode(digits),
    () => encode(`${digits}\n`),
    () => encode(` \t\v\f\r\n${digits}\r\n\r\n`),
    () => encode(`+${digits}`),
    () => encode(`-${digits}`),
    () => encode(`0${digits}`),
    () => encode(`${digits}.0`),
    () => encode(`${digits}e0`),
    () => encode(`0x${pid.toString(16)}`),
    () => encode(`0b${pid.toString(2)}`),
    () => encode(`${digits}\0`),
    () => encode(`\0${digits}`),
    () => encode(`${digits} ${digits}`),
    () => encode(`${digits}\n1\n`),
    () => encode(`${digits}n`),
    () => encode(`${digits[0]} ${digits.slice(1)}`),
    () => encode(`\ufeff${digits}`),
    () => encode(`\u00a0${digits}`),
    () => encode(`\u2003${digits}`),
    () => encode(full),
    () => encode(arabic),
    () => utf16(digits),
    () => Uint8Array.from([0xff, 0xfe, ...utf16(digits)]),
    () => Uint8Array.from([...encode(digits)].map((it) => it | 0x80)),
    () => encode(`${2 ** 32 + pid}`),
    () => encode(`${2n ** 64n + BigInt(pid)}`),
    () => encode(`${digits}${" ".repeat(65_536)}`),
    () => encode(`${" ".repeat(65_536 - digits.length)}${digits}`),
    () => encode(`pid=${digits}`),
    () => encode(`${digits};1`),
    () => encode(`${digits}_0`),
    () => encode(`${digits},0`),
  ])();
}

const BOUNDARIES = [0, 1, 127, 32_767, 32_768, 4_194_303, 4_194_304, 2 ** 31 - 1, 2 ** 31, 2 ** 32]
  .flatMap((it) => [it - 1, it, it + 1]);

function anyBytes(random: Random): Uint8Array {
  const alphabet = encode("0123456789 \t\n\r\v\f+-.exX_,\0\x80\xff\u0661");
  return Uint8Array.from(
    { length: random.below(15) },
    () => alphabet[random.below(alphabet.length)]!,
  );
}

/** What a pidfile holds, said a second time and in another way: by a state machine, byte by byte. */
function pidIn(bytes: Uint8Array): number | undefined {
  if (bytes.length > 65_536) return undefined;
  let [state, value, digits] = ["before", 0, 0];
  for (const byte of bytes) {
    if (state !== "before" && byte === 10) break; // only the first line counts
    const isSpace = [9, 10, 11, 12, 13, 32].includes(byte);
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
  return digits > 0 && value <= 2_147_483_647 ? value : undefined;
}

function parser(random: Random, times: number): Row {
  let pids = 0;
  for (let time = 0; time < times; time++) {
    const bytes = random.below(50) === 0
      ? disguised(random, 1 + random.below(4_000_000))
      : random.below(4) === 0
      ? encode(String(random.pick(BOUNDARIES)))
      : anyBytes(random);
    const found = parseContent(bytes);
    const pid = found.kind === "pid" ? Number(found.pid) : undefined;
    if (pid !== pidIn(bytes)) broken("a PID is plain decimal", { bytes, found });
    if (pid !== undefined) pids++;
  }
  return {
    what: "pidfile contents through the parser, compared with a second definition",
    times,
    seen: `${pids} PIDs`,
  };
}

/** Milliseconds of a duration, said a second time; undefined for what is none. */
function millisecondsIn(text: string): number | undefined {
  const units: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    "µs": 1e-3,
    "μs": 1e-3,
    ms: 1,
    s: 1e3,
    m: 6e4,
    h: 36e5,
  };
  if (text === "0") return 0;
  let [at, sum, parts] = [0, 0, 0];
  let sign = 1;
  if (text[at] === "+" || text[at] === "-") sign = text[at++] === "-" ? -1 : 1;
  while (at < text.length) {
    let number = "";
    while (at < text.length && "0123456789.".includes(text[at]!)) number += text[at++];
    if (!/\d/.test(number) || number.split(".").length > 2) return undefined;
    let unit = "";
    while (at < text.length && !"0123456789.".includes(text[at]!)) unit += text[at++];
    if (!Object.hasOwn(units, unit)) return undefined;
    sum += Number(number) * units[unit]!;
    parts++;
  }
  if (parts === 0 || (sign < 0 && sum > 0) || sum > MAX_DURATION_MS) return undefined;
  return sum;
}

function durations(random: Random, times: number): Row {
  const words = [
    ..."0123456789.+- ",
    "s",
    "m",
    "h",
    "ms",
    "us",
    "ns",
    "µs",
    "μs",
    "d",
    "S",
    "1h",
    "30s",
  ];
  let valid = 0;
  for (let time = 0; time < times; time++) {
    const text = Array.from({ length: 1 + random.below(6) }, () => random.pick(words)).join("");
    const [found, expected] = [parseDuration(text), millisecondsIn(text)];
    const isSame = typeof found === "string"
      ? expected === undefined
      : expected !== undefined && Math.abs(found - expected) <= 1e-9 * expected;
    if (!isSame) broken("a duration is Go's", { text, found, expected });
    if (expected !== undefined) valid++;
  }
  return { what: "durations, compared with a second definition", times, seen: `${valid} valid` };
}

/** Kills by pidfiles that nearly name a bystander: it dies if and only if it is named. */
async function pidfiles(random: Random, dir: string, times: number): Promise<Row> {
  let died = 0;
  await inParallel(Array.from({ length: times }), 2, async (_, index) => {
    const path = `${dir}/fuzz-${index}.pid`;
    await using bystander = new Job();
    const bytes = disguised(random, bystander.pid);
    Deno.writeFileSync(path, bytes);
    const { code, stderr } = await run(SIPID, ["kill", "--pid-file", path]);
    const isNamed = pidIn(bytes) === bystander.pid;
    const facts = { bytes, code, stderr };
    if (isNamed) {
      if (code !== 0 || (await bystander.status).signal !== "SIGTERM") {
        broken("who is named dies", facts);
      }
      died++;
      return;
    }
    if (!isRunning(bystander.pid)) broken("who is not named in plain decimal lives", facts);
    // A number that is somebody's by chance of the disguise is no PID of anything here.
    if (code === 1 && readIfExists(path) === undefined) {
      broken("a refused kill keeps the file", facts);
    }
  });
  return {
    what: "kills by pidfiles that almost name a bystander",
    times,
    seen: `${died} named it, and only it was stopped`,
  };
}

/** A pidfile that is rewritten while it is read, in place and by rename. */
async function changing(dir: string, times: number): Promise<Row> {
  const path = `${dir}/changing.pid`;
  // Of different lengths; none of their mixtures is one of them. None of them runs.
  const contents = ["2147483647\n", "2147400000\n", "", "21474"];
  let writes = 0;
  let isDone = false;
  const writer = (async () => {
    while (!isDone) {
      const content = contents[writes++ % contents.length]!;
      if (writes % 2 === 0) Deno.writeTextFileSync(path, content);
      else {
        Deno.writeTextFileSync(`${path}.tmp`, content);
        Deno.renameSync(`${path}.tmp`, path);
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  })();
  try {
    for (let time = 0; time < times; time++) {
      const { code, stdout, stderr } = await run(SIPID, ["status", "--json", "--pid-file", path]);
      if (code !== 1 && code !== 4 && code !== 3) {
        broken("a status of its own", { code, stdout, stderr });
      }
      const { pid } = JSON.parse(stdout);
      if (pid !== null && !contents.some((it) => Number(it) === pid)) {
        broken("no PID that was never written", { stdout });
      }
    }
  } finally {
    isDone = true;
    await writer;
  }
  return {
    what: "status of a pidfile while it is rewritten",
    times,
    seen: `${writes} writes`,
  };
}

async function hugeFile(dir: string): Promise<Row> {
  const small = Deno.makeTempFileSync({ dir });
  Deno.writeTextFileSync(small, "x");
  const huge = `${dir}/huge.pid`;
  using file = Deno.openSync(huge, { write: true, create: true });
  file.truncateSync(2 ** 30);
  const peaks = [];
  for (const path of [small, huge]) {
    const { code, peak, stderr } = await peakOf(["kill", "--pid-file", path]);
    if (code !== 1) broken("what is not a PID is refused", { path, code, stderr });
    peaks.push(peak);
  }
  if (peaks[1]! > peaks[0]! + 8_192) broken("memory stays flat", peaks);
  return {
    what: "a sparse pidfile of 1 GiB",
    times: 1,
    seen: `${peaks[1]} KiB at most, ${peaks[0]} for a small one`,
  };
}

const SENSIBLE = [
  "claim --pid 2147483647 --pid-file a.pid",
  "claim --pid 17 --pid-file=b/c.pid --exec /bin/sh",
  "kill --pid-file a.pid --grace-period 0s",
  "kill -pid-file b/c.pid --show-stacks --quiet",
  "status --pid-file a.pid --json",
  "pidproxy a.pid true",
  "pidproxy --wait 0s a.pid false",
  "wait-until-healthy --url http://127.0.0.1:1/ --timeout 10ms",
];

async function argumentLists(random: Random, dir: string, times: number): Promise<Row> {
  const cwd = `${dir}/arguments`;
  Deno.mkdirSync(cwd);
  const words = [
    ..."claim kill status wait-until-healthy pidproxy help completions bash --version --help -h"
      .split(" "),
    ..."--pid --pid-file --exec --url --timeout --polling-frequency --grace-period --show-stacks"
      .split(" "),
    ..."--json --quiet --wait -pid -pid-file -url --PID-FILE --pid-fil --ca-cert --client-cert"
      .split(" "),
    ..."a.pid b/c.pid . / /dev/null /proc/self/stat true false no-such-program http:// http://["
      .split(" "),
    ..."ftp://x 0 1 -1 17 2147483647 2147483648 1s 0s -5s 1d NaN -- - --- = --pid= --pid-file="
      .split(" "),
    ..."--pid=12 --pid-file=a.pid --constructor --__proto__ --toString=1 --no-quiet --quiet=yes"
      .split(" "),
    "",
    " ",
    "\n",
    "a\nb.pid",
    "\u001b[31mred.pid",
    "\u202egnp.pid",
    "x".repeat(300),
    "d/".repeat(2_000),
    "'\"$(true)`",
    "ü.pid",
    "😀",
  ];
  const codes: Record<number, number> = {};
  await inParallel(Array.from({ length: times }), 2, async () => {
    // Half of them start as what makes sense.
    const args = random.below(2) === 0 ? [] : random.pick(SENSIBLE).split(" ");
    for (let count = random.below(4); count > 0; count--) {
      args.splice(random.below(args.length + 1), random.below(2), random.pick(words));
    }
    const { code, signal, stderr, stdout } = await run(SIPID, args, { cwd });
    codes[code] = (codes[code] ?? 0) + 1;
    const facts = { args, code, signal, stdout, stderr };
    if (![0, 1, 2, 3, 4, 126, 127].includes(code) || signal !== null) {
      broken("a status of its own", facts);
    }
    if (INTERNALS.test(stderr)) broken("a user sees no internals", facts);
    // deno-lint-ignore no-control-regex -- the control characters are the point
    if (/[\x00-\x09\x0b-\x1f\x7f]/.test(stderr)) {
      broken("no control character reaches the terminal", facts);
    }
    if (code === 1 && stderr + stdout === "" && !args.includes("false")) {
      broken("a refusal says why", facts);
    }
  });
  return {
    what: "argument lists",
    times,
    seen: Object.entries(codes).map(([code, count]) => `exit ${code}: ${count}`).join(", "),
  };
}
