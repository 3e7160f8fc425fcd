/** pidproxy compared with Supervisor's. */
import { delay } from "@std/async/delay";
import { run, Running, SIPID } from "../support.ts";
import { type Measurement, median, repeat } from "./bench.ts";

const PEER = "Supervisor's pidproxy";

export async function proxying(dir: string, idle: string): Promise<Measurement[]> {
  const sipid = [SIPID, "pidproxy"];
  const python = ["pidproxy"];
  return [
    {
      what: "pidproxy exits after its command",
      unit: "ms",
      ...await exitDelay(dir, sipid, python),
    },
    {
      what: "pidproxy starts its command after its own start",
      unit: "ms",
      ...await startDelay(dir, sipid, python),
    },
    ...await idles(dir, idle),
  ];
}

/** Converts nanoseconds since 1970, as `date` prints them, to milliseconds. */
function milliseconds(text: string): number {
  return Number(text.trim()) / 1e6;
}

async function exitDelay(dir: string, sipid: string[], python: string[]) {
  const once = async ([program, ...args]: string[]): Promise<number> => {
    const command = [`${dir}/none.pid`, "/bin/sh", "-c", "sleep 0.2; exec date +%s%N"];
    const { stdout } = await run(program!, [...args, ...command]);
    return Math.max(0, performance.timeOrigin + performance.now() - milliseconds(stdout));
  };
  const series = {
    sipid: await repeat(30, 1, () => once(sipid)),
    [PEER]: await repeat(30, 15, () => once(python)),
  };
  return {
    series,
    target: { text: "median under 50 ms", value: median(series.sipid!), limit: 50 },
  };
}

async function startDelay(dir: string, sipid: string[], python: string[]) {
  const once = async ([program, ...args]: string[]): Promise<number> => {
    const begin = performance.timeOrigin + performance.now();
    const child = new Deno.Command(program!, {
      args: [...args, `${dir}/none.pid`, "/bin/date", "+%s%N"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    // Only the first line: Supervisor's pidproxy exits up to five seconds later.
    const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    const started = milliseconds(value ?? "") - begin;
    try {
      child.kill("SIGKILL");
    } catch {
      // sipid has exited with its command.
    }
    await child.status;
    return started;
  };
  const series = { sipid: [] as number[], [PEER]: [] as number[] };
  for (let round = 0; round < 30; round++) {
    series.sipid!.push(await once(sipid));
    series[PEER]!.push(await once(python));
  }
  const [own, peer] = [median(series.sipid!), median(series[PEER]!)];
  return { series, target: { text: "under Supervisor's", value: own, limit: peer } };
}

/** Seconds after which a proxy is idle: it polls a young daemon more often. */
const SETTLING_S = 105;
/** Seconds of the measurement that follows. */
const MEASURED_S = 30;

/** Milliseconds between the starts of the idle processes, so that their polls do not coincide. */
const APART_MS = 800;

/** Measures an idle process: MiB resident; wake-ups and seconds of CPU time in ten minutes. */
async function atRest(program: string, args: string[]) {
  await using running = await Running.start("sh", [
    "-c",
    'echo ready; exec "$@"',
    "sh",
    program,
    ...args,
  ]);
  await delay(SETTLING_S * 1_000);
  const proc = (name: string): string => Deno.readTextFileSync(`/proc/${running.pid}/${name}`);
  const sample = () => {
    let [wakeUps, nanoseconds] = [0, 0];
    for (const { name } of Deno.readDirSync(`/proc/${running.pid}/task`)) {
      const status = proc(`task/${name}/status`);
      wakeUps += Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
      nanoseconds += Number(proc(`task/${name}/schedstat`).split(" ")[0]);
    }
    return { wakeUps, nanoseconds };
  };
  const before = sample();
  await delay(MEASURED_S * 1_000);
  const after = sample();
  const rss = Number(/^Rss:\s+(\d+) kB$/m.exec(proc("smaps_rollup"))![1]);
  const children = proc(`task/${running.pid}/children`).trim().split(" ").filter((it) => it !== "");
  for (const child of children) Deno.kill(Number(child), "SIGKILL");
  return {
    rss: rss / 1024,
    wakeUps: (after.wakeUps - before.wakeUps) * 600 / MEASURED_S,
    cpu: (after.nanoseconds - before.nanoseconds) / 1e9 * 600 / MEASURED_S,
  };
}

/** @param idle a program that only waits, compiled with the same flags as sipid */
async function idles(dir: string, idle: string): Promise<Measurement[]> {
  const own = ["/bin/sleep", "600"];
  const watch = async (round: number) => {
    const pidFile = `${dir}/idle-${round}.pid`;
    const daemon = ["sh", "-c", `sleep 600 & echo $! >${pidFile}`];
    const rest = await atRest(SIPID, ["pidproxy", pidFile, ...daemon]);
    Deno.kill(Number(Deno.readTextFileSync(pidFile)), "SIGKILL");
    return rest;
  };
  // All at the same time, because they are idle.
  const times = 6;
  const [floor, waits, watches, python] = await Promise.all([
    repeat(times, times, () => atRest(idle, []), APART_MS),
    repeat(times, times, () => atRest(SIPID, ["pidproxy", `${dir}/none.pid`, ...own]), APART_MS),
    repeat(times, times, watch, APART_MS),
    repeat(times, times, () => atRest("pidproxy", [`${dir}/none.pid`, ...own]), APART_MS),
  ]);
  const above = (some: readonly { rss: number }[]): number =>
    median(some.map(({ rss }) => rss)) - median(floor.map(({ rss }) => rss));
  const rss = (some: readonly { rss: number }[]): number[] => some.map(({ rss }) => rss);
  const cpu = (some: readonly { cpu: number }[]): number[] => some.map(({ cpu }) => cpu);
  const wakeUps = (some: readonly { wakeUps: number }[]): number[] =>
    some.map(({ wakeUps }) => wakeUps);
  const rows: Measurement[] = [];
  for (const [state, some] of [["its command", waits], ["a daemon", watches]] as const) {
    rows.push({
      what: `pidproxy, resident memory while it waits for ${state}`,
      unit: "MiB",
      series: { sipid: rss(some), "an idle program": rss(floor), [PEER]: rss(python) },
      target: { text: "2 MiB above an idle program", value: above(some), limit: 2 },
    }, {
      what: `pidproxy, CPU time in ten idle minutes, waiting for ${state}`,
      unit: "s",
      series: { sipid: cpu(some), [PEER]: cpu(python) },
      target: { text: "under 0.1 s", value: median(cpu(some)), limit: 0.1 },
    }, {
      what: `pidproxy, wake-ups in ten idle minutes, waiting for ${state}`,
      unit: "",
      series: { sipid: wakeUps(some), [PEER]: wakeUps(python) },
    });
  }
  return rows;
}
