/** Reading /proc. Source: proc(5). */
import { errnoOf, toCommandError, withHint } from "../errors.ts";
import { isExact } from "../exact_file.ts";
import type { Pid } from "./pid.ts";

/** Clock ticks per second in /proc: USER_HZ, 100 on every architecture Deno runs on. */
export const TICKS_PER_SECOND = 100;

const NANOSECONDS_PER_TICK = 10_000_000;

/** Source: PF_KTHREAD in the kernel's include/linux/sched.h. */
const PF_KTHREAD = 0x00200000;

/** The fields of /proc/PID/stat that are used here. */
export interface Stat {
  /** The program's name, at most 15 bytes. */
  readonly program: string;
  /** One letter of proc(5): R, S, D, T, t, Z, X, I. */
  readonly state: string;
  /** The process group. */
  readonly group: number;
  /** Whether it belongs to the kernel and has no program. */
  readonly isKernelThread: boolean;
  /** How many threads it has; a zombie's exited first thread counts. */
  readonly threads: number;
  /** Clock ticks from boot to its start. */
  readonly startTicks: number;
}

/**
 * Reads a file below /proc; returns undefined if it does not exist, and the empty string if it
 * is hidden, or may be.
 *
 * @param path below /proc, such as `812/stat`
 * @throws {CommandError} a shortage of memory or descriptors keeps it from being read
 */
export function readProc(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${path}`);
  } catch (error) {
    switch (errnoOf(error)) {
      // The process exited between open and read, or its directory is held open.
      case "ESRCH":
        return undefined;
      // What hidepid hides does not seem to exist.
      case "ENOENT":
        return procHides() ? "" : undefined;
      case "EACCES":
      case "EPERM":
        return "";
      default:
        throw toCommandError(`cannot read /proc/${path}`, error);
    }
  }
}

/** Returns the names in a directory of /proc; throws as `readProc` does. */
export function namesInProc(path: string): readonly string[] {
  return withHint(`cannot read ${path}`, () => Array.from(Deno.readDirSync(path), (it) => it.name));
}

/** Parses the content of /proc/PID/stat. */
export function parseStat(text: string): Stat {
  // The name stands in parentheses and may itself contain any character, parentheses included.
  const [open, close] = [text.indexOf("("), text.lastIndexOf(")")];
  const rest = text.slice(close + 2).split(" "); // from field 3 on
  return {
    program: text.slice(open + 1, close),
    state: rest[0]!,
    group: Number(rest[2]),
    isKernelThread: (Number(rest[6]) & PF_KTHREAD) !== 0,
    threads: Number(rest[17]),
    startTicks: Number(rest[19]),
  };
}

/** How often a stat is read whose process is between two first threads. */
const MAX_STAT_READS = 20;

/**
 * Returns what /proc says about a process; undefined if there is none, and the empty string if that
 * is hidden, or may be.
 *
 * Where another thread than the first calls exec(2), it becomes the first one. A read at that very
 * moment shows the old one: a zombie without threads, in no process group. Only the next read says
 * whether the process has exited; kill(2) looks twice as well.
 *
 * @param process its directory below /proc, such as `812`
 * @throws as `readProc` does
 */
export function statOf(process: string): Stat | "" | undefined {
  for (let reads = 1;; reads++) {
    const text = readProc(`${process}/stat`);
    if (text === undefined || text === "") return text;
    const stat = parseStat(text);
    if (stat.threads > 0 || reads === MAX_STAT_READS) return stat;
  }
}

/** A zombie has exited and waits to be reaped, unless other threads of it still run. */
export function hasExited({ state, threads }: Stat): boolean {
  return (state === "Z" || state === "X") && threads <= 1;
}

/**
 * Yields the directories below /proc of a process and then of its threads, which show what a first
 * thread that has exited does not. They are read only if the caller goes on.
 */
export function* threadsOf(process: string): Generator<string> {
  yield process;
  try {
    for (const { name } of Deno.readDirSync(`/proc/${process}/task`)) {
      yield `${process}/task/${name}`;
    }
  } catch {
    // Exited, or hidden.
  }
}

let isOurs: boolean | undefined;

/** Returns whether /proc shows the processes that our kill(2) reaches, not another namespace's. */
export function procIsOurs(): boolean {
  isOurs ??= showsOurNamespace();
  return isOurs;
}

function showsOurNamespace(): boolean {
  try {
    if (Deno.readLinkSync("/proc/self") !== String(Deno.pid)) return false;
    // Both namespaces may have given us the same number: then this has two of them.
    return !/^NSpid:.*\d\s+\d/m.test(readProc("self/status") ?? "");
  } catch {
    return false;
  }
}

/** Returns whether /proc may hide processes of other users (mount option hidepid). */
export function procHides(): boolean {
  let mounts = "";
  try {
    mounts = Deno.readTextFileSync("/proc/self/mounts");
  } catch {
    // Then it may.
  }
  const at = mounts.lastIndexOf(" /proc proc ");
  const options = mounts.slice(at, mounts.indexOf("\n", at));
  return at < 0 || (options.includes("hidepid=") && !/hidepid=(0|off)/.test(options));
}

/** The first process of a PID namespace: it is always there, and nothing in there is older. */
export const INIT = 1 as Pid;

/** Returns whether /proc hides processes of other users from us, as it then does the first one. */
export function hidesProcesses(): boolean {
  return readProc(`${INIT}/stat`) === "";
}

/** Returns the clock ticks from boot to the start of a process; undefined if that is hidden. */
export function startTicksOf(pid: Pid): number | undefined {
  return (statOf(String(pid)) || undefined)?.startTicks;
}

/** The PID namespace that lives as long as the boot. Source: PROC_PID_INIT_INO of the kernel. */
const INITIAL_PID_NAMESPACE = 0xeffffffc;

/** Returns the number of our PID namespace; undefined if it cannot be read. */
export function pidNamespace(): number | undefined {
  return namespaceOf("self");
}

/** Returns whether this is the PID namespace of the machine itself. */
export function isMachinesPidNamespace(namespace: number): boolean {
  return namespace === INITIAL_PID_NAMESPACE;
}

/** Returns whether processes of another PID namespace are known to run. */
export function pidNamespaceExists(namespace: number): boolean {
  if (isMachinesPidNamespace(namespace)) return true;
  // Nothing runs in a namespace whose first process is a zombie.
  return namesInProc("/proc").some((name) =>
    /^\d+$/.test(name) && namespaceOf(name) === namespace && runningStat(name) !== undefined
  );
}

function runningStat(process: string): Stat | undefined {
  const stat = statOf(process);
  return stat && !hasExited(stat) ? stat : undefined;
}

/**
 * Returns whether a process that was started at this time, in clock ticks as /proc shows them, has
 * this PID in a PID namespace below ours. Source: NSpid in proc_pid_status(5).
 */
export function isRunningBelow(pid: number, startTicks: number): boolean {
  return namesInProc("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    const [, below] = /^NSpid:\t\d+\t(.+)$/m.exec(readProc(`${name}/status`) ?? "") ?? [];
    if (below === undefined || !below.split("\t").includes(String(pid))) return false;
    return runningStat(name)?.startTicks === startTicks;
  });
}

function namespaceOf(process: string): number | undefined {
  try {
    const link = Deno.readLinkSync(`/proc/${process}/ns/pid`);
    return Number(/^pid:\[(\d+)\]$/.exec(link)?.[1]) || undefined;
  } catch {
    return undefined;
  }
}

/** The time namespace whose clocks are the machine's. Source: PROC_TIME_INIT_INO of the kernel. */
const INITIAL_TIME_NAMESPACE = "time:[4026531834]";

/**
 * Returns how many clock ticks our time namespace adds to the start times in /proc; not a whole
 * number if its clock is set to a fraction of a tick. Undefined if that is hidden. Source:
 * time_namespaces(7).
 */
export function tickOffset(): number | undefined {
  try {
    const ours = Deno.readLinkSync("/proc/self/ns/time");
    if (ours === INITIAL_TIME_NAMESPACE) return 0;
    // The offsets are those of our children's namespace.
    if (ours !== Deno.readLinkSync("/proc/self/ns/time_for_children")) return undefined;
    const offsets = Deno.readTextFileSync("/proc/self/timens_offsets");
    const [, seconds, nanoseconds] = /^(?:boottime|7)\s+(-?\d+)\s+(\d+)$/m.exec(offsets) ?? [];
    if (seconds === undefined) return undefined;
    return Number(seconds) * TICKS_PER_SECOND + Number(nanoseconds) / NANOSECONDS_PER_TICK;
  } catch (error) {
    // Linux has time namespaces since 5.6.
    return errnoOf(error) === "ENOENT" ? 0 : undefined;
  }
}

/** Returns the id that the kernel drew at boot; undefined if it cannot be read. */
export function bootId(): string | undefined {
  return readProc("sys/kernel/random/boot_id")?.trim() || undefined;
}

/** Returns the path that leads to what a descriptor is open on, whatever its name has become. */
export function descriptorAt(fd: number | string): string {
  return `/proc/self/fd/${fd}`;
}

/** Returns the paths of our open descriptors; throws as `readProc` does. */
export function openDescriptors(): readonly string[] {
  return namesInProc("/proc/self/fd").map(descriptorAt);
}

/**
 * Returns the path of an open file's descriptor, /proc/self/fd/N, which the runtime does not give.
 * What is opened below that path is the open file itself, whatever its name has become.
 *
 * @param name the file's, without its directory: what is open by another one is left alone, since it
 * can be on a file server that does not answer
 * @param others paths of other descriptors that may be open on the same file
 */
export function descriptorPath(
  file: Deno.FsFile,
  name: string,
  others: ReadonlySet<string> = new Set(),
): string | undefined {
  const wanted = file.statSync();
  for (const path of openDescriptors()) {
    if (others.has(path)) continue;
    try {
      if (!Deno.readLinkSync(path).endsWith(`/${name}`)) continue;
      const info = Deno.statSync(path);
      const isAlike = info.dev === wanted.dev && info.ino === wanted.ino;
      if (isAlike && (isExact(wanted) || movesWith(file, path))) return path;
    } catch {
      // The descriptor of this very directory listing, closed by now.
    }
  }
  return undefined;
}

/** Returns whether a descriptor is this open file's: its position moves with the file's. */
function movesWith(file: Deno.FsFile, path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const isAt = (position: number): boolean =>
    new RegExp(`^pos:\\s*${position}$`, "m").test(readProc(`self/fdinfo/${name}`) ?? "");
  const here = file.seekSync(0, Deno.SeekMode.Current);
  file.seekSync(here + 1, Deno.SeekMode.Start);
  const hasMoved = isAt(here + 1);
  file.seekSync(here, Deno.SeekMode.Start);
  return hasMoved && isAt(here);
}
