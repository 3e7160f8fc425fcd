/**
 * Processes and signals: the only code that knows /proc and sends signals.
 *
 * A PID is no identity: the kernel gives the number to another process as soon as the first one
 * is reaped. A `Process` here is a PID together with its start time, and every question and every
 * signal asks again whether it is still the same one. Source: proc(5), kill(2).
 */
import { errnoOf } from "../errors.ts";

/** A number that can be a PID: 1 to 2147483647. Only `parsePid` makes one. */
export type Pid = number & { readonly parsed: unique symbol };

/** A process: this one and none that gets its PID later. */
export interface Process {
  /** Its number, for as long as it runs. */
  readonly pid: Pid;
  /** Clock ticks from boot to its start; undefined where /proc hides it. */
  readonly startTicks: number | undefined;
  /** The name of its program (at most 15 bytes); undefined where /proc hides it. */
  readonly program: string | undefined;
}

/** Clock ticks a second in /proc: USER_HZ, 100 on every architecture Deno runs on. */
const TICKS_PER_SECOND = 100;
const LARGEST_PID = 2_147_483_647;

/**
 * A PID in plain decimal: no sign, no leading zero, no white space, nothing else.
 *
 * 0 and negative numbers mean groups of processes to kill(2), so they are no PIDs.
 */
export function parsePid(text: string): Pid | undefined {
  if (!/^[1-9][0-9]{0,9}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= LARGEST_PID ? number as Pid : undefined;
}

/** One look at /proc/PID/stat. */
interface Stat {
  readonly program: string;
  /** One letter of proc(5): R, S, D, T, t, Z, X, I. */
  readonly state: string;
  readonly threads: number;
  readonly startTicks: number;
}

/** Undefined where there is no such process, or /proc hides it. */
function readStat(pid: Pid): Stat | undefined {
  const text = readProc(`${pid}/stat`);
  return text ? parseStat(text) : undefined;
}

function parseStat(text: string): Stat {
  // The name stands in parentheses and may itself contain any character, parentheses too.
  const [open, close] = [text.indexOf("("), text.lastIndexOf(")")];
  const rest = text.slice(close + 2).split(" "); // from field 3 on
  return {
    program: text.slice(open + 1, close),
    state: rest[0]!,
    threads: Number(rest[17]),
    startTicks: Number(rest[19]),
  };
}

/** A file below /proc; undefined where it is not there, empty where it is there and hidden. */
function readProc(name: string, read = Deno.readTextFileSync): string | undefined {
  try {
    return read(`/proc/${name}`);
  } catch (error) {
    const errno = errnoOf(error);
    // ESRCH: the process went between the opening and the reading.
    if (errno === "ENOENT" || errno === "ESRCH") return undefined;
    if (errno === "EACCES" || errno === "EPERM") return "";
    throw error;
  }
}

/** Whether /proc shows the processes that our kill(2) reaches, and not those of another namespace. */
function procIsOurs(): boolean {
  try {
    return Deno.readLinkSync("/proc/self") === String(Deno.pid);
  } catch {
    return false;
  }
}

/** Whether /proc may keep back the processes of others, by its mount option hidepid. */
function procHides(): boolean {
  const mounts = readProc("self/mounts") ?? "";
  const at = mounts.lastIndexOf(" /proc proc ");
  const options = mounts.slice(at, mounts.indexOf("\n", at));
  return at < 0 || (options.includes("hidepid=") && !/hidepid=(0|off)/.test(options));
}

/** Signal 0: whether something has this PID. EPERM says that it has, and belongs to another user. */
function answersToSignalZero(pid: Pid): boolean {
  try {
    // Deno.kill knows no signal 0.
    // deno-lint-ignore no-process-global -- an import would cost every start a tenth of its time
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return false;
    if (errnoOf(error) === "EPERM") return true;
    throw error;
  }
}

/** A zombie has exited and only waits to be reaped, unless other threads of it still run. */
function isDead(stat: Stat): boolean {
  return (stat.state === "Z" || stat.state === "X") && stat.threads <= 1;
}

/** kill(2) takes the number of any thread for its whole process; a PID is that of the first one. */
function isThreadOfAnother(pid: Pid): boolean {
  const leader = /^Tgid:\s*(\d+)$/m.exec(readProc(`${pid}/status`) ?? "")?.[1];
  return leader !== undefined && leader !== String(pid);
}

/**
 * The running process that has this PID now, or undefined.
 *
 * A zombie does not run, nor does sipid itself: no pidfile older than this very process can mean
 * it. A process that another user owns, or that /proc hides, does.
 */
export function findProcess(pid: Pid): Process | undefined {
  if (pid === Deno.pid) return undefined;
  const text = procIsOurs() ? readProc(`${pid}/stat`) : "";
  if (text === undefined && !procHides()) return undefined;
  if (!text) {
    return answersToSignalZero(pid)
      ? { pid, startTicks: undefined, program: undefined }
      : undefined;
  }
  const stat = parseStat(text);
  if (isDead(stat) || (stat.threads > 1 && isThreadOfAnother(pid))) return undefined;
  return { pid, startTicks: stat.startTicks, program: stat.program };
}

/** Whether it still runs. Another process with the same PID is another process. */
export function isRunning({ pid, startTicks }: Process): boolean {
  if (startTicks === undefined) return answersToSignalZero(pid);
  const text = readProc(`${pid}/stat`);
  if (text === undefined && !procHides()) return false;
  if (!text) return answersToSignalZero(pid);
  const stat = parseStat(text);
  return stat.startTicks === startTicks && !isDead(stat);
}

/**
 * Sends a signal to this process and to no other.
 *
 * @returns `gone` if it no longer runs, `denied` if the caller may not signal it
 */
export function send(one: Process, signal: Deno.Signal): "sent" | "gone" | "denied" {
  if (!isRunning(one)) return "gone";
  try {
    Deno.kill(one.pid, signal);
    return "sent";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "gone";
    if (error instanceof Deno.errors.PermissionDenied) return "denied";
    throw error;
  }
}

const STATES: Readonly<Record<string, string>> = {
  D: "in uninterruptible sleep, waiting for a device or a file server",
  T: "stopped",
  t: "stopped by a debugger",
  Z: "a zombie with threads that still run",
};

/** What it is doing, in words; undefined where /proc hides it. */
export function stateOf(one: Process): string | undefined {
  const state = readStat(one.pid)?.state;
  return state === undefined ? undefined : STATES[state] ?? `in state ${state}`;
}

/** Whether it is stopped by a signal, so that it acts on none but SIGCONT and SIGKILL. */
export function isStopped(one: Process): boolean {
  return readStat(one.pid)?.state === "T";
}

/** When it started, exact to about a second; undefined where /proc hides it. */
export function startedAt(one: Process): Date | undefined {
  if (one.startTicks === undefined) return undefined;
  const age = Math.max(0, Deno.osUptime() - one.startTicks / TICKS_PER_SECOND);
  return new Date(Date.now() - age * 1000);
}

/** `process 812 (web)`, as messages name it. */
export function describe(one: Process): string {
  return one.program === undefined ? `process ${one.pid}` : `process ${one.pid} (${one.program})`;
}

/**
 * Who holds an flock(2) on the file: its process, where that still runs. Undefined where nobody
 * but this very process does, as far as the kernel tells.
 *
 * @param dev,ino the file's device and inode, as stat(2) gives them
 */
export function lockHolder(
  dev: number,
  ino: number,
): { readonly process: Process | undefined } | undefined {
  const hex = (number: number): string => number.toString(16).padStart(2, "0");
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  for (const line of (readProc("locks") ?? "").split("\n")) {
    // "1: FLOCK  ADVISORY  WRITE 812 fe:00:131 0 EOF"; waiting ones have an arrow and differ.
    const [, kind, , , text, where] = line.split(/\s+/);
    if (kind !== "FLOCK" || where !== file || text === String(Deno.pid)) continue;
    const pid = parsePid(text ?? "");
    return { process: pid === undefined ? undefined : findProcess(pid) };
  }
  return undefined;
}

/** The name this program was called by, without directories: that of a link to it, for example. */
export function invokedAs(): string | undefined {
  return readProc("self/cmdline")?.split("\0", 1)[0]?.split("/").at(-1);
}

/** The users a process acts for: its real and its effective one. Undefined where it is hidden. */
export function uidsOf(one: Process): readonly number[] | undefined {
  const [, real, effective] = /^Uid:\s*(\d+)\s+(\d+)/m.exec(readProc(`${one.pid}/status`) ?? "") ??
    [];
  return real === undefined ? undefined : [Number(real), Number(effective)];
}

/** The file that a process runs. */
export interface Program {
  /** Where it was when it was started, with symlinks resolved. */
  readonly path: string;
  /** Undefined where there is no telling, as for a file on an unmounted file system. */
  readonly dev: number | undefined;
  /** Its inode there. */
  readonly ino: number | null | undefined;
}

/**
 * The file that a process runs; undefined for a thread of the kernel, and for a process that is
 * gone.
 *
 * @throws what reading the link throws where that is not allowed
 */
export function programOf(one: Process): Program | undefined {
  const link = `/proc/${one.pid}/exe`;
  let path: string;
  try {
    path = Deno.readLinkSync(link);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
  // An upgrade has replaced the file: the link then names where it was.
  path = path.replace(/ \(deleted\)$/, "");
  try {
    const { dev, ino } = Deno.statSync(link);
    return { path, dev, ino };
  } catch {
    return { path, dev: undefined, ino: undefined };
  }
}

/** The words of the command line a process was started with; undefined where it is hidden. */
export function commandLineOf(pid: Pid): readonly string[] | undefined {
  const text = readProc(`${pid}/cmdline`, readAtOnce);
  return text ? text.replace(/\0$/, "").split("\0") : undefined;
}

/** By one read(2) of up to 128 KiB: in pieces, an exec in between would mix two command lines. */
function readAtOnce(path: string | URL): string {
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(131_072);
  return new TextDecoder().decode(buffer.subarray(0, file.readSync(buffer) ?? 0));
}
