/**
 * A command in a session and process group of its own, which ends as a whole: what the command
 * starts ends with it, unless it leaves the group.
 */
import { delay } from "@std/async/delay";
import { isDenied } from "../errors.ts";
import { type ChildExit, exitOf, holdChild, keepExits, notStarted } from "./child.ts";
import type { Pid } from "./pid.ts";
import { type HeldProcess, holdProcess } from "./process.ts";
import { ProcessGroup } from "./process_group.ts";

/** Milliseconds between SIGTERM and SIGKILL. */
const TERM_TIMEOUT_MS = 50;
/** Milliseconds that a killed command gets to exit. */
const KILL_TIMEOUT_MS = 30;
/** Milliseconds that what a command has left gets to show its environment: exec(2) hides it. */
const MARK_TIMEOUT_MS = 15;
/** Milliseconds that the output of a command gets to be read after its exit. */
const OUTPUT_TIMEOUT_MS = 500;
/** Bytes of output that are read at once. */
const READ_BYTES = 4_096;
/** Characters of output that are kept. */
const MAX_OUTPUT_CHARS = 4_096;

/**
 * The variable in the environment of a command, and so of what it starts, by which that is known
 * when the command has exited: from then on another group can have its number.
 */
const MARK = "SIPID_PROBE";
/** Each read of an environment blocks a thread of the runtime's pool. */
const MAX_PENDING_READS = 8;
let pendingReads = 0;

/** A running command. */
export class CommandGroup {
  /** How the command itself exited. */
  readonly status: Promise<ChildExit>;
  readonly #child: Deno.ChildProcess;
  readonly #leader: HeldProcess;
  readonly #mark = crypto.randomUUID();
  #hasExited = false;
  readonly #readers: readonly ReadableStreamBYOBReader[];
  readonly #output: Promise<unknown>;
  #lastLine = "";

  /**
   * Starts a command with /dev/null as its stdin.
   *
   * @param name with a slash a path, else looked up on PATH
   * @throws {CommandError} with the exit status a shell has: 127 not found, 126 not executable
   */
  constructor(name: string, args: readonly string[]) {
    keepExits();
    try {
      this.#child = new Deno.Command(name, {
        args: [...args],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        env: { [MARK]: this.#mark },
        detached: true, // setsid(2)
      }).spawn();
    } catch (error) {
      throw notStarted(name, error);
    }
    this.status = exitOf(this.#child).finally(() => this.#hasExited = true);
    this.#leader = holdChild(this.#child.pid as Pid);
    this.#readers = [this.#child.stdout, this.#child.stderr].map((stream) =>
      stream.getReader({ mode: "byob" })
    );
    this.#output = Promise.all(this.#readers.map((reader) => this.#readLines(reader)));
  }

  /** The last line that the command has written that is not blank, to stdout or stderr. */
  get lastLine(): string {
    return this.#lastLine;
  }

  /**
   * Ends the group: SIGTERM if the command is still running, and SIGKILL for what is left then.
   * That takes less than 100 ms once `signal` is aborted.
   *
   * @returns false if the command is still running: it is another user's, or stuck in the kernel
   */
  async end(signal: AbortSignal): Promise<boolean> {
    const exited = this.status.then(() => {});
    await within(exited, 0);
    const isRunning = !this.#hasExited;
    const terminated = isRunning && this.#signal("SIGTERM") && within(exited, TERM_TIMEOUT_MS);
    // The runtime reaps a command only between two turns of this program, and reports it at once: in
    // this turn the number of one that is running is its own. If /proc hides it, nothing else is.
    using group = this.#leader.startTicks === undefined
      ? undefined
      : new ProcessGroup(this.#leader);
    await terminated;
    if (!this.#hasExited) this.#signal("SIGKILL");
    else if (group !== undefined) await this.#killRest(group);
    const hasExited = await within(exited, KILL_TIMEOUT_MS);
    // Processes that left the group may keep the pipes open. Nothing is said about a success.
    const hasSucceeded = !isRunning && (await this.status).code === 0;
    const output = Promise.race([this.#output, abortOf(signal)]);
    const outputMs = hasSucceeded ? 0 : isRunning ? KILL_TIMEOUT_MS : OUTPUT_TIMEOUT_MS;
    await within(output, outputMs);
    for (const reader of this.#readers) reader.cancel().catch(() => {});
    if (!hasExited) this.#child.unref();
    this.#leader[Symbol.dispose]();
    return hasExited;
  }

  /** Kills what the command has left, if that is known to be the command's. */
  async #killRest(group: ProcessGroup): Promise<void> {
    if (group.send("SIGKILL") !== "unclear") return;
    const until = performance.now() + MARK_TIMEOUT_MS;
    do {
      // One that has the mark is enough.
      await Promise.all(
        group.running().slice(0, MAX_PENDING_READS).map(async (member) => {
          using held = holdProcess(member);
          if (held !== undefined && await this.#hasMark(held)) group.trust(held);
        }),
      );
    } while (group.send("SIGKILL") === "unclear" && performance.now() < until);
  }

  /** Returns whether the environment of a process has the mark of this command. */
  async #hasMark({ directory }: HeldProcess): Promise<boolean> {
    if (pendingReads >= MAX_PENDING_READS) return false;
    pendingReads++;
    // It is in the memory of the process, and may be on a file system that does not answer.
    const reading = Deno.readTextFile(`/proc/${directory}/environ`).catch(() => "")
      .finally(() => pendingReads--);
    if (!await within(reading, MARK_TIMEOUT_MS)) return false;
    return (await reading).split("\0").includes(`${MARK}=${this.#mark}`);
  }

  /** Sends a signal to the group of a running command; returns whether there was one to get it. */
  #signal(signal: Deno.Signal): boolean {
    try {
      Deno.kill(-this.#child.pid, signal);
      return true;
    } catch (error) {
      if (isDenied(error)) return true;
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  async #readLines(reader: ReadableStreamBYOBReader): Promise<void> {
    const decoder = new TextDecoder();
    let line = "";
    // Without a buffer the stream would allocate 64 KiB for every read.
    let buffer = new ArrayBuffer(READ_BYTES);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) return;
      const lines = `${line}${decoder.decode(value, { stream: true })}`.split(/[\r\n]+/);
      buffer = value.buffer;
      line = lines.at(-1)!.slice(-MAX_OUTPUT_CHARS);
      const last = lines.findLast((it) => it.trim() !== "");
      if (last !== undefined) this.#lastLine = last.trim().slice(0, MAX_OUTPUT_CHARS);
    }
  }
}

/** Returns whether a promise settles in time, in milliseconds. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = new AbortController();
  try {
    return await Promise.race([
      promise.then(() => true, () => true),
      delay(ms, { signal: late.signal }).then(() => false),
    ]);
  } finally {
    late.abort();
  }
}

/** Resolves when the signal is aborted. */
function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
