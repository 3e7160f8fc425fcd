/** Every system call on the pidfile, failing in every way; and too few files, too little memory. */
import { inParallel, Job, readIfExists, run, SIPID } from "../support.ts";
import { assertTame, broken, type Part, type Row } from "./stress.ts";

const STALE = "2147483647";
const ERRORS = [
  "EIO",
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "EACCES",
  "EPERM",
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "ESTALE",
  "ENOLCK",
  "EOPNOTSUPP",
  "EINTR",
  "ENOENT",
  "EBUSY",
];
/** strace sees every call on the file or a descriptor of it; these cannot fail. */
const NEVER_FAIL = /^(close|fcntl|dup\d?|execve|exit)$/;

/** A command on a pidfile, in a directory of its own. */
interface Case {
  readonly name: string;
  readonly before: (job: Job) => string | undefined;
  readonly args: (path: string, job: Job) => string[];
  /** Whether it makes the same calls again for 200 ms, how often nobody knows; twice at least. */
  readonly isRepeated?: true;
}

const CASES: readonly Case[] = [
  {
    name: "claim, no file",
    before: () => undefined,
    args: (path, job) => ["claim", "--pid", String(job.pid), "--pid-file", path],
  },
  {
    name: "claim, empty file",
    before: () => "",
    args: (path, job) => ["claim", "--pid", String(job.pid), "--pid-file", path],
    isRepeated: true,
  },
  {
    name: "claim, stale file",
    before: () => STALE,
    args: (path, job) => ["claim", "--pid", String(job.pid), "--pid-file", path],
  },
  {
    name: "kill, stale file",
    before: () => STALE,
    args: (path) => ["kill", "--pid-file", path],
  },
  {
    name: "kill, running process",
    before: (job) => String(job.pid),
    args: (path) => ["kill", "--pid-file", path],
  },
  {
    name: "status",
    before: (job) => String(job.pid),
    args: (path) => ["status", "--pid-file", path],
  },
];

/** Runs one case under strace. */
async function trial(one: Case, dir: string, inject: string[]) {
  Deno.mkdirSync(dir);
  const path = `${dir}/web.pid`;
  const trace = `${dir}.trace`;
  await using job = new Job();
  const before = one.before(job);
  if (before !== undefined) Deno.writeTextFileSync(path, before);
  const paths = ["-P", path, "-P", `${dir}/.web.pid.new`];
  const result = await run("strace", [
    ...["-f", "-qq", "-o", trace, ...paths, ...inject],
    SIPID,
    ...one.args(path, job),
  ]);
  const after = readIfExists(path);
  const calls = Deno.readTextFileSync(trace);
  const facts = { case: one.name, inject, before, after, result };
  assertTame(result, facts);
  const { code } = result;
  if (code !== 0 && one.name !== "status" && !result.stderr.includes(path)) {
    broken("a refusal names the file", facts);
  }
  const isHidden = inject.some((it) => it.includes("ENOENT"));
  if (code === 1 && one.name !== "status" && !isHidden) {
    if (!/; [a-z]/.test(result.stderr)) broken("a refusal has a hint", facts);
  }
  if (one.name.startsWith("claim")) {
    if (code === 0 && after !== String(job.pid)) broken("a claim that succeeds has written", facts);
    // A new file exists, empty, once it is opened, and only the holder of its lock may remove it.
    const allowed = [before, before ?? ""];
    if (code === 1 && !allowed.includes(after)) broken("a claim that fails changes nothing", facts);
  }
  if (code === 1 && one.name.startsWith("kill") && after !== before) {
    broken("a kill that fails keeps the file", facts);
  }
  if (one.name === "kill, running process" && code === 0 && !isHidden) {
    if ((await job.status).signal !== "SIGTERM") broken("a kill that succeeds has killed", facts);
  }
  // Nothing needs repair, whatever happened.
  const kill = await run(SIPID, ["kill", "--pid-file", path]);
  const claim = await run(SIPID, ["claim", "--pid", String(Deno.pid), "--pid-file", path]);
  if (kill.code !== 0 || claim.code !== 0) broken("the next ones work", { facts, kill, claim });
  if (readIfExists(`${dir}/.web.pid.new`) !== undefined) broken("no temporary file is left", facts);
  return { calls, code };
}

/** Returns the calls up to the second try to create the pidfile. */
function firstTurn(calls: string): string {
  const second = calls.indexOf("O_EXCL", calls.indexOf("O_EXCL") + 1);
  return calls.slice(0, calls.lastIndexOf("\n", second) + 1);
}

export const faults: Part = async ({ dir, long, random }) => {
  const trials: { one: Case; inject: string }[] = [];
  for (const [index, one] of CASES.entries()) {
    const { calls: all, code } = await trial(one, `${dir}/plain-${index}`, []);
    if (code !== 0) broken("without a fault it succeeds", { one, code });
    const calls = one.isRepeated ? firstTurn(all) : all;
    const count: Record<string, number> = {};
    // By thread: strace counts that way.
    for (const [, thread, call] of calls.matchAll(/^(\d+) +(\w+)\(/gm)) {
      const key = `${thread} ${call}`;
      count[key] = (count[key] ?? 0) + 1;
      if (NEVER_FAIL.test(call!)) continue;
      for (const error of ERRORS) {
        trials.push({ one, inject: `inject=${call}:error=${error}:when=${count[key]}` });
      }
    }
  }
  const chosen = long ? trials : Array.from({ length: 80 }, () => random.pick(trials));
  const codes: Record<string, number> = {};
  await inParallel(chosen, 2, async ({ one, inject }, index) => {
    const { calls, code } = await trial(one, `${dir}/${index}`, ["-e", inject]);
    if (!calls.includes("(INJECTED)")) broken("the fault was met", { one, inject, calls });
    codes[code] = (codes[code] ?? 0) + 1;
  });
  return [
    {
      what: "one system call on the pidfile fails",
      times: chosen.length,
      seen: Object.entries(codes).map(([code, times]) => `exit ${code}: ${times}`).join(", "),
      note: `errors: ${ERRORS.join(" ")}`,
    },
    await scarce(dir, "too few files: ulimit -n", "-n", Array.from({ length: 40 }, (_, k) => k)),
    await scarce(
      dir,
      "too little memory: ulimit -v",
      "-v",
      Array.from({ length: long ? 200 : 40 }, () => Math.floor(2 ** (22 + random.next() * 5))),
    ),
  ];
};

/** Claims with a resource limit: the runtime does not start, or the claim is done or refused. */
async function scarce(dir: string, what: string, flag: string, limits: number[]): Promise<Row> {
  let [started, done] = [0, 0];
  await using job = new Job();
  await inParallel(limits, 2, async (limit, index) => {
    const path = `${dir}/scarce${flag}${index}.pid`;
    Deno.writeTextFileSync(path, STALE);
    const script = `ulimit ${flag} ${limit} && exec "$@"`;
    const args = ["-c", script, "sh", SIPID, "claim", "--pid", String(job.pid), "--pid-file", path];
    const { code, stderr } = await run("sh", args);
    const after = readIfExists(path);
    const said = / sipid [a-z-]+: /.test(stderr);
    if (said || code === 0) started++;
    if (code === 0) done++;
    const expected = code === 0 ? String(job.pid) : STALE;
    if (after !== expected || (said && code !== 0 && code !== 1)) {
      broken("it is done, or nothing is changed", { flag, limit, code, stderr, after });
    }
  });
  return {
    what: `${what} ${Math.min(...limits)} to ${Math.max(...limits)}`,
    times: limits.length,
    seen: `${done} done, ${started - done} refused, ${
      limits.length - started
    } the runtime did not start`,
  };
}
