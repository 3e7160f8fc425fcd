/** Signals that end sipid itself at a random moment of a claim and of a kill. */
import { delay } from "@std/async/delay";
import { Job, readIfExists, run, SIPID } from "../support.ts";
import { broken, measure, type Part, type Random } from "./stress.ts";

const STALE = "2147483647";

export const interrupted: Part = async ({ dir, long, random }) => {
  const path = `${dir}/run/web.pid`;
  const duration = await measure("kill", "--pid-file", path);
  const rows = [];
  for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"] as const) {
    const rounds = signal === "SIGKILL" ? (long ? 1_000 : 60) : (long ? 100 : 15);
    const seen: Record<string, number> = {};
    for (let round = 0; round < rounds; round++) {
      const moment = (): number => random.next() * duration * 1.2;
      const kind = await oneRound(path, signal, moment, random);
      seen[kind] = (seen[kind] ?? 0) + 1;
    }
    rows.push({
      what: `${signal} to a claim, then to a kill`,
      times: rounds,
      seen: Object.entries(seen).map(([kind, count]) => `${kind} ${count}`).join(", "),
    });
  }
  return rows;
};

async function oneRound(
  path: string,
  signal: Deno.Signal,
  moment: () => number,
  random: Random,
): Promise<string> {
  const before = random.pick([undefined, "", STALE]);
  Deno.mkdirSync(path.replace(/[^/]*$/, ""), { recursive: true });
  if (before === undefined) removeIfExists(path);
  else Deno.writeTextFileSync(path, before);
  await using job = new Job();
  const pid = String(job.pid);

  await interrupt(["claim", "--pid", pid, "--pid-file", path], signal, moment());
  const now = readIfExists(path);
  const kind = now === pid ? "new" : now === before ? "old" : now === "" ? "empty" : undefined;
  if (kind === undefined) broken("a pidfile is old, new or empty", { before, now, pid });
  const claim = await run(SIPID, ["claim", "--pid", pid, "--pid-file", path]);
  const expected = kind === "new" ? 1 : 0;
  if (claim.code !== expected || readIfExists(path) !== pid) {
    broken("the next claim works", { kind, claim, now: readIfExists(path) });
  }

  await interrupt(["kill", "--pid-file", path], signal, moment());
  const left = readIfExists(path);
  // It empties the file before it removes it.
  const isKept = left === undefined || left === pid || left === "";
  if (!isKept) broken("a kill writes nothing", { left, pid });
  const kill = await run(SIPID, ["kill", "--pid-file", path]);
  if (kill.code !== 0) broken("the next kill works", kill);
  if (readIfExists(path) !== undefined) broken("the next kill removes the file", kill);
  const status = await job.status;
  if (status.signal !== "SIGTERM") broken("the process is stopped", status);
  return kind;
}

async function interrupt(args: string[], signal: Deno.Signal, after: number): Promise<void> {
  const child = new Deno.Command(SIPID, { args, stdin: "null", stderr: "null" }).spawn();
  await delay(after);
  try {
    child.kill(signal);
  } catch {
    // It has exited already.
  }
  const status = await child.status;
  if (status.signal !== signal && status.code !== 0) broken("it exits", { args, status });
}

function removeIfExists(path: string): void {
  if (readIfExists(path) !== undefined) Deno.removeSync(path);
}
