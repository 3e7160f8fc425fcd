/** Many claims and kills at the same time on few pidfiles. */
import { delay } from "@std/async/delay";
import { isRunning, Job, readIfExists, run, SIPID } from "../support.ts";
import { broken, type Part, type Row } from "./stress.ts";

/** A job that claims its pidfile, and shows with a lock of its own that it is the only holder. */
const JOB = `"$SIPID" claim --pid $$ --pid-file "$1" 2>/dev/null || exit 98
exec flock --no-fork --nonblock --conflict-exit-code 99 "$1.held" sleep 600`;
/** The same with --exec; it becomes its program through others. */
const JOB_IN_STEPS = `program=$(command -v sleep)
"$SIPID" claim --pid $$ --pid-file "$1" --exec "$program" 2>/dev/null || exit 98
exec env A_VARIABLE_WITH_A_LONG_NAME=1 nice -n 0 \\
  flock --no-fork --nonblock --conflict-exit-code 99 "$1.held" "$program" 600`;
const REFUSED = 98;

/** One pidfile, and what was observed. */
class Contested {
  readonly path: string;
  won = 0;
  refused = 0;
  kills = 0;
  reads = 0;
  /** Jobs by PID, and whether the pidfile was seen to name them. */
  readonly #jobs = new Map<string, { seen: boolean }>();

  constructor(path: string, readonly script: string) {
    this.path = path;
  }

  /** Starts jobs one after another until `done`. */
  async claimUntil(done: () => boolean): Promise<void> {
    while (!done()) {
      const child = new Deno.Command("sh", {
        args: ["-c", this.script, "job", this.path],
        env: { SIPID },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const job = { seen: false };
      this.#jobs.set(String(child.pid), job);
      const status = await child.status;
      if (status.code === REFUSED) {
        this.refused++;
        if (job.seen) broken("a pidfile names only processes that held it", { path: this.path });
      } else if (status.signal === "SIGTERM") {
        this.won++;
      } else {
        broken("a pidfile has one holder", { path: this.path, status });
      }
    }
  }

  async killUntil(done: () => boolean): Promise<void> {
    while (!done()) {
      const { code, stderr } = await run(SIPID, ["kill", "--pid-file", this.path]);
      // Another claim may have taken the pidfile over between the exit and the removal.
      const isSuperseded = code === 1 && stderr.includes("has taken it over");
      if (code !== 0 && !isSuperseded) {
        broken("a kill succeeds", { path: this.path, code, stderr });
      }
      this.kills++;
    }
  }

  /** Reads the pidfile every 2 ms until `done`. */
  async readUntil(done: () => boolean): Promise<void> {
    while (!done()) {
      const content = readIfExists(this.path);
      this.reads++;
      if (content !== undefined && content !== "") {
        const job = this.#jobs.get(content);
        if (job === undefined) broken("a pidfile holds the PID of a job", { content });
        job.seen = true;
      }
      await delay(2);
    }
  }
}

export const contention: Part = async ({ dir, long }) => {
  const cycles = long ? 10_000 : 250;
  const contested = [JOB, JOB, JOB_IN_STEPS].map((script, k) =>
    new Contested(`${dir}/run/${k}/job.pid`, script)
  );
  const sum = (what: (one: Contested) => number): number =>
    contested.reduce((total, one) => total + what(one), 0);
  await using bystander = new Job();

  const done = (): boolean => sum(({ won }) => won) >= cycles;
  await Promise.all(contested.map(async (one) => {
    let claimed = false;
    const claims = Promise.all([one.claimUntil(done), one.claimUntil(done)])
      .finally(() => claimed = true);
    await Promise.all([claims, one.killUntil(() => claimed), one.readUntil(() => claimed)]);
  }));

  for (const { path } of contested) {
    await run(SIPID, ["kill", "--pid-file", path]);
    if (readIfExists(path) !== undefined) broken("the last kill removes the pidfile", path);
    const held = await run("flock", ["--nonblock", `${path}.held`, "true"]);
    if (held.code !== 0) broken("no lock is left behind", path);
    const claim = await run(SIPID, ["claim", "--pid", String(bystander.pid), "--pid-file", path]);
    if (claim.code !== 0) broken("the next claim works", claim);
  }
  if (!isRunning(bystander.pid)) {
    broken("a process that no pidfile names is still running", bystander.pid);
  }
  return [
    {
      what: "6 claimers, 3 killers, 3 pidfiles, one of them claimed with --exec",
      times: sum(({ won }) => won),
      seen:
        `${sum(({ refused }) => refused)} claims refused, ${sum(({ kills }) => kills)} kills, ` +
        `${sum(({ reads }) => reads)} reads`,
    },
    await together(dir, "one pidfile", () => `${dir}/one.pid`, 1),
    await together(dir, "one pidfile each", (k) => `${dir}/own-${k}.pid`, 200),
  ];
};

/** Starts 200 claims at the same moment. */
async function together(
  dir: string,
  where: string,
  path: (k: number) => string,
  winners: number,
): Promise<Row> {
  const count = 200;
  const jobs = Array.from({ length: count }, () => new Job());
  try {
    // All wait for one file to appear.
    const script =
      `until [ -e "$1" ]; do sleep 0.01; done; exec "$SIPID" claim --pid "$2" --pid-file "$3"`;
    const go = `${dir}/go-${winners}`;
    const claims = jobs.map((job, k) =>
      run("sh", ["-c", script, "sh", go, String(job.pid), path(k)], { env: { SIPID } })
    );
    await delay(300);
    Deno.writeTextFileSync(go, "");
    const results = await Promise.all(claims);
    const won = results.filter(({ code }) => code === 0).length;
    const unexpected = results.find(({ code, stderr }) =>
      code !== 0 && !/already exists|is locking/.test(stderr)
    );
    if (won !== winners || unexpected !== undefined) {
      broken("each pidfile is won once", { won, unexpected });
    }
    return { what: `claims at the same moment, on ${where}`, times: count, seen: `${won} won` };
  } finally {
    for (const job of jobs) await job[Symbol.asyncDispose]();
  }
}
