/**
 * recycles_process_group init: prints why the group of PID 1 cannot be signalled.
 *
 * recycles_process_group naive|leader|orphan: prints what becomes of a SIGTERM to a process group of which
 * nothing is left, after its number went to an unrelated group, and whether that one is running.
 * Works in a PID namespace of its own.
 *
 * naive: signals the number; leader: through ProcessGroup; orphan: so, and the unrelated group's
 * leader has exited as well.
 */
import { findGroup, ProcessGroup } from "../../lib/process/process_group.ts";
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess, holdProcess } from "../../lib/process/process.ts";
import { isRunning, until } from "../support.ts";

const [mode] = Deno.args;
const print = (...words: string[]): void =>
  void Deno.stdout.writeSync(new TextEncoder().encode(`${words.join(" ")}\n`));

if (mode === "init") {
  using init = holdProcess(findProcess(1 as Pid)!)!;
  const found = findGroup(init);
  print(`group ${statOf(1)![2]}`, typeof found === "string" ? found : "can be signalled");
  Deno.exit(0);
}

function sh(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script], stdin: "null" }).spawn();
}

/** A leader of its own session and group, whose PID is that of the shell that was started. */
async function leader(script: string): Promise<Deno.ChildProcess> {
  const child = sh(`exec setsid sh -c '${script}'`);
  const group = (): string | undefined => statOf(child.pid)?.[2];
  await until(() => group() === String(child.pid), "it leads a group");
  return child;
}

/** The fields of /proc/PID/stat from the third on. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

const first = await leader("sleep 600 & sleep 600 & wait");
using held = holdProcess(findProcess(first.pid as Pid)!)!;
const group = findGroup(held);
if (!(group instanceof ProcessGroup)) throw new Error(group);
await until(() => group.running().length === 3, "the group has three members");
Deno.kill(-first.pid, "SIGKILL");
await first.status;
// The sleeps are this namespace's init's to reap.
await until(
  () => !allPids().some((pid) => statOf(pid)?.[2] === String(first.pid)),
  "nothing is left",
);

let second: Deno.ChildProcess;
for (;;) {
  Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", String(first.pid - 1));
  second = await leader("sleep 600 & wait");
  if (second.pid === first.pid) break;
  Deno.kill(-second.pid, "SIGKILL");
  await second.status;
}
const isMember = (pid: number): boolean => statOf(pid)?.[2] === String(first.pid);
await until(() => allPids().filter(isMember).length === 2, "the unrelated group has two members");
if (mode === "orphan") {
  Deno.kill(second.pid, "SIGKILL");
  await second.status;
}
const unrelated = allPids().find(isMember)!;

function allPids(): number[] {
  return Array.from(Deno.readDirSync("/proc"), ({ name }) => Number(name)).filter((it) => it > 0);
}

let outcome = "sent";
if (mode === "naive") Deno.kill(-first.pid, "SIGTERM");
else outcome = group.send("SIGTERM");
const members = group.running().map(({ pid }) => pid === unrelated ? "unrelated" : pid).join();
if (mode === "naive") await until(() => !isRunning(unrelated), "it has exited");
print(outcome, members, isRunning(unrelated) ? "running" : "killed");
Deno.exit(0);
