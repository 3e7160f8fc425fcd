/** Many commands at the same time, and many in a loop. */
import { expectResult, measureUsage, run, Running, SIPID } from "../support.ts";
import { type Measurement, median } from "./bench.ts";

const FLOCK = 'exec 9>>"$2"; flock -n 9 && echo "$1" >"$2"';

/** Returns the milliseconds of CPU time per claim, of `count` started at the same time. */
async function each(dir: string, count: number, claim: string, path: string): Promise<number> {
  await run("sh", ["-c", `rm -f ${dir}/crowd-*.pid`]);
  const script =
    `k=0; while [ $k -lt ${count} ]; do k=$((k + 1)); ${claim} ${path} & done 2>/dev/null; wait`;
  const { result, usage } = await measureUsage("%U %S", "sh", ["-c", script]);
  expectResult(result, { code: 0 });
  const [user, system] = usage.split(" ").map(Number);
  return (user! + system!) * 1000 / count;
}

export async function crowd(dir: string): Promise<Measurement[]> {
  const rows: Measurement[] = [];
  const pid = Deno.pid;
  const ways = {
    sipid: `${SIPID} claim --pid ${pid} --pid-file`,
    "sh + flock": `sh -c '${FLOCK}' sh ${pid}`,
  };
  for (
    const [where, path] of [["200 pidfiles", `${dir}/crowd-$k.pid`], [
      "one pidfile",
      `${dir}/crowd-0.pid`,
    ]]
  ) {
    const series: Record<string, number[]> = {};
    for (const [name, claim] of Object.entries(ways)) {
      const [few, many]: [number[], number[]] = [[], []];
      for (let round = 0; round < 5; round++) {
        for (let time = 0; time < 4; time++) few.push(await each(dir, 10, claim, path!));
        many.push(await each(dir, 200, claim, path!));
      }
      series[`${name}, 10 at once`] = few;
      series[name] = many;
    }
    const value = median(series.sipid!) / median(series["sipid, 10 at once"]!);
    rows.push({
      what: `claim, each of 200 at once on ${where}, CPU time`,
      unit: "ms",
      series,
      target: { text: "1.2 x the cost of each of 10", value, limit: 1.2 },
    });
  }
  rows.push(await loop(dir));
  return rows;
}

/** Measures kills in a loop, as in a stop script. */
async function loop(dir: string): Promise<Measurement> {
  const perKill = async (count: number): Promise<number> => {
    const jobs = await Promise.all(
      Array.from(
        { length: count },
        () => Running.start("sh", ["-c", "echo ready; exec sleep 600"]),
      ),
    );
    const paths = jobs.map(({ pid }, k) => {
      Deno.writeTextFileSync(`${dir}/loop-${k}.pid`, String(pid));
      return `${dir}/loop-${k}.pid`;
    });
    const script = `for path; do ${SIPID} kill --quiet --pid-file "$path" || exit 1; done`;
    const result = await run("sh", ["-c", script, "sh", ...paths]);
    for (const job of jobs) await job[Symbol.asyncDispose]();
    const { ms } = expectResult(result, { code: 0 });
    return ms / count;
  };
  const [few, many]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    for (let time = 0; time < 3; time++) few.push(await perKill(10));
    many.push(await perKill(100));
  }
  return {
    what: "kill, each of 100 in a loop",
    unit: "ms",
    series: { sipid: many, "sipid, each of 10": few },
    target: {
      text: "1.1 x the cost of each of 10",
      value: median(many) / median(few),
      limit: 1.1,
    },
  };
}
