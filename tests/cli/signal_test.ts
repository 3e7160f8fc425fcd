/** The compiled `sipid signal` on real processes. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { SIGNAL_NAMES } from "../../lib/signal_names.ts";
import {
  asNobody,
  deadPid,
  exists,
  expectResult,
  fixture,
  inParallel,
  isRunning,
  Job,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  TempDir,
  zombie,
} from "../support.ts";

function signal(path: string, name: string, ...flags: string[]): Promise<Result> {
  return sipid("signal", "--pid-file", path, "--signal", name, ...flags);
}

Deno.test("signal sends the signal, once, and leaves the pidfile alone", async () => {
  using dir = new TempDir();
  await using job = await fixture("prints_signals");
  const path = dir.write("web.pid", `${job.pid}\n`);
  const before = Deno.statSync(path);
  expectResult(await signal(path, "HUP"), {
    code: 0,
    stdout: "",
    stderr: `sent SIGHUP to process ${job.pid} (deno)`,
  });
  await job.line(/SIGHUP/);
  expectResult(await signal(path, "SIGTERM"), { code: 0 });
  const { index, 0: seen } = await job.line(/^ready\n(SIG\w+\n){2}/);
  assertEquals([index, seen], [0, "ready\nSIGHUP\nSIGTERM\n"]);
  const after = Deno.statSync(path);
  assertEquals([after.ino, after.mtime, after.size], [before.ino, before.mtime, before.size]);
});

Deno.test("signal takes every signal, by name and by number", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const spellings = SIGNAL_NAMES.flatMap((name, index) => {
    const number = index + 1;
    return [[`SIG${name}`, number], [name.toLowerCase(), number], [`${number}`, number]] as const;
  });
  assertEquals(spellings.length, 3 * 31);
  await inParallel(spellings, 4, async ([text, number], index) => {
    // What would be sent is read from the system call, which does not happen.
    const trace = dir.file(`trace-${index}`);
    const call = "inject=kill:retval=0";
    const args = ["signal", "--pid-file", path, "--signal", text];
    const result = await run("strace", [
      ...["-f", "-qq", "-X", "raw", "-e", "trace=kill", "-e", call, "-o", trace, SIPID, ...args],
    ]);
    expectResult(result, { code: 0, stderr: `sent SIG${SIGNAL_NAMES[number - 1]} to` });
    const calls = Deno.readTextFileSync(trace).match(/kill\(\d+, \d+\)/g);
    assertEquals(calls, [`kill(${job.pid}, ${number})`], text);
  });
  assert(isRunning(job.pid));
});

Deno.test("what is no signal is wrong usage, with a suggestion", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const suggestions = [["TREM", "TERM"], ["SIGHPU", "HUP"], ["usr", "USR1"], ["quitt", "QUIT"]];
  for (const [typed, meant] of suggestions) {
    expectResult(await signal(path, typed!), {
      code: 2,
      stderr: [`invalid --signal "${typed}"`, `did you mean ${meant}?`],
    });
  }
  for (const typed of ["0", "65", "-1", "1.5", "1e0", "0x9", "HUP,INT", " HUP"]) {
    expectResult(await signal(path, typed), { code: 2, stderr: "expected a signal: a name such" });
  }
  for (const typed of ["32", "34", "64", "RTMIN", "SIGRTMIN+1", "RTMAX"]) {
    expectResult(await signal(path, typed), {
      code: 2,
      stderr: "realtime signals cannot be sent by the runtime",
    });
  }
  expectResult(await sipid("signal", "--pid-file", path), {
    code: 2,
    stderr: "missing required flag --signal",
  });
  assert(isRunning(job.pid));
});

Deno.test("signal fails if nothing is running; with --if-running it succeeds silently", async () => {
  using dir = new TempDir();
  const { pid, parent } = await zombie();
  await using _parent = parent;
  await using unrelated = new Job();
  const old = dir.write("old.pid", String(unrelated.pid));
  Deno.utimeSync(old, 1e9, 1e9);
  const cases: [path: string, fact: string, ...flags: string[]][] = [
    [dir.file("missing.pid"), "does not exist"],
    [dir.write("empty.pid", ""), "is empty"],
    [dir.write("dead.pid", String(await deadPid())), "is not running"],
    [dir.write("zombie.pid", String(pid)), `process ${pid} is not running`],
    [old, "runs /", "--exec", "/bin/true"],
  ];
  for (const [path, fact, ...flags] of cases) {
    const isThere = exists(path);
    expectResult(await signal(path, "TERM", ...flags), {
      code: 1,
      stderr: [`${path}: `, fact, "SIGTERM was not sent", "--if-running"],
    });
    expectResult(await signal(path, "TERM", "--if-running", ...flags), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assertEquals(exists(path), isThere, path);
  }
  assert(isRunning(unrelated.pid));
});

Deno.test("signal refuses under kill's rules, also with --if-running", async () => {
  using dir = new TempDir();
  await using job = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  const late = dir.write("late.pid", String(job.pid));
  Deno.utimeSync(late, 1e9, 1e9);
  const cases: [path: string, refusal: string, ...flags: string[]][] = [
    [dir.write("bad.pid", "x"), "does not contain a valid pid: it begins with"],
    [late, "its PID was probably recycled"],
    [dir.write("web.pid", String(job.pid)), "runs /", "--exec", "/bin/true"],
  ];
  if (Deno.uid() === 0) {
    const writable = dir.write("writable.pid", String(job.pid));
    Deno.chmodSync(writable, 0o666);
    cases.push([writable, "can be written by others than its owner"]);
    cases.push([dir.write("one.pid", "1"), "which is never signalled"]);
  }
  for (const [path, refusal, ...flags] of cases) {
    for (const flag of [[], ["--if-running"]]) {
      expectResult(await signal(path, "TERM", ...flags, ...flag), { code: 1, stderr: refusal });
    }
    assert(exists(path));
  }
  assert(isRunning(job.pid));
});

Deno.test("signal without permission fails", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(Deno.uid() === 0 ? job.pid : 1));
  expectResult(await asNobody(SIPID, ["signal", "--pid-file", path, "--signal", "TERM"]), {
    code: 1,
    stderr: "no permission to send SIGTERM to process",
  });
  assertMatch(Deno.readTextFileSync(path), /^\d+$/);
});

Deno.test("signal --quiet prints errors only", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  expectResult(await signal(path, "CONT", "--quiet"), { code: 0, stdout: "", stderr: "" });
  expectResult(await signal(dir.file("missing.pid"), "CONT", "--quiet"), {
    code: 1,
    stderr: "does not exist",
  });
});
