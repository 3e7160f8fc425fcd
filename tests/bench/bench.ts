/** Measurements: named series of numbers, and the tools to take them in alternation. */
import { expectResult, inParallel, run } from "../support.ts";

/** One row of the table. */
export interface Measurement {
  readonly what: string;
  readonly unit: string;
  /** Its title in the chart; undefined if only the table has it. */
  readonly chart?: string;
  /** The series of sipid, if it has one, under `sipid`; those of its peers under their names. */
  readonly series: Readonly<Record<string, readonly number[]>>;
  /** The target in words, the value compared with it, and the largest value that meets it. */
  readonly target?: { readonly text: string; readonly value: number; readonly limit: number };
}

/** Returns the median. */
export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

/** Returns the quantile, linearly interpolated. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** Returns the median ratio of the pairs of measurements taken one after the other. */
export function ratio(numbers: readonly number[], floor: readonly number[]): number {
  return median(numbers.map((number, k) => number / floor[k]!));
}

/** One program, and the command that prepares each of its runs. */
export interface Contestant {
  readonly name: string;
  readonly command: (round: number) => readonly string[];
  readonly prepare?: string;
}

/** Milliseconds of each run: wall clock, and user and system time together. */
export interface Times {
  readonly wall: number[];
  readonly cpu: number[];
}

/** Runs all of them in turn with hyperfine, and returns the times of each by name. */
export async function alternate(
  contestants: readonly Contestant[],
  rounds: number,
  dir: string,
): Promise<Record<string, Times>> {
  const times: Record<string, Times> = {};
  for (const { name } of contestants) times[name] = { wall: [], cpu: [] };
  const report = `${dir}/hyperfine.json`;
  const args = [
    "-N",
    "--runs",
    "1",
    "--ignore-failure",
    "--style",
    "none",
    "--export-json",
    report,
  ];
  for (const { prepare } of contestants) args.push("--prepare", prepare ?? "true");
  for (let round = -1; round < rounds; round++) {
    const commands = contestants.map(({ command }) => command(round).map(quoted).join(" "));
    expectResult(await run("hyperfine", [...args, ...commands]), { code: 0 });
    if (round < 0) continue; // only warms the caches
    const { results } = JSON.parse(Deno.readTextFileSync(report));
    for (const [k, { name }] of contestants.entries()) {
      const { mean, user, system } = results[k];
      times[name]!.wall.push(mean * 1000);
      times[name]!.cpu.push((user + system) * 1000);
    }
  }
  return times;
}

function quoted(word: string): string {
  return /^[\w./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Calls `work` that many times, `width` at a time, and returns the results in order.
 *
 * @param staggerMs milliseconds between the first calls of those that run at the same time
 */
export function repeat<T>(
  times: number,
  width: number,
  work: (round: number) => Promise<T>,
  staggerMs = 0,
): Promise<T[]> {
  return inParallel(Array.from({ length: times }, (_, round) => round), width, work, staggerMs);
}
