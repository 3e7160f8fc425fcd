/**
 * Processes, each known by its PID and start time.
 *
 * A PID is not an identity: the kernel gives the number to another process as soon as the first
 * one is reaped. Every question below checks again that the process is still the same one.
 * Source: proc(5), kill(2).
 */
import { errnoOf, isDenied } from "../errors.ts";
import type { Pid } from "./pid.ts";
import {
  descriptorPath,
  hasExited,
  parseStat,
  procIsOurs,
  readProc,
  type Stat,
  statOf,
  threadsOf,
  TICKS_PER_SECOND,
} from "./proc.ts";

/** One process, and none that gets its PID later. */
export interface Process {
  /** Its number while it runs. */
  readonly pid: Pid;
  /** Clock ticks from boot to its start; undefined if /proc hides it. */
  readonly startTicks: number | undefined;
  /** The name of its program (at most 15 bytes); undefined if /proc hides it. */
  readonly program: string | undefined;
  /** Whether it is a thread of the kernel, which no pidfile can mean. */
  readonly isKernelThread: boolean;
  /**
   * Where /proc describes it: its directory below /proc, or the path of a descriptor that stays
   * with it; undefined if /proc belongs to another PID namespace.
   */
  readonly directory: string | undefined;
}

/** Returns whether signal 0 reaches anything with this PID. Denied: another user's process. */
function answersSignalZero(pid: Pid): boolean {
  try {
    // Deno.kill has no signal 0.
    // deno-lint-ignore no-process-global -- an import would cost every start a tenth of its time
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return false;
    if (isDenied(error)) return true;
    throw error;
  }
}

/** kill(2) takes the number of any thread for its process; a PID is that of the first thread. */
function isThreadOfAnother(pid: Pid): boolean {
  const leader = /^Tgid:\s*(\d+)$/m.exec(readProc(`${pid}/status`) ?? "")?.[1];
  return leader !== undefined && leader !== String(pid);
}

/**
 * Returns the running process that has this PID now, or undefined.
 *
 * A zombie is not running. sipid itself does not count: no pidfile older than this very process
 * can mean it. A process of another user, or one that /proc hides, is running.
 */
export function findProcess(pid: Pid): Process | undefined {
  if (pid === Deno.pid) return undefined;
  const directory = procIsOurs() ? String(pid) : undefined;
  const stat = directory === undefined ? "" : statOf(directory);
  if (stat === undefined) return undefined;
  if (!stat) {
    if (!answersSignalZero(pid)) return undefined;
    return { pid, startTicks: undefined, program: undefined, isKernelThread: false, directory };
  }
  if (hasExited(stat) || (stat.threads > 1 && isThreadOfAnother(pid))) return undefined;
  const { startTicks, program, isKernelThread } = stat;
  return { pid, startTicks, program, isKernelThread, directory };
}

/** Returns whether it is still running. Another process with the same PID does not count. */
export function isRunning({ pid, startTicks, directory }: Process): boolean {
  if (startTicks === undefined || directory === undefined) return answersSignalZero(pid);
  const stat = statOf(directory);
  if (stat === undefined) return false;
  if (!stat) return answersSignalZero(pid);
  return stat.startTicks === startTicks && !hasExited(stat);
}

/** A process whose directory in /proc is held open. */
export type HeldProcess = Process & Disposable;

/**
 * Holds a process: until disposed, every question is answered by this very process, even if its
 * PID goes to another one within the same clock tick. An open directory /proc/PID stays with its
 * process; reading below it fails with ESRCH once the process was reaped.
 *
 * @returns undefined if the process has exited
 */
export function holdProcess(one: Process): HeldProcess | undefined {
  const plain = (): HeldProcess => ({ ...one, [Symbol.dispose]() {} });
  if (one.startTicks === undefined) return isRunning(one) ? plain() : undefined;
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`/proc/${one.pid}`);
  } catch {
    return isRunning(one) ? plain() : undefined;
  }
  // A process may be held several times, each time by a descriptor of its own.
  const path = descriptorPath(file, String(one.pid), usedDescriptors);
  if (path !== undefined) usedDescriptors.add(path);
  const held = {
    ...one,
    directory: path?.slice("/proc/".length) ?? one.directory,
    [Symbol.dispose](): void {
      if (path !== undefined) usedDescriptors.delete(path);
      file.close();
    },
  };
  // It may have been opened after the PID went to another process.
  if (isRunning(held)) return held;
  held[Symbol.dispose]();
  return undefined;
}

/** The paths of the descriptors that hold a process. */
const usedDescriptors = new Set<string>();

/** `process 812 (web)`, as messages name it. */
export function describe({ pid, program }: Process): string {
  return program === undefined ? `process ${pid}` : `process ${pid} (${program})`;
}

/** Describes processes in a list: `process 812 (web), process 813 (web)`. */
export function describeAll(processes: readonly Process[]): string {
  return processes.map(describe).join(", ");
}

/** Returns what /proc says about it, also while it is a zombie; undefined if that is hidden. */
export function readStat({ directory }: Pick<Process, "directory">): Stat | undefined {
  return directory === undefined ? undefined : statOf(directory) || undefined;
}

const STATES: Readonly<Record<string, string>> = {
  D: "in uninterruptible sleep, waiting for a device or a file server, or frozen with its cgroup",
  T: "stopped",
  t: "stopped by a debugger",
  Z: "a zombie whose other threads are running",
};

/** Returns what it is doing, in words; undefined if /proc hides it. */
export function stateOf(one: Process): string | undefined {
  const state = readStat(one)?.state;
  return state === undefined ? undefined : STATES[state] ?? `in state ${state}`;
}

/** Returns whether a signal has stopped it, so that it acts on none but SIGCONT and SIGKILL. */
export function isStopped({ directory }: Process): boolean {
  for (const thread of directory === undefined ? [] : threadsOf(directory)) {
    const state = readStat({ directory: thread })?.state;
    // A first thread that has exited shows as a zombie.
    if (state !== "Z") return state === "T";
  }
  return false;
}

/** Milliseconds that reading the clocks may take, and how often it is tried. */
const [MAX_READ_MS, MAX_READS] = [50, 20];

/**
 * Returns when it started, in milliseconds since 1970 and exact to 0.1 s; undefined if /proc hides
 * it.
 *
 * /proc counts start times from boot, so a moment is needed whose wall-clock time and ticks are
 * both known. Two are: this moment, by /proc/uptime, and the start of this program, by the start
 * ticks of its first own thread. Both err towards a later start only: lxcfs puts a container's
 * shorter uptime there, and a busy machine delays a program's start, which seems later also if the
 * machine was suspended since. So the earlier one counts.
 * (The main thread's start ticks do not serve: they survive exec.)
 */
export function startedAt({ startTicks }: Process): number | undefined {
  if (startTicks === undefined) return undefined;
  for (let reads = 1; reads <= MAX_READS; reads++) {
    const begin = Date.now();
    const uptime = machineUptime();
    const [own, age] = [ownStartTicks(), performance.now()];
    const now = Date.now();
    // If sipid was stopped in between, or the clock was set, these are not of one moment.
    if (Math.abs(now - begin) > MAX_READ_MS) continue;
    const candidates: number[] = [];
    if (uptime !== undefined) {
      candidates.push(now - (uptime - startTicks / TICKS_PER_SECOND) * 1000);
    }
    // Not performance.timeOrigin: the clock may have been set since.
    if (own !== undefined) {
      candidates.push(now - age - (own - startTicks) * 1000 / TICKS_PER_SECOND);
    }
    return candidates.length === 0 ? undefined : Math.min(...candidates);
  }
  return undefined;
}

/** Returns the seconds since boot; undefined if they cannot be read, as where lxcfs has crashed. */
function machineUptime(): number | undefined {
  try {
    return Number(readProc("uptime")?.split(" ")[0]) || undefined;
  } catch {
    return undefined;
  }
}

/** Returns the start ticks of this program's first thread besides the main one. */
function ownStartTicks(): number | undefined {
  try {
    const ticks = Array.from(Deno.readDirSync("/proc/self/task"), ({ name }) => name)
      .filter((id) => id !== String(Deno.pid))
      .map((id) => readProc(`self/task/${id}/stat`))
      .flatMap((text) => text ? [parseStat(text).startTicks] : []);
    return ticks.length === 0 ? undefined : Math.min(...ticks);
  } catch {
    return undefined;
  }
}

/** The users of a process that matter to kill(2). */
export interface Users {
  /** Who started it. Its owner may signal it. */
  readonly real: number;
  /** Whose permissions it has. */
  readonly effective: number;
  /** Whose permissions it can take back. Its owner may signal it. */
  readonly saved: number;
  /** Its real group. */
  readonly group: number;
}

/** Returns the users a process acts for; undefined if they are hidden. */
export function usersOf({ directory }: Pick<Process, "directory">): Users | undefined {
  const status = (directory && readProc(`${directory}/status`)) ?? "";
  const uid = /^Uid:\s*(\d+)\s+(\d+)\s+(\d+)/m.exec(status)?.slice(1).map(Number);
  const gid = /^Gid:\s*(\d+)/m.exec(status)?.[1];
  if (uid === undefined || gid === undefined) return undefined;
  return { real: uid[0]!, effective: uid[1]!, saved: uid[2]!, group: Number(gid) };
}

const CAP_KILL = 1n << 5n;

/**
 * Returns whether kill(2) lets this program signal processes of more than one user: as root, with
 * CAP_KILL, or with a real user other than the effective one. If that is hidden: yes.
 */
export function maySignalOthers(): boolean {
  const users = usersOf({ directory: "self" });
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readProc("self/status") ?? "")?.[1];
  if (users === undefined || capabilities === undefined) return true;
  return users.real === 0 || users.real !== users.effective ||
    (BigInt(`0x${capabilities}`) & CAP_KILL) !== 0n;
}

/** The number that users and groups have here who are not in this user namespace. */
const OVERFLOW_ID = 65_534;

/**
 * Returns whether this number can stand for anyone outside of this user namespace, as nobody's does
 * in a container without privileges. Source: user_namespaces(7).
 */
export function isAnyoneOutside(id: number): boolean {
  const map = id === OVERFLOW_ID ? readProc("self/uid_map") : undefined;
  return map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map);
}

/** Returns the user whose permissions this program has, and who owns what it creates. */
export function effectiveUser(): number {
  // deno-lint-ignore no-process-global -- an import would cost every start a tenth of its time
  return process.geteuid!();
}
