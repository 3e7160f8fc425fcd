/** pidproxy compared with Supervisor's. */
import { run, SIPID } from "../support.ts";
import { type Measurement, median, repeat } from "./bench.ts";

const PEER = "Supervisor's pidproxy";

export async function proxying(dir: string): Promise<Measurement[]> {
  const sipid = [SIPID, "pidproxy"];
  const python = ["pidproxy"];
  return [
    {
      what: "pidproxy exits after its command",
      chart: "pidproxy: exits after its command",
      unit: "ms",
      ...await exitDelay(dir, sipid, python),
    },
    {
      what: "pidproxy starts its command after its own start",
      unit: "ms",
      ...await startDelay(dir, sipid, python),
    },
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
