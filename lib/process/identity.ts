/** Whether the process that has a pidfile's PID now is the one the pidfile means. */
import type { Pid } from "./pid.ts";
import {
  bootId,
  hidesProcesses,
  INIT,
  isMachinesPidNamespace,
  isRunningBelow,
  pidNamespace,
  pidNamespaceExists,
  startTicksOf,
  tickOffset,
} from "./proc.ts";
import { findProcess, type Process } from "./process.ts";
import {
  judgeByTime,
  REMOVE_IF_STOPPED,
  RUN_WHERE_VISIBLE,
  type Unclear,
  unclear,
  type Verdict,
} from "./verdict.ts";
import { shellQuote } from "../shell_quote.ts";

/** What makes a process this one and no other, across PID reuse and reboots. */
export interface Identity {
  /** Its number while it runs. */
  readonly pid: Pid;
  /** Clock ticks from the machine's boot to its start, in whatever time namespace it is read. */
  readonly startTicks: number;
  /** The kernel's id of the boot it was started in. */
  readonly boot: string;
  /** The PID namespace that its number belongs to. */
  readonly namespace: number;
}

/** Which process a pidfile means, as far as it says so itself. */
export interface Named {
  /** What the pidfile contains. */
  readonly pid: Pid;
  /** The claim record's, if there is one with this PID. */
  readonly recorded: Identity | undefined;
  /** Whether the record belongs to this content; if not, the pidfile was modified or copied since. */
  readonly isRecordCurrent: boolean;
  /** The path of the pidfile that was claimed, if this one is a copy of it in another directory. */
  readonly original: string | undefined;
  /** When the pidfile was last modified, in milliseconds since 1970. */
  readonly modified: number;
}

const SHOWS_ANOTHER_BOOT =
  "it started when the claimed process did, though /proc shows another boot id";
const SHOW_THAT_BOOT = "run this where /proc shows that of the claim";
const READ_BOOT_ID = "run this where /proc/sys/kernel/random/boot_id can be read";
/** The start of a process that does not exist: nothing that gets its PID later started then. */
const NEVER = -1;

/**
 * Returns what identifies a process; undefined if that is hidden.
 *
 * @param process the one that has this PID now; if there is none, every process that gets the PID
 * later is another one
 */
export function identify(pid: Pid, process: Process | undefined): Identity | undefined {
  const startTicks = process === undefined ? NEVER : machineTicks(process);
  const boot = bootId();
  const namespace = pidNamespace();
  if (startTicks === undefined || boot === undefined || namespace === undefined) return undefined;
  return { pid, startTicks, boot, namespace };
}

/**
 * Decides whether the process that has the PID now is the one the pidfile means.
 *
 * The claim record knows. Without one, a process that was running when the pidfile was last
 * modified is the one whose PID was written; of one that started later, its program decides, since
 * the clock may have been set. The table is in docs/reliability.md.
 *
 * @param exec the path of the program that the pidfile's own process runs
 * @throws {CommandError} there is no file at `exec`
 */
export function judge(named: Named, exec: string | undefined): Verdict {
  const { pid, recorded, isRecordCurrent, original, modified } = named;
  const elsewhere = recorded && claimedElsewhere(recorded);
  if (elsewhere !== undefined) {
    const process = {
      pid,
      startTicks: undefined,
      program: undefined,
      isKernelThread: false,
      directory: undefined,
    };
    return { ...unclear(process, elsewhere.reason, elsewhere.hint), isElsewhere: true };
  }
  const process = findProcess(pid);
  if (process === undefined) return { kind: "none" };
  if (process.isKernelThread) {
    return { kind: "unrelated", process, reason: "is a kernel thread" };
  }
  if (recorded === undefined) return judgeByTime(process, modified, exec);
  const verdict = judgeByRecord(process, recorded, modified);
  // The process is that of the original, as of the installation whose directories were copied.
  if (verdict.kind === "own" && original !== undefined) {
    const reason = `it was claimed as ${
      shellQuote(original)
    }, and the pidfile was copied or moved here`;
    return unclear(process, reason, "stop it by that path, or remove this pidfile");
  }
  if (isRecordCurrent || verdict.kind === "own") return verdict;
  if (verdict.kind === "unclear") return { ...verdict, isNewcomer: true };
  // A daemon may have written its own PID, which happens to be the one that was claimed once; or
  // the file was touched, or restored from a copy. Time proves nothing for this process then, but
  // may prove something against it.
  const verdictOfTime = judgeByTime(process, modified, exec);
  if (verdictOfTime.kind === "unrelated") return verdictOfTime;
  const isLate = verdictOfTime.kind === "unclear" && verdictOfTime.isNewcomer;
  // Since the pidfile was written everything here has been started again: the claimed process wrote
  // its own PID.
  if (isLate && !mayBeHere(recorded)) return verdict;
  const hint = isLate && exec === undefined
    ? `${REMOVE_IF_STOPPED}, or give --exec PATH`
    : `${REMOVE_IF_STOPPED}; if that process is the service, remove the claim record`;
  const reason = "the claim record names another process with this PID, and the pidfile was " +
    "modified, replaced or copied after that claim";
  return { ...unclear(process, reason, hint), isNewcomer: true };
}

/**
 * Decides whether a process may be running whose number a pidfile has elsewhere than on its first
 * line, or not as a plain PID: one of several of a service, or a damaged PID. Returns undefined if
 * it is not running, or unrelated.
 *
 * @throws {CommandError} there is no file at `exec`
 */
export function judgeOther(
  { pid, modified }: Pick<Named, "pid" | "modified">,
  exec: string | undefined,
): Unclear | undefined {
  if (pid === INIT) return undefined; // the machine's or the container's, and never signalled
  const verdict = judge(
    { pid, modified, recorded: undefined, isRecordCurrent: false, original: undefined },
    exec,
  );
  if (verdict.kind === "none" || verdict.kind === "unrelated") return undefined;
  const isNewcomer = verdict.kind === "unclear" && verdict.isNewcomer;
  const reason = "the pidfile contains its number, though not as the PID on its first line";
  const hint = "if it belongs to the service, stop it by its PID; then remove the pidfile";
  return { ...unclear(verdict.process, reason, hint), isNewcomer };
}

/**
 * Returns why the PID of a claim means nothing here, but may mean a running process in another PID
 * namespace, and what settles it; undefined if it does not.
 */
function claimedElsewhere(
  { pid, startTicks, boot, namespace }: Identity,
): { readonly reason: string; readonly hint: string } | undefined {
  const [here, current] = [pidNamespace(), bootId()];
  if (here === undefined || namespace === here) return undefined;
  const isOfOtherBoot = current !== undefined && boot !== current;
  const offset = tickOffset() ?? 0;
  // To an ordinary user /proc shows the namespaces of their own processes only. A container can have
  // a boot id of its own; where it is another boot, the number of a namespace means nothing.
  if (
    isRunningBelow(pid, startTicks + offset) || (!isOfOtherBoot && pidNamespaceExists(namespace))
  ) {
    if (current === undefined) {
      return {
        reason: "it was claimed in another PID namespace, such as a container's, and the " +
          "machine's boot id is hidden, so that it may be running there",
        hint: READ_BOOT_ID,
      };
    }
    if (isMachinesPidNamespace(namespace)) {
      return {
        reason: "it was claimed on the machine, outside of this container",
        hint: "run this on the machine",
      };
    }
    return {
      reason: "it was claimed in another PID namespace, such as a container's, which still exists",
      hint: "run this in that namespace",
    };
  }
  if (isOfOtherBoot || !hidesProcesses()) return undefined;
  return {
    reason: "it was claimed in another PID namespace, such as a container's, and /proc hides " +
      "whether that still exists",
    hint: "run this as root",
  };
}

/**
 * Returns whether a claimed process, or one of its group, can be among those that /proc shows. Those
 * of another boot cannot, nor those of another PID namespace. A restarted container often has the
 * number of the last one's namespace, but nothing in it is older than its first process. What is
 * hidden proves nothing.
 */
export function mayBeHere({ startTicks, boot, namespace }: Identity): boolean {
  const [here, current] = [pidNamespace(), bootId()];
  if (current !== undefined && boot !== current) return false;
  if (here !== undefined && namespace !== here) return false;
  const [first, offset] = [startTicksOf(INIT), tickOffset()];
  if (startTicks === NEVER || first === undefined || offset === undefined) return true;
  // Between time namespaces a start can differ by a fraction of a tick.
  return startTicks > first - offset - 1;
}

function judgeByRecord(process: Process, recorded: Identity, modified: number): Verdict {
  const startTicks = machineTicks(process);
  const isSameStart = startTicks === undefined
    ? undefined
    : Math.abs(startTicks - recorded.startTicks) < 1;
  const [boot, here] = [bootId(), pidNamespace()];
  const isSameNamespace = here === undefined || recorded.namespace === here;
  const unrelated = (reason: string): Verdict => ({ kind: "unrelated", process, reason });
  const incomparable = (reason: string, hint: string): Verdict =>
    unclear(process, `${reason}, so it cannot be compared with the claim record`, hint);
  if (boot !== undefined && boot !== recorded.boot) {
    // A file can be bound over the boot id in one /proc, and not in another of the same namespace.
    // What a reboot has started is younger than the pidfile.
    const isSame = isSameNamespace && isSameStart;
    if (isSame && judgeByTime(process, modified, undefined).kind === "own") {
      return incomparable(SHOWS_ANOTHER_BOOT, `${SHOW_THAT_BOOT}; ${REMOVE_IF_STOPPED}`);
    }
    return unrelated("is not the one that was claimed, which ran before a reboot");
  }
  // The claim's namespace has ended, and here the number is another process's.
  if (!isSameNamespace) return unrelated("is not the one that was claimed");
  if (isSameStart === undefined) {
    return incomparable("its start time is hidden", RUN_WHERE_VISIBLE);
  }
  if (!isSameStart) return unrelated("is not the one that was claimed");
  if (startTicks !== recorded.startTicks) {
    const reason =
      "its start was read in another time namespace, whose clock is set to a fraction " +
      "of a tick";
    return incomparable(reason, "run this in the time namespace of the claim");
  }
  if (boot === undefined) {
    return incomparable("the machine's boot id is hidden", READ_BOOT_ID);
  }
  return { kind: "own", process };
}

/**
 * Returns the clock ticks from the machine's boot to the start of a process; undefined if they are
 * hidden. In a time namespace, /proc counts from another moment.
 */
function machineTicks({ startTicks }: Process): number | undefined {
  const offset = startTicks === undefined ? undefined : tickOffset();
  return startTicks === undefined || offset === undefined ? undefined : startTicks - offset;
}
