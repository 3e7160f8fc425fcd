/** What every measurement shares: series of numbers by name, and the bar they are held against. */
import { delay } from "@std/async/delay";
import { run } from "../support.ts";

/** One line of the table. */
export interface Measurement {
  readonly what: string;
  readonly unit: string;
  /** sipid's own series under `sipid`, its peers' under their names. */
  readonly series: Readonly<Record<string, readonly number[]>>;
  /** What sipid is held to, in words, the number that is held against it, and its limit. */
  readonly bar?: { readonly text: string; readonly value: number; readonly limit: number };
}

/** The number in the middle; the mean of the two there where there are two. */
export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

/** The number that so great a share of the others lies below; between two, in proportion. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** The median of what each number is to the one that was measured beside it. */
export function ratio(numbers: readonly number[], floor: readonly number[]): number {
  return median(numbers.map((number, k) => number / floor[k]!));
}

/** One program, with what is done before each of its runs. */
export interface Contestant {
  readonly name: string;
  readonly command: (round: number) => readonly string[];
  readonly prepare?: string;
}

/** Milliseconds of wall clock, and of user and system time together, of each run. */
export interface Times {
  readonly wall: number[];
  readonly cpu: number[];
}

/** Runs all of them in turn, so often, by hyperfine; what each round took, by name. */
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
    const { code, stderr } = await run("hyperfine", [...args, ...commands]);
    if (code !== 0) throw new Error(`hyperfine failed: ${stderr}`);
    if (round < 0) continue; // warms the caches
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
 * Calls `work` so often, `width` at a time; what each returned.
 *
 * @param apart milliseconds between the starts of those that run at a time
 */
export async function repeat<T>(
  times: number,
  width: number,
  work: (round: number) => Promise<T>,
  apart = 0,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: width }, async (_, lane) => {
    await delay(lane * apart);
    while (next < times) {
      const round = next++;
      results[round] = await work(round);
    }
  }));
  return results;
}
