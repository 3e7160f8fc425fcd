/** PIDs recycled on purpose, and a wall clock that jumps. Works only in a PID namespace. */
import { delay } from "@std/async/delay";
import { fakeClock } from "../faketime.ts";
import { isRunning, Job, readIfExists, run, SIPID, until } from "../support.ts";
import { broken, type Part, type Random, type Row } from "./stress.ts";

const IGNORES_TERM = 'trap "" TERM; while :; do sleep 600 & wait $!; done';

export const recycled: Part = async ({ dir, long, random }) => {
  const rounds = long ? 50 : 8;
  let recycledInTime = 0;
  for (let round = 0; round < rounds; round++) {
    if (await oneRound(`${dir}/${round}`, random)) recycledInTime++;
  }
  if (recycledInTime === 0) broken("a PID was recycled at all", { rounds });
  return [{
    what: "a process exits in the grace period, its PID goes to another",
    times: rounds,
    seen: `${recycledInTime} reused in time, every other process still running`,
  }];
};

/** Returns whether the PID was reused before kill could see that its process had exited. */
async function oneRound(base: string, random: Random): Promise<boolean> {
  const path = `${base}.pid`;
  const log = `${base}.log`;
  await using job = new Job("trap '' TERM; exec sleep 600");
  await until(() => readIfExists(`/proc/${job.pid}/comm`) === "sleep\n", "the job ignores SIGTERM");
  Deno.writeTextFileSync(path, String(job.pid));
  const kill = new Deno.Command("sh", {
    args: ["-c", `exec ${SIPID} kill --pid-file ${path} --grace-period 1500ms 2>${log}`],
    stdin: "null",
  }).spawn();
  await until(() => /sent SIGTERM/.test(readIfExists(log) ?? ""), "SIGTERM is sent");
  await delay(random.next() * 300);
  // Stopped while the PID changes its process, so that kill cannot see it free in between.
  const isHeld = random.below(4) > 0;
  if (isHeld) kill.kill("SIGSTOP");
  Deno.kill(job.pid, "SIGKILL");
  await job.status;
  await using other = await jobWithPid(job.pid);
  if (isHeld) kill.kill("SIGCONT");
  const { code } = await kill.status;
  const text = readIfExists(log)!;
  if (code !== 0 || !/exited after/.test(text)) {
    broken("kill sees that its process has exited", text);
  }
  if (/SIGKILL/.test(text)) broken("no unrelated process is killed", text);
  if (!isRunning(other.pid)) broken("the unrelated process is still running", text);
  return isHeld;
}

/** Starts a job with this PID. */
async function jobWithPid(pid: number): Promise<Job> {
  for (;;) {
    Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    const job = new Job();
    if (job.pid === pid) return job;
    await job[Symbol.asyncDispose]();
  }
}

export const clock: Part = async ({ dir, long, random }) => {
  const rows: Row[] = [];
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => new Response("not yet", { status: 503 }),
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  for (const name of ["wait-until-healthy", "kill"]) {
    const rounds = long ? 10 : 3;
    let jumps = 0;
    for (let round = 0; round < rounds; round++) {
      const base = `${dir}/${name}-${round}`;
      await using job = new Job(IGNORES_TERM);
      // A claim depends on no clock; without its record a clock that jumps makes the PID unclear.
      const claim = ["claim", "--pid", String(job.pid), "--pid-file", `${base}.pid`];
      const claimed = await run(SIPID, claim);
      if (claimed.code !== 0) broken("it is claimed", claimed);
      await delay(50);
      const limit = 1_000 + random.below(1_000);
      const args = name === "kill"
        ? ["kill", "--pid-file", `${base}.pid`, "--grace-period", `${limit}ms`]
        : ["wait-until-healthy", "--url", url, "--timeout", `${limit}ms`];
      const set = (): void => {
        const offset = `${random.pick(["+", "-"])}${1 + random.below(100)}h`;
        Deno.writeTextFileSync(`${base}.tmp`, offset);
        Deno.renameSync(`${base}.tmp`, `${base}.time`);
      };
      set();
      const timer = setInterval(() => {
        set();
        jumps++;
      }, 20);
      const { code, stderr, ms } = await run(SIPID, args, {
        env: fakeClock({ FAKETIME_TIMESTAMP_FILE: `${base}.time`, FAKETIME_NO_CACHE: "1" }),
      });
      clearInterval(timer);
      const facts = { args, code, stderr, ms };
      if (code !== (name === "kill" ? 0 : 1)) broken("it exits as without the jumps", facts);
      const difference = Math.abs(Date.parse(stderr.slice(0, 24)) - Date.now());
      if (!(difference > 1_000_000)) broken("its clock was moved", facts);
      // SIGKILL follows the grace period and takes hardly any time.
      if (ms < limit || ms > limit + 2_000) broken("deadlines keep to the monotonic clock", facts);
    }
    rows.push({
      what: `${name} while its wall clock jumps by up to 100 hours`,
      times: rounds,
      seen: `${jumps} jumps, each deadline kept`,
    });
  }
  await server.shutdown();
  return rows;
};
