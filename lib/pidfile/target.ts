/**
 * Finding what a pidfile allows to signal: its own process, or the group that this leads. What is
 * only needed for a process that is running is loaded then.
 */
import { CommandError } from "../errors.ts";
import { explain } from "../process/verdict.ts";
import { describe, type HeldProcess, holdProcess } from "../process/process.ts";
import type { Target } from "../process/run_schedule.ts";
import { shellQuote } from "../shell_quote.ts";
import { invalidFact } from "./content.ts";
import { type PidfileState, readAndJudge } from "./pidfile.ts";

/** What a pidfile names, as far as it may be signalled. */
export type Found = Nothing | Signallable;

/** No process of the pidfile is running. */
export interface Nothing extends Disposable {
  /** Tells it from a `Signallable`. */
  readonly kind: "nothing";
  /** The pidfile as it was read. */
  readonly state: PidfileState;
  /** What makes it stale, to follow its name. */
  readonly fact: string;
}

/** What may be signalled. It stays the same one until it is disposed. */
export interface Signallable extends Disposable {
  /** Distinguishes it from `Nothing`. */
  readonly kind: "signallable";
  /** The pidfile as it was when its PID was read. */
  readonly state: PidfileState;
  /** The pidfile's own process, or its group. */
  readonly target: Target;
  /** It, as messages name it: `process 812 (web)`, `process group 812 (web)`. */
  readonly name: string;
  /** Whether it is a group. */
  readonly isGroup: boolean;
  /** Why it is the process alone although the group was asked for. */
  readonly warning: string | undefined;
}

/**
 * Finds what may be signalled through a pidfile: reads it, decides whose its PID is, holds that
 * process and asks whether the pidfile can be trusted with it.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @param isGroup whether the group that the process leads is meant
 * @throws {CommandError} it must not be signalled, or it is unclear whether it may; the file is not
 * a pidfile or cannot be read
 */
export async function findTarget(
  path: string,
  exec: string | undefined,
  isGroup: boolean,
): Promise<Found> {
  // 1. Read the PID, and decide whose it is.
  const { state, verdict } = await readAndJudge(path, exec);
  const nothing = (fact: string): Nothing => ({ kind: "nothing", state, fact, ...UNHELD });
  if (state.kind === "missing") return nothing("does not exist");
  if (state.kind === "empty") return nothing("is empty");
  if (state.kind === "invalid") throw invalid(path, state, "nothing was signalled; ");
  if (verdict.kind === "unclear") {
    throw new CommandError(
      `${shellQuote(path)}: ${explain(verdict)}; nothing was signalled; ${verdict.hint}`,
    );
  }
  if (verdict.kind === "unrelated") {
    return nothing(`${describe(verdict.process)} ${verdict.reason}, and was not signalled`);
  }
  // 2. Hold it: from here on no other process is taken for it.
  const process = verdict.kind === "own" ? holdProcess(verdict.process) : undefined;
  if (process === undefined) {
    if (isGroup) (await import("./live.ts")).refuseLeaderless(path, state, exec);
    return nothing(`process ${state.pid} is not running`);
  }
  try {
    // 3. Ask whether the pidfile can be trusted with it.
    const { trustedTarget } = await import("./live.ts");
    const trusted = trustedTarget(path, state, process, isGroup);
    return { kind: "signallable", state, ...trusted, ...release(process) };
  } catch (error) {
    process[Symbol.dispose]();
    throw error;
  }
}

/** What is running of a pidfile; `Signallable` without the permission to signal it. */
export interface Running extends Omit<Signallable, "kind" | "target"> {
  /** Distinguishes it from `Nothing`. */
  readonly kind: "running";
  /** The process or the group. */
  readonly target: Pick<Target, "running" | "waitForExit">;
}

/**
 * Finds what is running of a pidfile, to wait for it. What is unclear counts as running, with a
 * warning; whether the pidfile can be trusted does not matter.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @param isGroup whether the group that the process leads is meant; that counts as running also
 * after the process itself has exited
 * @throws {CommandError} the file is not a pidfile or cannot be read
 */
export async function findRunning(
  path: string,
  exec: string | undefined,
  isGroup: boolean,
): Promise<Nothing | Running> {
  const { state, verdict } = await readAndJudge(path, exec);
  const nothing = (fact: string): Nothing => ({ kind: "nothing", state, fact, ...UNHELD });
  if (state.kind === "missing") return nothing("does not exist");
  if (state.kind === "empty") return nothing("is empty");
  if (state.kind === "invalid") throw invalid(path, state, "");
  if (verdict.kind === "unclear" && verdict.isElsewhere) {
    throw new CommandError(`${shellQuote(path)}: ${explain(verdict)}; ${verdict.hint}`);
  }
  if (verdict.kind === "unrelated") {
    return nothing(`${describe(verdict.process)} ${verdict.reason}`);
  }
  const process = verdict.kind === "none" ? undefined : holdProcess(verdict.process);
  if (process === undefined && !isGroup) return nothing(`process ${state.pid} is not running`);
  const { choose, leftovers } = await import("./live.ts");
  if (process === undefined) {
    const target = leftovers(state, exec);
    const name = `process group ${state.pid}`;
    return target.running().length > 0
      ? { kind: "running", state, target, name, isGroup, warning: undefined, ...UNHELD }
      : nothing(`process ${state.pid} is not running`);
  }
  const chosen = choose(process, isGroup, () => {});
  const warning = verdict.kind === "unclear"
    ? `${explain(verdict)}; it is waited for; ${verdict.hint}`
    : chosen.warning;
  return { kind: "running", state, ...chosen, warning, ...release(process) };
}

const UNHELD = { [Symbol.dispose](): void {} };

function release(process: HeldProcess): Disposable {
  return { [Symbol.dispose]: () => process[Symbol.dispose]() };
}

function invalid(
  path: string,
  state: PidfileState & { readonly kind: "invalid" },
  consequence: string,
): CommandError {
  return new CommandError(
    `${shellQuote(path)}: ${invalidFact(state)}; ${consequence}` +
      "inspect the file and remove it if its process has exited",
  );
}
