/** What every part of the stress has: a source of chance that can be repeated, and a verdict. */
import { run, SIPID } from "../support.ts";

/** Numbers by chance, the same ones for the same seed. Source: mulberry32 by Tommy Ettinger. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

/** One line of the table: what was done, how often, and what was seen while it held. */
export interface Row {
  readonly what: string;
  readonly times: number;
  readonly seen: string;
  /** More of it, for below the table. */
  readonly note?: string;
}

/** What a part is given. */
export interface Stress {
  readonly random: Random;
  /** Whether it is the long run. */
  readonly long: boolean;
  /** A directory of the part's own. */
  readonly dir: string;
}

/** A part: throws at the first promise that does not hold. */
export type Part = (stress: Stress) => Promise<Row[]>;

/** Fails the stress. */
export function broken(promise: string, facts: unknown): never {
  throw new Error(`broken: ${promise}\n${Deno.inspect(facts, { strAbbreviateSize: 2_000 })}`);
}

/** Words of the runtime that no user is ever to see. */
export const INTERNALS =
  /Uncaught|panicked|RUST_BACKTRACE|NotCapable|\bos error\b|ext:|file:\/\/\/|\bat async\b|client error|this should not happen/;

/** A program's end that no promise allows: a crash, or words of the runtime. */
export function assertTame(
  result: { code: number; signal: Deno.Signal | null; stderr: string },
  facts: unknown,
): void {
  if (result.signal !== null) broken("it ends by itself", { facts, result });
  if (![0, 1, 2, 3, 4].includes(result.code)) {
    broken("its status is one of its own", { facts, result });
  }
  if (INTERNALS.test(result.stderr)) broken("a user sees no internals", { facts, result });
}

/** A job: a sleeping process, ended with the block. */
export class Job implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(script = "exec sleep 7200") {
    this.#child = new Deno.Command("sh", {
      args: ["-c", script],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }
  get pid(): number {
    return this.#child.pid;
  }
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
  }
}

/** The content of a file; undefined when there is none. */
export function contentOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Calls `work` for every item, `width` of them at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of entries) await work(item, index);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Milliseconds that a run of sipid takes here, from its start to its end. */
export async function measure(...args: string[]): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) times.push((await run(SIPID, args)).ms);
  return times.sort((a, b) => a - b)[2]!;
}

/** A run of sipid, and the most memory it had, in KiB. */
export async function peakOf(dir: string, args: string[]) {
  const report = Deno.makeTempFileSync({ dir });
  const result = await run("time", ["-q", "-f", "%M", "-o", report, SIPID, ...args]);
  const peak = Number(Deno.readTextFileSync(report).trim().split("\n").at(-1));
  if (!(peak > 1_000)) broken("memory is measured", { peak });
  return { ...result, peak };
}
