/** Starting the command that pidproxy runs. */
import { CommandError, errnoOf, errorText, hintFor } from "../errors.ts";
import { shellQuote } from "../shell_quote.ts";
import { ignoredSignals } from "./interrupt.ts";
import type { Pid } from "./pid.ts";
import { readProc, startTicksOf } from "./proc.ts";
import { findProcess, type HeldProcess, holdProcess } from "./process.ts";

/** What a shell returns for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** How many file descriptors it takes to start a command and to follow it, at least. */
const DESCRIPTORS = 10;

/** A command that was started. */
export interface Child {
  /** It and no other; counts as exited from the start if it exited at once. */
  readonly process: HeldProcess;
  /**
   * Clock ticks from boot to its start, also if it exited at once: it is a zombie then. Undefined if
   * /proc hides it.
   */
  readonly startTicks: number | undefined;
  /** How it exited. */
  readonly status: Promise<ChildExit>;
}

/** How a child exited. */
export interface ChildExit {
  /** Its status; 128 + N for signal N. */
  readonly code: number;
  /** The signal that ended it: its name, or `signal N` for a realtime one, which has none. */
  readonly signal: string | null;
}

/**
 * Starts a command with our own stdin, stdout, stderr, environment, working directory and process
 * group.
 *
 * @param name with a slash a path, else looked up on PATH
 * @throws {CommandError} with the exit status a shell has: 127 not found, 126 not executable
 */
export function start(name: string, args: readonly string[]): Child {
  keepExits();
  try {
    // A command that was started must not count as one that cannot be.
    checkDescriptors();
    const child = new Deno.Command(name, {
      args: [...args],
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    const startTicks = startTicksOf(child.pid as Pid);
    return { process: holdChild(child.pid as Pid), startTicks, status: exitOf(child) };
  } catch (error) {
    throw notStarted(name, error);
  }
}

const SIGCHLD = 17;

/**
 * Prepares for starting children. A program that was started with SIGCHLD ignored, as some daemons
 * have it, gets no exit status: the kernel reaps its children at once. Source: sigaction(2).
 */
export function keepExits(): void {
  if (ignoredSignals()(SIGCHLD)) Deno.addSignalListener("SIGCHLD", () => {});
}

/** Throws EMFILE or ENFILE unless enough file descriptors are free. */
function checkDescriptors(): void {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < DESCRIPTORS) files.push(Deno.openSync("/proc/self/stat"));
  } finally {
    for (const file of files) file.close();
  }
}

/** Returns how a child exits. The runtime throws where that is by a realtime signal. */
export async function exitOf(child: Deno.ChildProcess): Promise<ChildExit> {
  try {
    return await child.status;
  } catch (error) {
    const [, number] = /^invalid signal: (\d+)$/.exec(errorText(error)) ?? [];
    if (number === undefined) throw error;
    return { code: 128 + Number(number), signal: `signal ${number}` };
  }
}

/**
 * Holds a child that was just started, which keeps its PID until the runtime has reaped it.
 *
 * @returns one that counts as exited from the start if it exited at once
 */
export function holdChild(pid: Pid): HeldProcess {
  const process = findProcess(pid);
  const held = process && holdProcess(process);
  return held ?? { ...EXITED, pid, directory: String(pid), [Symbol.dispose]() {} };
}

/** No process has this start time. */
const EXITED = { startTicks: -1, program: undefined, isKernelThread: false };

/** A command could not be started. */
export class NotStarted extends CommandError {
  /**
   * Creates the error.
   *
   * @param fact why, with a hint
   * @param isTemporary whether it could be started later
   */
  constructor(name: string, fact: string, status: number, readonly isTemporary = false) {
    super(`cannot run ${shellQuote(name)}: ${fact}`, status);
  }
}

/** What a shortage or another process is the reason of, which may be over soon. */
const TEMPORARY = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ETXTBSY"];

/** What to do about an errno of fork(2) or execve(2). */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: "make it executable: chmod +x",
  ENOEXEC: "it is not a program for this machine, or lacks a first line like #!/bin/sh",
  EAGAIN: "raise the limit on processes (ulimit -u)",
  ETXTBSY: "retry when it has been written",
};

/** Returns why a command could not be started, with the exit status a shell has. */
export function notStarted(name: string, error: unknown): NotStarted {
  const message = error instanceof Error ? error.message : String(error);
  const errno = errnoOf(error) ?? "";
  const isThere = stat(name);
  if (!name.includes("/") && !isPathSet()) {
    return new NotStarted(name, "PATH is not set", NOT_FOUND);
  }
  if (error instanceof Deno.errors.NotFound) {
    if (!name.includes("/")) return new NotStarted(name, "it is not on PATH", NOT_FOUND);
    if (isThere === undefined) return new NotStarted(name, "no such file", NOT_FOUND);
    const what = "its interpreter, named in its first line, does not exist";
    return new NotStarted(name, what, NOT_EXECUTABLE);
  }
  if (errno === "EACCES" && name.includes("/") && isThere?.isDirectory) {
    return new NotStarted(name, "it is a directory", NOT_EXECUTABLE);
  }
  // The runtime says "Failed to spawn 'NAME': Words (os error 13)".
  const words = errorText(new Error(message.replace(/^Failed to spawn '.*': /s, "")));
  const hint = HINTS[errno] ?? hintFor(errno);
  const fact = hint === undefined ? words : `${words}; ${hint}`;
  return new NotStarted(name, fact, NOT_EXECUTABLE, TEMPORARY.includes(errno));
}

/** Returns whether we were given a PATH; Deno 2.9 makes one up for itself. */
function isPathSet(): boolean {
  try {
    return (readProc("self/environ") ?? "PATH=").split("\0").some((it) => it.startsWith("PATH="));
  } catch {
    return true; // the shortage that keeps it from being read is the reason, not PATH
  }
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
