/** The delay between the exit of a process and the return of the command that waits for it. */
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess } from "../../lib/process/process.ts";
import { waitForExit } from "../../lib/process/wait_for_exit.ts";
import { Running, SIPID, until } from "../support.ts";
import { type Measurement, median, quantile, repeat } from "./bench.ts";

const ROUNDS = 30;
const SSD = "start-stop-daemon";
const SSD_STOP = ["--stop", "--quiet", "--retry", "TERM/20/KILL/5", "--remove-pidfile"];

/** A script that takes `lingeringMs` to exit after SIGTERM. */
function lingering(lingeringMs: number): string {
  // The first sleep starts now, so that its start does not delay the exit.
  return lingeringMs === 0
    ? "echo ready; exec sleep 600"
    : `exec 2>/dev/null; trap 'kill $!; sleep ${lingeringMs / 1000}; exit 0' TERM
      echo ready; exec >/dev/null; while :; do sleep 600 & wait $!; done`;
}

/** Runs a program, and returns when it exited, on the clock of performance.now(). */
async function returnOf(program: string, args: readonly string[]): Promise<number> {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const { code } = await child.status;
  const returned = performance.now();
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} exited with ${code}`);
  return returned;
}

type Command = (path: string) => readonly [program: string, args: readonly string[]];

/** Returns the milliseconds from the exit of a job to the return of the command that stops it. */
async function stopDelay(dir: string, lingeringMs: number, stop: Command): Promise<number> {
  const path = `${dir}/stop-${Math.random()}.pid`;
  await using job = await Running.start("sh", ["-c", lingering(lingeringMs)]);
  const ended = job.status.then(() => performance.now());
  Deno.writeTextFileSync(path, `${job.pid}\n`);
  const returned = await returnOf(...stop(path));
  return Math.max(0, returned - await ended);
}

/** Returns the same for a command that waits for a job which is stopped by another. */
async function waitDelay(dir: string, wait: Command): Promise<number> {
  const path = `${dir}/wait-${Math.random()}.pid`;
  await using job = await Running.start("sh", ["-c", lingering(0)]);
  Deno.writeTextFileSync(path, `${job.pid}\n`);
  const ended = job.status.then(() => performance.now());
  const returned = returnOf(...wait(path));
  setTimeout(() => job.kill("SIGTERM"), 300 + Math.random() * 200);
  return Math.max(0, await returned - await ended);
}

/** Returns the same for runit's sv and a job that is the service of a runsv. */
async function svDelay(dir: string, lingeringMs: number): Promise<number> {
  const service = `${dir}/service-${Math.random()}`;
  Deno.mkdirSync(service);
  Deno.writeTextFileSync(
    `${service}/run`,
    `#!/bin/sh\nexec >${service}/log\n${lingering(lingeringMs)}\n`,
    { mode: 0o755 },
  );
  const script = 'echo ready; exec runsv "$1"';
  await using _supervisor = await Running.start("sh", ["-c", script, "sh", service]);
  const read = (name: string): string => {
    try {
      return Deno.readTextFileSync(`${service}/${name}`);
    } catch {
      return "";
    }
  };
  await until(() => read("log").includes("ready"), "the service is up");
  // runsv writes it after the start.
  await until(() => Number(read("supervise/pid")) > 0, "its PID is there");
  const process = findProcess(Number(read("supervise/pid")) as Pid)!;
  const ended = waitForExit(process, 60_000).then(() => performance.now());
  const returned = await returnOf("sv", ["-w", "20", "stop", service]);
  await returnOf("sv", ["exit", service]);
  return Math.max(0, returned - await ended);
}

/**
 * Returns the milliseconds that a compiled program takes to exit: those of SIGTERM to one that has
 * only waited, for `waitedMs`. No command of the same runtime can return sooner.
 */
async function ownExit(idle: string, waitedMs: number): Promise<number> {
  await using running = await Running.start("sh", ["-c", 'echo ready; exec "$0"', idle]);
  await until(() => threads(running.pid) > 1, "the runtime is up");
  await new Promise((resolve) => setTimeout(resolve, Math.max(200, waitedMs)));
  const begin = performance.now();
  running.kill("SIGTERM");
  await running.status;
  return performance.now() - begin;
}

function threads(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].length;
}

/** @param idle a program that only waits, compiled with the same flags as sipid */
export async function exits(dir: string, idle: string): Promise<Measurement[]> {
  const kill: Command = (path) => [SIPID, ["kill", "--quiet", "--pid-file", path]];
  const ssd: Command = (path) => [SSD, [...SSD_STOP, "--pidfile", path]];
  const rows: Measurement[] = [];
  const late: number[] = [];
  for (const ms of [0, 50, 500, 3_000]) {
    // Two at a time, started apart: exits at the same moment would compete for two cores.
    const [width, apart] = ms >= 500 ? [2, ms / 2] : [1, 0];
    const measure = (work: () => Promise<number>) => repeat(ROUNDS, width, work, apart);
    const floor = await measure(() => ownExit(idle, ms));
    const sipid = await measure(() => stopDelay(dir, ms, kill));
    late.push(...sipid.map((one) => one - median(floor)));
    rows.push({
      what: `kill returns after the exit of a process that takes ${ms} ms to stop`,
      ...(ms === 500 && { chart: "Stop: returns after the exit" }),
      unit: "ms",
      series: {
        sipid,
        "an idle program's own exit": floor,
        [SSD]: await measure(() => stopDelay(dir, ms, ssd)),
        ...(ms === 500 && { "runit's sv stop": await measure(() => svDelay(dir, ms)) }),
      },
      target: {
        text: "median 2 ms more than its own exit",
        value: median(sipid) - median(floor),
        limit: 2,
      },
    });
  }
  rows.push({
    what: "the same, all four, 99th percentile of what is more than its own exit",
    unit: "ms",
    series: { sipid: [quantile(late, 0.99)] },
    target: { text: "under 5 ms", value: quantile(late, 0.99), limit: 5 },
  });
  rows.push(await waits(dir, await repeat(ROUNDS, 1, () => ownExit(idle, 0))));
  return rows;
}

async function waits(dir: string, floor: readonly number[]): Promise<Measurement> {
  const measure = (wait: Command) => repeat(ROUNDS, 1, () => waitDelay(dir, wait));
  const sipid = await measure((path) => [SIPID, ["wait-until-gone", "--pid-file", path]]);
  return {
    what: "wait-until-gone returns after the exit",
    chart: "Wait: returns after the exit",
    unit: "ms",
    series: {
      sipid,
      "procps pidwait": await measure((path) => ["pidwait", ["--pidfile", path]]),
      "tail --pid": await measure((path) => [
        "tail",
        ["-f", `--pid=${Deno.readTextFileSync(path).trim()}`, "/dev/null"],
      ]),
    },
    target: {
      text: "median 2 ms more than its own exit",
      value: median(sipid) - median(floor),
      limit: 2,
    },
  };
}
