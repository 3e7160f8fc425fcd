/** Whose process a PID is: the pidfile's own, or a stranger's that got its number. */
import { delay } from "@std/async/delay";
import { CommandError, errorText } from "../errors.ts";
import {
  commandLineOf,
  describe,
  findProcess,
  type Pid,
  type Process,
  programOf,
} from "./process.ts";

/** Milliseconds that a stranger is given to become the program. */
const SETTLE_TIMEOUT_MS = 200;

/** What stands behind the PID of a pidfile. */
export type Holder =
  | { readonly kind: "own"; readonly process: Process }
  | { readonly kind: "stranger"; readonly process: Process }
  | { readonly kind: "none" };

/**
 * The process that has this PID, and whether it is the pidfile's own: any is, unless `exec` is
 * given, and then only one that runs this program.
 *
 * @param exec a path; the same file counts as the same program, as start-stop-daemon's --exec has it
 * @throws {CommandError} there is no such program, or it cannot be told which one the process runs
 */
export function findHolder(pid: Pid, exec?: string): Holder {
  const process = findProcess(pid);
  if (process === undefined) return { kind: "none" };
  if (exec === undefined || runsProgram(process, exec)) return { kind: "own", process };
  return { kind: "stranger", process };
}

/**
 * The same, but a stranger is looked at again for 200 ms: it may be a start script that has claimed
 * the pidfile and is about to become the program.
 */
export async function findHolderSettled(pid: Pid, exec?: string): Promise<Holder> {
  const until = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const holder = findHolder(pid, exec);
    if (holder.kind !== "stranger" || performance.now() >= until) return holder;
    await delay(10);
  }
}

/** Whether the process runs the program at `path`: the same file, or one that was replaced there. */
function runsProgram(process: Process, path: string): boolean {
  let program: ReturnType<typeof programOf>;
  try {
    program = programOf(process);
  } catch (error) {
    throw new CommandError(
      `cannot tell which program ${describe(process)} runs: ${errorText(error)}; ` +
        "run it as root, or as the user of that process",
    );
  }
  const wanted = fileAt(path);
  if (wanted === undefined && program?.path !== path) {
    // A typing error here would make every process a stranger.
    throw new CommandError(
      `--exec: there is no program ${path}; give the path of the program itself`,
    );
  }
  if (program === undefined) return false; // a thread of the kernel, or gone
  if (wanted === undefined || program.path === wanted.path) return true;
  return program.dev === wanted.dev && program.ino === wanted.ino;
}

/** The file a path leads to, with its symlinks resolved. */
function fileAt(path: string): { path: string; dev: number; ino: number | null } | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    return { path: Deno.realPathSync(path), dev, ino };
  } catch {
    return undefined;
  }
}

/**
 * As `findHolder()`, for a claim. Of two starts at once the first may have claimed the pidfile, but
 * not become the program yet: it is the pidfile's own all the same.
 *
 * @param claimed the PID that is being claimed, that of the start script
 */
export function findRival(pid: Pid, claimed: Pid, exec?: string): Holder {
  const holder = findHolder(pid, exec);
  if (holder.kind !== "stranger" || exec === undefined) return holder;
  return isOnItsWay(holder.process, exec, claimed) ? { ...holder, kind: "own" } : holder;
}

/**
 * Whether a process is between its claim and its exec of the program at `path`: another run of the
 * script that claims now, or a program like chpst that has `path` among its arguments.
 */
function isOnItsWay(process: Process, path: string, claimed: Pid): boolean {
  const words = commandLineOf(process.pid);
  // In the middle of an exec the words are not there yet; a thread of the kernel has no program.
  if (words === undefined) return programOf(process) !== undefined;
  return words.includes(path) || words.join("\0") === commandLineOf(claimed)?.join("\0");
}
