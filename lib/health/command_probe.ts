/** The probe that runs a command: healthy is exit status 0. */
import { type ChildExit, NotStarted } from "../process/child.ts";
import { CommandGroup } from "../process/command_group.ts";
import { abortable } from "./connect.ts";
import type { Prober } from "./probe.ts";

/** Runs a command, which never outlives its probe. */
export class CommandProber implements Prober {
  /** A command is run. */
  readonly kind = "command";
  /** The command's name; its arguments may be secrets. */
  readonly target: string;
  readonly #args: readonly string[];
  /** The last line of the current probe's output. */
  #lastLine = (): string => "";

  /** Prepares to run a command. */
  constructor(name: string, args: readonly string[]) {
    this.target = name;
    this.#args = args;
  }

  /**
   * Runs the command once.
   *
   * @throws {CommandError} it cannot be run
   */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    const group = this.#start();
    if (typeof group === "string") return group;
    this.#lastLine = () => group.lastLine;
    let exit: ChildExit;
    try {
      exit = await abortable(group.status, signal);
    } finally {
      await group.end(signal);
    }
    if (exit.code === 0) return undefined;
    const fact = exit.signal === null ? `exit status ${exit.code}` : `killed by ${exit.signal}`;
    return this.#withOutput(fact);
  }

  /** Starts the command; returns the reason if that may be possible later. */
  #start(): CommandGroup | string {
    try {
      return new CommandGroup(this.target, this.#args);
    } catch (error) {
      if (error instanceof NotStarted && error.isTemporary) return error.message;
      throw error;
    }
  }

  /** Says that the command did not exit, and its last line. */
  noResult(when: string): string {
    return this.#withOutput(`did not exit ${when}`);
  }

  #withOutput(fact: string): string {
    const line = this.#lastLine();
    return line === "" ? fact : `${fact}: ${line}`;
  }
}
