/** Stops at random moments of a start: in the script, in a wrapper, at an exec, while it runs. */
import { delay } from "@std/async/delay";
import { inParallel, isRunning, readIfExists, run, SIPID, until } from "../support.ts";
import { broken, measure, type Part, type Random } from "./stress.ts";

/**
 * Claims, and becomes the service by way of a wrapper and of flock(1), whose lock shows a second
 * one. $1 is the pidfile, $2 the service's program, $3 and $4 are seconds to sleep, and the rest are
 * options of the claim.
 */
const START = `pidfile=$1 program=$2 before=$3 after=$4; shift 4
"$SIPID" claim --pid $$ --pid-file "$pidfile" "$@" 2>/dev/null || exit 98
sleep "$before"
exec env sh -c 'sleep "$4"; exec "$0" --no-fork --nonblock --conflict-exit-code 99 "$1" "$2" 600' \\
  flock "$pidfile.held" "$program" "" "$after"`;
const REFUSED = 98;

/** A start, until it is refused, stopped or the service. */
class Start {
  readonly #child: Deno.ChildProcess;
  readonly status: Promise<Deno.CommandStatus>;
  hasExited = false;

  constructor(args: string[]) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", START, "start", ...args],
      env: { SIPID },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.status = this.#child.status.finally(() => this.hasExited = true);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isService(): boolean {
    return readIfExists(`/proc/${this.pid}/comm`) === "service\n";
  }
}

/**
 * Milliseconds that a start sleeps at most, twice: briefly, so that stops meet its system calls, or
 * for longer than an unclear pidfile is re-read.
 */
const SLEEPS_MS = [20, 400];

export const starts: Part = async ({ dir, long, random }) => {
  const rounds = long ? 2_000 : 300;
  const program = `${dir}/service`;
  Deno.copyFileSync("/bin/sleep", program);
  Deno.chmodSync(program, 0o755);
  const startup = await measure("kill", "--pid-file", `${dir}/none.pid`);
  const seen: Record<string, number> = {};
  // Each has a source of its own, so that a round does not depend on how the others interleave.
  const sources = Array.from({ length: rounds }, () => random.fork());
  await inParallel(sources, 3, async (source, round) => {
    for (
      const kind of await oneRound(`${dir}/${round}`, program, source, round % 2 === 0, startup)
    ) {
      seen[kind] = (seen[kind] ?? 0) + 1;
    }
  });
  const counts = Object.entries(seen).sort().map(([kind, count]) => `${kind}: ${count}`);
  return [{
    what: "stops at a random moment of one or two starts, half of them with --exec",
    times: rounds,
    seen: counts.join(", "),
  }];
};

/**
 * Returns what became of the starts.
 *
 * @param startup milliseconds that a run of sipid takes, about
 */
async function oneRound(
  base: string,
  program: string,
  random: Random,
  hasExec: boolean,
  startup: number,
): Promise<string[]> {
  const path = `${base}/web.pid`;
  Deno.mkdirSync(base);
  const before = random.pick([undefined, "", "2147483647"]);
  if (before !== undefined) Deno.writeTextFileSync(path, before);
  const longest = random.pick(SLEEPS_MS);
  const limit = 2 * longest + 2 * startup;
  const sleep = (): string => (random.below(longest) / 1000).toFixed(3);
  const exec = hasExec ? ["--exec", program] : [];
  // The same program by another name of its path.
  const otherwise = hasExec ? ["--exec", program.replace(/\/([^/]*)$/, "/./$1")] : [];
  const started = [new Start([path, program, sleep(), sleep(), ...exec])];
  const kinds: string[] = [];
  const facts = (): unknown => ({
    pidfile: readIfExists(path),
    record: readIfExists(`${base}/.web.pid.claim`),
    starts: started.map(({ pid, hasExited }) => ({ pid, hasExited })),
  });
  const stop = async (): Promise<void> => {
    await delay(random.next() * limit);
    const kill = await run(SIPID, ["kill", "--pid-file", path, ...exec]);
    // The second start may have claimed as soon as the first one had exited.
    const isOvertaken = kill.code === 1 && /has taken it over, is running/.test(kill.stderr);
    if (kill.code !== 0 && !isOvertaken) broken("a stop succeeds whenever it comes", { kill });
    if (isOvertaken) kinds.push("stop overtaken");
  };
  const startAgain = async (): Promise<void> => {
    await delay(random.next() * limit);
    started.push(new Start([path, program, sleep(), sleep(), ...otherwise]));
  };
  await Promise.all([stop(), ...(random.below(2) === 0 ? [startAgain()] : [])]);

  await until(() => started.every((it) => it.hasExited || it.isService), "the starts are over");
  const services = started.filter((it) => !it.hasExited);
  if (services.length > 1) broken("there are never two services", facts());
  const named = readIfExists(path);
  const pid = services[0]?.pid;
  if (pid !== undefined && named !== String(pid)) broken("a process has its pidfile", facts());
  if (pid === undefined && named !== undefined && named !== before) {
    if (!isRunning(Number(named))) broken("a pidfile has its process", facts());
  }
  const last = await run(SIPID, ["kill", "--pid-file", path, ...exec]);
  if (last.code !== 0 || readIfExists(path) !== undefined) {
    broken("the last stop removes the pidfile", { last });
  }
  for (const { status } of started) {
    const { code, signal } = await status;
    if (signal !== "SIGTERM" && code !== REFUSED) {
      broken("a start is refused or stopped with SIGTERM", { code, signal });
    }
    kinds.push(code === REFUSED ? "refused" : services.length > 0 ? "stopped later" : "stopped");
  }
  Deno.removeSync(base, { recursive: true });
  return kinds;
}
