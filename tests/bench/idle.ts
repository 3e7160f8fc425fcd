/** What waiting costs: CPU time, wake-ups, memory. */
import { delay } from "@std/async/delay";
import { Running, SIPID, until } from "../support.ts";
import { type Measurement, median, repeat } from "./bench.ts";

const PEER = "Supervisor's pidproxy";
const TEN_MINUTES_MS = 600_000;
const IDLERS = 3;
const KILL_S = 20;
/** Milliseconds after which a program has started and waits. */
const SETTLING_MS = 1_000;
/** The same for ten idle minutes: V8 tidies its heap once some seconds after the start. */
const LONG_SETTLING_MS = 30_000;

function start(program: string, args: readonly string[]): Promise<Running> {
  return Running.start("sh", ["-c", 'echo ready; exec "$0" "$@" 2>&1', program, ...args]);
}

/** Wake-ups and milliseconds of CPU time of a process up to now. */
function usage(pid: number): { readonly wakeUps: number; readonly cpuMs: number } {
  let [wakeUps, nanoseconds] = [0, 0];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const read = (file: string) => Deno.readTextFileSync(`/proc/${pid}/task/${name}/${file}`);
    wakeUps += Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(read("status"))![1]);
    nanoseconds += Number(read("schedstat").split(" ")[0]);
  }
  return { wakeUps, cpuMs: nanoseconds / 1e6 };
}

/** What a process did in some time, and what it had resident at the end. */
interface Rest {
  readonly wakeUps: number;
  readonly cpuMs: number;
  readonly rssMib: number;
}

async function rest(pid: number, ms: number): Promise<Rest> {
  await delay(ms === TEN_MINUTES_MS ? LONG_SETTLING_MS : SETTLING_MS);
  const before = usage(pid);
  await delay(ms);
  const after = usage(pid);
  const rollup = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return {
    wakeUps: after.wakeUps - before.wakeUps,
    cpuMs: after.cpuMs - before.cpuMs,
    rssMib: Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)![1]) / 1024,
  };
}

/** Idles for ten minutes under a proxy, then ends what it waits for. */
async function idle(
  program: string,
  args: readonly string[],
  waitsFor: (proxy: Running) => number,
): Promise<Rest> {
  await using proxy = await start(program, args);
  const result = await rest(proxy.pid, TEN_MINUTES_MS);
  Deno.kill(waitsFor(proxy), "SIGKILL");
  return result;
}

function childOf({ pid }: Running): number {
  return Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")[0]);
}

/** Starts pidproxy with a command that starts a daemon, and returns it and the daemon's PID. */
async function proxied(
  path: string,
  command: readonly string[],
): Promise<{ proxy: Running; pid: number }> {
  const proxy = await start(SIPID, ["pidproxy", "--wait", "5s", path, ...command]);
  let pid = 0;
  await until(() => {
    try {
      return (pid = Number(Deno.readTextFileSync(path))) > 0;
    } catch {
      return false;
    }
  }, "the daemon is up");
  return { proxy, pid };
}

/**
 * Returns the milliseconds from the SIGKILL of a daemon of that age to the line in which its proxy
 * reports the exit. The command goes on: otherwise the proxy gives a successor 50 ms to appear.
 */
async function notices(path: string, ageMs: number): Promise<number> {
  const daemon = `sleep 900 & echo $! >${path}; exec sleep 900`;
  const { proxy, pid } = await proxied(path, ["sh", "-c", daemon]);
  await using _proxy = proxy;
  const command = childOf(proxy);
  await delay(ageMs);
  const begin = performance.now();
  Deno.kill(pid, "SIGKILL");
  await proxy.line(/ exited; .* is running$/m);
  const noticed = performance.now() - begin;
  Deno.kill(command, "SIGKILL");
  await proxy.status;
  return noticed;
}

/**
 * Measures proxies for ten minutes, during which other parts can run.
 *
 * @param program a program that only waits, compiled with the same flags as sipid
 */
export async function tenMinutes(dir: string, program: string): Promise<Measurement[]> {
  const command = [`${dir}/none.pid`, "/bin/sleep", "900"];
  const times = <T>(work: (round: number) => Promise<T>) => repeat(IDLERS, IDLERS, work, 800);
  const watch = async (round: number): Promise<Rest> => {
    const path = `${dir}/idle-${round}.pid`;
    const { proxy, pid } = await proxied(path, ["sh", "-c", `sleep 900 & echo $! >${path}`]);
    await using _proxy = proxy;
    const result = await rest(proxy.pid, TEN_MINUTES_MS);
    Deno.kill(pid, "SIGKILL");
    return result;
  };
  const [floor, commands, daemons, python, late] = await Promise.all([
    times(() => idle(program, [], ({ pid }) => pid)),
    times(() => idle(SIPID, ["pidproxy", ...command], childOf)),
    times(watch),
    times(() => idle("pidproxy", command, childOf)),
    // Later than the others, whose exits would compete for two cores.
    delay(5_000).then(() =>
      times((round) => notices(`${dir}/late-${round}.pid`, TEN_MINUTES_MS + LONG_SETTLING_MS))
    ),
  ]);
  const series = (key: keyof Rest, some: readonly Rest[], withFloor = false) => ({
    sipid: some.map((one) => one[key]),
    ...(withFloor && { "an idle program": floor.map((one) => one[key]) }),
    [PEER]: python.map((one) => one[key]),
  });
  const rows: Measurement[] = [];
  for (const [state, some] of [["its command", commands], ["a daemon", daemons]] as const) {
    const of = (key: keyof Rest, others = some): number => median(others.map((one) => one[key]));
    rows.push({
      what: `pidproxy, resident memory while it waits for ${state}`,
      ...(some === daemons && { chart: "Memory: pidproxy, waiting" }),
      unit: "MiB",
      series: series("rssMib", some, true),
      target: {
        text: "5 MiB above an idle program",
        value: of("rssMib") - of("rssMib", floor),
        limit: 5,
      },
    }, {
      what: `pidproxy, CPU time in ten idle minutes, waiting for ${state}`,
      unit: "ms",
      series: series("cpuMs", some),
      target: { text: "under 1 ms", value: of("cpuMs"), limit: 1 },
    }, {
      what: `pidproxy, wake-ups in ten idle minutes, waiting for ${state}`,
      unit: "",
      series: series("wakeUps", some),
      target: { text: "none", value: of("wakeUps"), limit: 0 },
    });
  }
  rows.push({
    what: "pidproxy reports the exit of a daemon of ten minutes",
    unit: "ms",
    series: { sipid: late },
    target: { text: "at most 20 ms", value: Math.max(...late), limit: 20 },
  });
  return rows;
}

/** Measures what a wait of twenty seconds costs, and how soon the end of a young daemon is seen. */
export async function idling(dir: string): Promise<Measurement[]> {
  const path = `${dir}/long.pid`;
  const costs = async (program: string, args: readonly string[]): Promise<number> => {
    await using job = await Running.start("sh", ["-c", "trap '' TERM; echo ready; exec sleep 600"]);
    Deno.writeTextFileSync(path, `${job.pid}\n`);
    await using waiting = await start(program, args);
    return (await rest(waiting.pid, KILL_S * 1_000)).cpuMs;
  };
  const ssd = ["--stop", "--quiet", "--retry", "TERM/60/KILL/5", "--pidfile", path];
  const sipid = [await costs(SIPID, ["kill", "--pid-file", path, "--grace-period", "60s"])];
  const young = await repeat(30, 2, (round) => notices(`${dir}/young-${round}.pid`, 1_000), 600);
  return [{
    what: `kill, CPU time in ${KILL_S} s of waiting`,
    chart: `CPU in ${KILL_S} s: kill, waiting`,
    unit: "ms",
    series: {
      sipid,
      "start-stop-daemon": [await costs("start-stop-daemon", ssd)],
    },
    target: { text: "under 5 ms", value: median(sipid), limit: 5 },
  }, {
    what: "pidproxy reports the exit of a daemon of one second",
    unit: "ms",
    series: { sipid: young },
    target: { text: "at most 20 ms", value: Math.max(...young), limit: 20 },
  }];
}
