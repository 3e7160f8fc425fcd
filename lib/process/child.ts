/** Starting the command that pidproxy runs. */
import { CommandError, errnoOf, errorText } from "../errors.ts";
import type { Pid } from "./pid.ts";
import { findProcess, type HeldProcess, holdProcess } from "./process.ts";

/** What a shell returns for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** A command that was started. */
export interface Child {
  /** It and no other; counts as exited from the start if it exited at once. */
  readonly process: HeldProcess;
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
  try {
    const child = new Deno.Command(name, {
      args: [...args],
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    return { process: hold(child.pid as Pid), status: exitOf(child) };
  } catch (error) {
    throw notStarted(name, error);
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

/** Our child keeps its PID until the runtime has reaped it. */
function hold(pid: Pid): HeldProcess {
  const process = findProcess(pid);
  const held = process && holdProcess(process);
  return held ?? { ...EXITED, pid, directory: String(pid), [Symbol.dispose]() {} };
}

/** No process has this start time. */
const EXITED = { startTicks: -1, program: undefined, isKernelThread: false };

/** Returns why a command could not be started, with the exit status a shell has. */
export function notStarted(name: string, error: unknown): CommandError {
  const isPath = name.includes("/");
  if (!(error instanceof Deno.errors.NotFound)) {
    const hint = errnoOf(error) === "ENOEXEC"
      ? "it is not a program for this machine, or lacks a first line like #!/bin/sh"
      : "make it executable: chmod +x";
    return new CommandError(`cannot run ${name}: ${fact(error)}; ${hint}`, NOT_EXECUTABLE);
  }
  if (!isPath) return new CommandError(`cannot run ${name}: it is not on PATH`, NOT_FOUND);
  if (isThere(name)) {
    const what = "its interpreter, named in its first line, does not exist";
    return new CommandError(`cannot run ${name}: ${what}`, NOT_EXECUTABLE);
  }
  return new CommandError(`cannot run ${name}: no such file`, NOT_FOUND);
}

/** The runtime says "Failed to spawn 'NAME': Words (os error 13)". */
function fact(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return errorText(new Error(message.replace(/^Failed to spawn '.*': /s, "")));
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
