/** Random and structured input: pidfiles, durations, command lines. */
import fc from "fast-check";
import { parseDuration } from "../../lib/duration.ts";
import { parseContent } from "../../lib/pidfile/content.ts";
import { isRunning, Job, readIfExists, run, SIPID } from "../support.ts";
import {
  commandLine,
  durationText,
  millisecondsIn,
  pidfileContent,
  pidIn,
  spelling,
} from "./inputs.ts";
import { broken, INTERNALS, type Part, peakOf, type Row } from "./stress.ts";

export const fuzz: Part = async ({ seed, long, dir }) => [
  parser({ seed, numRuns: long ? 1_000_000 : 100_000 }),
  durations({ seed, numRuns: long ? 1_000_000 : 100_000 }),
  await pidfiles({ seed, numRuns: long ? 500 : 60 }, dir),
  await rewritten(dir, long ? 300 : 30),
  await hugeFile(dir),
  await commandLines({ seed, numRuns: long ? 2_000 : 150 }, dir),
];

/** How often a property is checked, and with which random inputs. */
interface Runs {
  readonly seed: number;
  readonly numRuns: number;
}

function parser(runs: Runs): Row {
  let pids = 0;
  fc.assert(
    fc.property(pidfileContent, (bytes) => {
      const found = parseContent(bytes);
      const pid = found.kind === "pid" ? Number(found.pid) : undefined;
      if (pid !== pidIn(bytes)) broken("a PID is plain decimal", { bytes, found });
      if (pid !== undefined) pids++;
    }),
    runs,
  );
  return {
    what: "pidfile contents through the parser, compared with a second definition",
    times: runs.numRuns,
    seen: `${pids} PIDs`,
  };
}

function durations(runs: Runs): Row {
  let valid = 0;
  fc.assert(
    fc.property(durationText, (text) => {
      const [found, expected] = [parseDuration(text), millisecondsIn(text)];
      const isSame = typeof found === "string"
        ? expected === undefined
        : expected !== undefined && Math.abs(found - expected) <= 1e-9 * expected;
      if (!isSame) broken("a duration means what it means in Go", { text, found, expected });
      if (expected !== undefined) valid++;
    }),
    runs,
  );
  return {
    what: "durations, compared with a second definition",
    times: runs.numRuns,
    seen: `${valid} valid`,
  };
}

/** Kills by pidfiles that nearly name a process, which must exit if and only if it is named. */
async function pidfiles(runs: Runs, dir: string): Promise<Row> {
  const path = `${dir}/fuzz.pid`;
  let killed = 0;
  await fc.assert(
    fc.asyncProperty(spelling, async (spell) => {
      await using bystander = new Job();
      const bytes = spell(bystander.pid);
      Deno.writeFileSync(path, bytes);
      const { code, stderr } = await run(SIPID, ["kill", "--pid-file", path]);
      const facts = { bytes, code, stderr };
      if (pidIn(bytes) === bystander.pid) {
        if (code !== 0 || (await bystander.status).signal !== "SIGTERM") {
          broken("the named process is stopped", facts);
        }
        killed++;
        return;
      }
      if (!isRunning(bystander.pid)) broken("a process that is not named keeps running", facts);
      // Other numbers, such as the PID in hexadecimal, are invalid or name no process.
      if (code === 1 && readIfExists(path) === undefined) {
        broken("a kill that fails keeps the file", facts);
      }
    }),
    runs,
  );
  return {
    what: "kills by pidfiles that almost name a bystander",
    times: runs.numRuns,
    seen: `${killed} named it, and only it was stopped`,
  };
}

/** A pidfile that is rewritten while it is read, in place and by rename. */
async function rewritten(dir: string, times: number): Promise<Row> {
  const path = `${dir}/rewritten.pid`;
  // Of different lengths; no mixture of two is a third. None of them names a process.
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
      if (![1, 3, 4].includes(code)) {
        broken("the exit status is documented", { code, stdout, stderr });
      }
      const { pid } = JSON.parse(stdout);
      if (pid !== null && !contents.some((it) => Number(it) === pid)) {
        broken("only a PID that was written is read", { stdout });
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

/** One run in a hundred, the kernel maps 24 MB more of the program's own file than it needs. */
const PEAK_RUNS = 5;

async function hugeFile(dir: string): Promise<Row> {
  const small = Deno.makeTempFileSync({ dir });
  Deno.writeTextFileSync(small, "x");
  const huge = `${dir}/huge.pid`;
  using file = Deno.openSync(huge, { write: true, create: true });
  file.truncateSync(2 ** 30);
  const peaks = [];
  for (const path of [small, huge]) {
    const runs = [];
    for (let run = 1; run <= PEAK_RUNS; run++) {
      const { code, peak, stderr } = await peakOf(["kill", "--pid-file", path]);
      if (code !== 1) broken("what is not a PID is rejected", { path, code, stderr });
      runs.push(peak);
    }
    peaks.push(Math.min(...runs));
  }
  if (peaks[1]! > peaks[0]! + 8_192) broken("memory does not grow with the file", peaks);
  return {
    what: "a sparse pidfile of 1 GiB",
    times: 1,
    seen: `${peaks[1]} KiB at most, ${peaks[0]} for a small one`,
  };
}

async function commandLines(runs: Runs, dir: string): Promise<Row> {
  const cwd = `${dir}/arguments`;
  Deno.mkdirSync(cwd);
  const codes: Record<number, number> = {};
  await fc.assert(
    fc.asyncProperty(commandLine, async (args) => {
      const { code, signal, stderr, stdout } = await run(SIPID, args, { cwd });
      codes[code] = (codes[code] ?? 0) + 1;
      const facts = { args, code, signal, stdout, stderr };
      if (![0, 1, 2, 3, 4, 126, 127].includes(code) || signal !== null) {
        broken("the exit status is documented", facts);
      }
      if (INTERNALS.test(stderr)) broken("no message of the runtime is shown", facts);
      // deno-lint-ignore no-control-regex -- the control characters are the point
      if (/[\x00-\x09\x0b-\x1f\x7f]/.test(stderr)) {
        broken("no control character reaches the terminal", facts);
      }
      const isSilent = ["false", "--quiet", "-q"].some((word) => args.includes(word));
      if (code === 1 && stderr + stdout === "" && !isSilent) {
        broken("a failure is explained", facts);
      }
    }),
    runs,
  );
  return {
    what: "argument lists",
    times: runs.numRuns,
    seen: Object.entries(codes).map(([code, count]) => `exit ${code}: ${count}`).join(", "),
  };
}
