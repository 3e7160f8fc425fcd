/** Many claims and kills at once on few pidfiles. */
import { delay } from "@std/async/delay";
import { isRunning, Job, readIfExists, run, SIPID } from "../support.ts";
import { broken, type Part, type Row } from "./stress.ts";

/** A job claims its seat, and shows by a lock of its own that it sits there alone. */
const JOB = `"$SIPID" claim --pid $$ --pid-file "$1" 2>/dev/null || exit 98
exec flock --no-fork --nonblock --conflict-exit-code 99 "$1.held" sleep 600`;
/** The same, known by its program, which it becomes by way of others. */
const JOB_BY_WAY = `program=$(command -v sleep)
"$SIPID" claim --pid $$ --pid-file "$1" --exec "$program" 2>/dev/null || exit 98
exec env A_VARIABLE_WITH_A_LONG_NAME=1 nice -n 0 \\
  flock --no-fork --nonblock --conflict-exit-code 99 "$1.held" "$program" 600`;
const REFUSED = 98;

/** One pidfile, and what was seen of it. */
class Seat {
  readonly path: string;
  won = 0;
  refused = 0;
  kills = 0;
  looks = 0;
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
        if (job.seen) broken("a pidfile names no process that never held it", { path: this.path });
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
      if (code !== 0) broken("a kill succeeds", { path: this.path, code, stderr });
      this.kills++;
    }
  }

  async lookUntil(done: () => boolean): Promise<void> {
    while (!done()) {
      const content = readIfExists(this.path);
      this.looks++;
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
  const seats = [JOB, JOB, JOB_BY_WAY].map((script, k) =>
    new Seat(`${dir}/run/${k}/job.pid`, script)
  );
  const sum = (what: (seat: Seat) => number): number =>
    seats.reduce((total, seat) => total + what(seat), 0);
  await using bystander = new Job();

  const done = (): boolean => sum((seat) => seat.won) >= cycles;
  await Promise.all(seats.map(async (seat) => {
    let claimed = false;
    const claims = Promise.all([seat.claimUntil(done), seat.claimUntil(done)])
      .finally(() => claimed = true);
    await Promise.all([claims, seat.killUntil(() => claimed), seat.lookUntil(() => claimed)]);
  }));

  for (const { path } of seats) {
    await run(SIPID, ["kill", "--pid-file", path]);
    if (readIfExists(path) !== undefined) broken("the last kill removes the pidfile", path);
    const held = await run("flock", ["--nonblock", `${path}.held`, "true"]);
    if (held.code !== 0) broken("no lock is left behind", path);
    const claim = await run(SIPID, ["claim", "--pid", String(bystander.pid), "--pid-file", path]);
    if (claim.code !== 0) broken("the next claim works", claim);
  }
  if (!isRunning(bystander.pid)) broken("a process in no pidfile is left alone", bystander.pid);
  return [
    {
      what: "claim, hold, be killed: 6 claimers and 3 killers at once on 3 pidfiles, one of them " +
        "claimed with --exec",
      times: sum((seat) => seat.won),
      seen: `${sum((seat) => seat.refused)} claims refused, ${sum((seat) => seat.kills)} kills, ` +
        `${sum((seat) => seat.looks)} looks`,
    },
    await together(dir, "one pidfile", () => `${dir}/one.pid`, 1),
    await together(dir, "pidfiles of their own", (k) => `${dir}/own-${k}.pid`, 200),
  ];
};

/** 200 claims started at the same moment. */
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
    const strange = results.find(({ code, stderr }) =>
      code !== 0 && !/already exists|is locking/.test(stderr)
    );
    if (won !== winners || strange !== undefined) {
      broken("each pidfile is won once", { won, strange });
    }
    return { what: `claims at the same moment, on ${where}`, times: count, seen: `${won} won` };
  } finally {
    for (const job of jobs) await job[Symbol.asyncDispose]();
  }
}
