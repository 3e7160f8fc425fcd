/** Hostile environments, closed and full streams, signals, a busy machine. */
import { inParallel, Job, readIfExists, run, SIPID } from "../support.ts";
import { broken, type Part, type Row, type Stress } from "./stress.ts";

const STALE = "2147483647";

export const surroundings: Part = async (stress) => [
  await environment(stress),
  await streams(stress.dir),
  await busy(stress),
];

const FAMILIES = /(?:DENO|RUST|V8|NODE|OTEL|TOKIO|SSL|UV|NPM|JSR|XDG)_(?:[A-Z0-9]{2,}_?)+/g;
const OTHERS = (
  "DENO_LOG RUST_LOG RUST_BACKTRACE RUST_LIB_BACKTRACE RUST_MIN_STACK NO_COLOR FORCE_COLOR CLICOLOR " +
  "CLICOLOR_FORCE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY HOME TMPDIR PATH LANG LC_ALL TZ TERM " +
  "SHELL USER PWD COLUMNS MALLOC_ARENA_MAX GLIBC_TUNABLES"
).split(" ");

/** Returns the variables that the runtime may read: names found in its binary, and known ones. */
function variables(): string[] {
  const text = new TextDecoder("latin1").decode(Deno.readFileSync(SIPID));
  const found = (text.match(FAMILIES) ?? [])
    // Strings in the binary follow each other without a separator.
    .map((word) => word.split(/(?!^)(?=(?:DENO|RUST|NODE|OTEL|TOKIO|SSL)_)/)[0]!.replace(/_$/, ""))
    .filter((word) => word.length < 40);
  return [...new Set([...found, ...OTHERS])].sort();
}

/**
 * These make the runtime itself log to stderr. Nothing runs before it that could prevent that; what
 * sipid does is the same.
 */
const ADD_LOGS = new Set(["DENO_LOG"]);

/** Runs a claim, a status and a kill, and returns their results and what they leave behind. */
async function story(dir: string, env: Record<string, string>) {
  Deno.mkdirSync(`${dir}/cwd`, { recursive: true });
  await using job = new Job();
  const path = `${dir}/web.pid`;
  Deno.writeTextFileSync(path, STALE);
  const results = [];
  for (const args of [["claim", "--pid", String(job.pid)], ["status", "--json"], ["kill"]]) {
    const result = await run(SIPID, [...args, "--pid-file", path], {
      env,
      clearEnv: true,
      cwd: `${dir}/cwd`,
    });
    const plain = (text: string): string =>
      text.replaceAll(dir, "DIR").replace(/[\d:T.-]+Z|after \d+(?:us|ms)|"uptimeSeconds":\d+/g, "")
        .replaceAll(String(job.pid), "PID");
    const { code, signal, stdout, stderr } = result;
    results.push({ code, signal, stdout: plain(stdout), stderr: plain(stderr).split("\n") });
    if (args[0] === "claim" && readIfExists(path) !== String(job.pid)) {
      broken("it claims", { env, results });
    }
  }
  if ((await job.status).signal !== "SIGTERM") broken("it kills", { env, results });
  const left = [...Deno.readDirSync(dir), ...Deno.readDirSync(`${dir}/cwd`)].map(({ name }) =>
    name
  );
  Deno.removeSync(dir, { recursive: true });
  return { results, left: left.sort() };
}

/** Returns a story with only sipid's own messages on stderr, which come after their time. */
function withoutLogs({ results, left }: Awaited<ReturnType<typeof story>>) {
  const isOwn = (line: string): boolean => line.startsWith(" sipid ");
  return {
    results: results.map((one) => ({ ...one, stderr: one.stderr.filter(isOwn) })),
    left,
  };
}

async function environment({ dir, long, random }: Stress): Promise<Row> {
  const base = await story(`${dir}/plain`, {});
  const names = variables();
  const trials = names.flatMap((name) =>
    ["1", "true", "", "/nonexistent/x", "-1", "debug", "\u00ff=%s;`x`", `${dir}/written/by/it`]
      .filter((value) => name !== "TMPDIR" || value.startsWith("/"))
      .map((value) => ({ name, value }))
  );
  await relativeTmpdir(`${dir}/tmpdir`);
  const chosen = [...ADD_LOGS].map((name) => ({ name, value: "debug" }))
    .concat(Array.from({ length: long ? 300 : 60 }, () => random.pick(trials)));
  await inParallel(chosen, 2, async ({ name, value }, index) => {
    const found = await story(`${dir}/${index}`, { [name]: value });
    const [results, expected] = [found, base].map((it) =>
      Deno.inspect(ADD_LOGS.has(name) ? withoutLogs(it) : it, { depth: 9 })
    );
    if (results !== expected) {
      broken("the environment changes nothing", { name, value, results, expected });
    }
    if (found.left.join() !== "cwd") {
      broken("nothing is written", { name, value, left: found.left });
    }
    if (readIfExists(`${dir}/written/by/it`) !== undefined) {
      broken("nothing is written", { name, value });
    }
  });
  return {
    what: `claim, status and kill with one of ${names.length} variables set`,
    times: chosen.length,
    seen: "same messages, same files; DENO_LOG adds messages of the runtime",
    note: `variables: ${names.join(" ")}`,
  };
}

/** With a TMPDIR that is not absolute the runtime does not start, and nothing is changed. */
async function relativeTmpdir(dir: string): Promise<void> {
  Deno.mkdirSync(dir);
  const path = `${dir}/web.pid`;
  Deno.writeTextFileSync(path, STALE);
  const args = ["claim", "--pid", "17", "--pid-file", path];
  for (const TMPDIR of ["", "tmp"]) {
    const { code } = await run(SIPID, args, { env: { TMPDIR }, cwd: dir });
    if (code !== 1 || readIfExists(path) !== STALE) {
      broken("what does not start changes nothing", code);
    }
  }
}

async function streams(dir: string): Promise<Row> {
  const ways = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full", "2>&1 | true"];
  for (const [index, way] of ways.entries()) {
    const path = `${dir}/streams-${index}.pid`;
    await using job = new Job();
    const script = `"$SIPID" claim --pid ${job.pid} --pid-file ${path} ${way}
      "$SIPID" claim --pid ${job.pid} --pid-file ${path} ${way}
      "$SIPID" status --pid-file ${path} ${way}
      cat ${path}
      "$SIPID" kill --pid-file ${path} ${way}`;
    const { stdout } = await run("sh", ["-c", script], { env: { SIPID } });
    const facts = { way, stdout, left: readIfExists(path) };
    if (!stdout.endsWith(String(job.pid))) broken("it claims whatever its streams are", facts);
    if (facts.left !== undefined) broken("it removes whatever its streams are", facts);
    if ((await job.status).signal !== "SIGTERM") broken("it kills whatever its streams are", facts);
  }
  return {
    what: `streams closed, full or broken: ${ways.join(", ").replaceAll("|", "to")}`,
    times: ways.length,
    seen: "done each time",
  };
}

/** Claims and kills at nice 19 next to two CPU hogs. */
async function busy({ dir, long }: Stress): Promise<Row> {
  const times = long ? 30 : 3;
  await using _one = new Job("while :; do :; done");
  await using _other = new Job("while :; do :; done");
  for (let time = 0; time < times; time++) {
    await using job = new Job();
    const path = `${dir}/busy.pid`;
    for (const args of [["claim", "--pid", String(job.pid)], ["kill"]]) {
      const result = await run("nice", ["-n", "19", SIPID, ...args, "--pid-file", path]);
      if (result.code !== 0) broken("it works on a busy machine", { args, result });
    }
    if ((await job.status).signal !== "SIGTERM") broken("it kills on a busy machine", {});
  }
  return { what: "claim and kill at nice 19 next to two CPU hogs", times, seen: "done each time" };
}
