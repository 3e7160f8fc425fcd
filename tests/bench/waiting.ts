/** The delay between an event and the return of the command that waits for it. */
import { httpServer } from "../servers.ts";
import { expectResult, run, Running, SIPID } from "../support.ts";
import { type Measurement, median, quantile, repeat } from "./bench.ts";

/** Starts a job that takes `lingering` milliseconds to exit after SIGTERM; `ended` is when it has. */
async function job(lingering: number): Promise<{ pid: number; ended: Promise<number> }> {
  // The first sleep starts now, so that its start does not delay the exit.
  const script = lingering === 0
    ? "echo ready; exec sleep 600"
    : `exec 2>/dev/null; trap 'kill $!; sleep ${lingering / 1000}; exit 0' TERM
      echo ready; exec >/dev/null; while :; do sleep 600 & wait $!; done`;
  const running = await Running.start("sh", ["-c", script]);
  const ended = running.status.then(() => performance.now());
  return { pid: running.pid, ended };
}

/** Returns the milliseconds from the exit of a job to the return of the program that stops it. */
async function lateness(
  dir: string,
  lingering: number,
  round: number,
  stop: (path: string) => [string, string[]],
): Promise<number> {
  const path = `${dir}/stop-${lingering}-${round}-${Math.random()}.pid`;
  const { pid, ended } = await job(lingering);
  Deno.writeTextFileSync(path, `${pid}\n`);
  const [program, args] = stop(path);
  const result = await run(program, args);
  const returned = performance.now();
  expectResult(result, { code: 0 });
  return Math.max(0, returned - await ended);
}

export async function waiting(dir: string): Promise<Measurement[]> {
  const rows: Measurement[] = [];
  const all: number[] = [];
  for (const lingering of [0, 50, 500, 3_000]) {
    // Two at a time, started apart: exits at the same moment would compete for two cores.
    const [width, apart] = lingering >= 500 ? [2, lingering / 2] : [1, 0];
    const rounds = 30;
    const sipid = await repeat(
      rounds,
      width,
      (round) => lateness(dir, lingering, round, (path) => [SIPID, ["kill", "--pid-file", path]]),
      apart,
    );
    const args = (
      path: string,
    ): string[] => [
      "--stop",
      "--quiet",
      "--retry",
      "TERM/20/KILL/5",
      "--remove-pidfile",
      "--pidfile",
      path,
    ];
    const peer = await repeat(
      rounds,
      width,
      (round) => lateness(dir, lingering, round, (path) => ["start-stop-daemon", args(path)]),
      apart,
    );
    all.push(...sipid);
    rows.push({
      what: `kill returns after the exit of a process that takes ${lingering} ms to stop`,
      unit: "ms",
      series: { sipid, "start-stop-daemon": peer },
      target: { text: "median under 8 ms", value: median(sipid), limit: 8 },
    });
  }
  rows.push({
    what: "the same, all four, 99th percentile",
    unit: "ms",
    series: { sipid: [quantile(all, 0.99)] },
    target: { text: "under 20 ms", value: quantile(all, 0.99), limit: 20 },
  });
  rows.push(await firstHealthy());
  return rows;
}

/** Measures the milliseconds from the first healthy answer to the return of the waiting command. */
async function firstHealthy(): Promise<Measurement> {
  const period = 200;
  const late = async (program: string, args: (url: string) => string[]): Promise<number> => {
    let healthyFrom = Infinity;
    let isAsked = (): void => {};
    const asked = new Promise<void>((resolve) => isAsked = resolve);
    await using server = httpServer(() => {
      isAsked();
      return new Response(null, { status: performance.now() < healthyFrom ? 503 : 200 });
    });
    const ended = run(program, args(server.url));
    await asked;
    healthyFrom = performance.now() + 300 + Math.random() * period;
    expectResult(await ended, { code: 0 });
    return performance.now() - healthyFrom;
  };
  const sipid = await repeat(
    30,
    3,
    () =>
      late(
        SIPID,
        (url) => ["wait-until-healthy", "--url", url, "--polling-frequency", `${period}ms`],
      ),
  );
  const curl = await repeat(30, 3, () =>
    late("curl", (url) => [
      ...["-fsS", "-o", "/dev/null", "--retry", "60", "--retry-delay", "1", "--retry-all-errors"],
      url,
    ]));
  return {
    what: `wait-until-healthy returns after the first 200, polling every ${period} ms`,
    unit: "ms",
    series: { sipid, "curl --retry-delay 1, the shortest": curl },
    target: { text: "median at most one period", value: median(sipid), limit: period },
  };
}
