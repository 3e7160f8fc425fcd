/** Starting the command that pidproxy runs. */
import { CommandError, errnoOf, errorText } from "../errors.ts";

/** What a shell returns for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/**
 * Starts a command with our own stdin, stdout, stderr, environment, working directory and process
 * group.
 *
 * @param name with a slash a path, else looked up on PATH
 * @throws {CommandError} with the exit status a shell has: 127 not found, 126 not executable
 */
export function start(name: string, args: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command(name, {
      args: [...args],
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    throw notStarted(name, error);
  }
}

/** Returns why a command could not be started, with the exit status a shell has. */
export function notStarted(name: string, error: unknown): CommandError {
  const isPath = name.includes("/");
  if (!(error instanceof Deno.errors.NotFound)) {
    const hint = errnoOf(error) === "ENOEXEC"
      ? "it is no program of this machine, or lacks a first line like #!/bin/sh"
      : "make it executable: chmod +x";
    return new CommandError(`cannot run ${name}: ${fact(error)}; ${hint}`, NOT_EXECUTABLE);
  }
  if (!isPath) return new CommandError(`cannot run ${name}: it is not on PATH`, NOT_FOUND);
  if (isThere(name)) {
    const what = "its interpreter, named in its first line, does not exist";
    return new CommandError(`cannot run ${name}: ${what}`, NOT_EXECUTABLE);
  }
  return new CommandError(`cannot run ${name}: there is no such file`, NOT_FOUND);
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
