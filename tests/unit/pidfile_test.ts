import { assert, assertEquals, assertRejects } from "@std/assert";
import { CommandError } from "../../lib/errors.ts";
import { isUnchanged, readAndJudge, readPidfile, withLock } from "../../lib/pidfile/pidfile.ts";
import { type Content, parseContent } from "../../lib/pidfile/content.ts";
import { LockedElsewhere } from "../../lib/pidfile/lock.ts";
import { parsePid, type Pid } from "../../lib/process/pid.ts";
import { lockedElsewhere, TempDir, until } from "../support.ts";

const PID = parsePid("17")!;
const pids = (...numbers: number[]): Pid[] => numbers.map((pid) => parsePid(`${pid}`)!);
const onePid = (pid: number): Content => ({
  kind: "pid",
  pid: pids(pid)[0]!,
  others: [],
  foreign: undefined,
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("parseContent() accepts one plain decimal PID with white space around it", () => {
  for (
    const text of [
      "17",
      "17\n",
      " 17 ",
      "\t\r\n\v\f17\n\n",
      "17\0",
      "17\0\0\n",
      "17" + " ".repeat(60_000),
    ]
  ) {
    assertEquals(parseContent(bytes(text)), onePid(17));
  }
  assertEquals(parseContent(bytes("2147483647")), onePid(2147483647));
});

Deno.test("parseContent() accepts further lines, and reports those that are not numbers", () => {
  const postmaster = "17\n/var/lib/postgresql\n5432";
  const foreign = "17\n/var/lib/postgresql\n5…";
  assertEquals(parseContent(bytes(postmaster)), { kind: "pid", pid: PID, others: [], foreign });
});

Deno.test("parseContent() returns the other numbers of a content without anything else", () => {
  const others = (text: string): readonly Pid[] => {
    const content = parseContent(bytes(text));
    return content.kind === "empty" ? [] : content.others;
  };
  for (const text of ["17\n\n 18\r\n17\n19", "17\n18 019\n", "17\0\n18\0\n-19\0"]) {
    assertEquals(others(text), pids(18, 19), text);
  }
  for (const text of ["18 19\n", "18\x0019", "+18\n19", "-18 -19", "00018\n19\n018"]) {
    assertEquals(others(text), pids(18, 19), text);
  }
  const none = ["17", "17\n17\n", "17\n0\n", "0", "-", "18\n/run\n19", "2147483648", "1\x0e8"];
  for (const text of [...none, "18\n19" + " ".repeat(65_536)]) {
    assertEquals(others(text), [], text);
  }
});

Deno.test("parseContent() takes white space and NUL bytes for an empty pidfile", () => {
  for (const text of ["", " ", "\t\v\f\r\n", "\0".repeat(4096), "\0".repeat(65_536)]) {
    assertEquals(parseContent(bytes(text)), { kind: "empty" });
  }
  assertEquals(parseContent(bytes("\0".repeat(65_537))).kind, "invalid");
});

Deno.test("parseContent() tells damaged PIDs from other files", () => {
  for (
    const text of [
      "0",
      "-17",
      "17 18",
      "1 7",
      "\x0017",
      "17\0 18",
      "1234567890123",
      "2147483648",
    ]
  ) {
    const content = parseContent(bytes(text));
    assert(content.kind === "invalid", text);
    assertEquals([content.foreign, content.start], [undefined, text]);
  }
  const foreign = ["\u00a017", "\ufeff17", "17\u2028", "a", "17 a", "precious: config"];
  for (const text of foreign) {
    const content = { kind: "invalid" as const, others: [], foreign: text, start: text };
    assertEquals(parseContent(bytes(text)), content);
  }
  assertEquals(parseContent(Uint8Array.of(0x31, 0, 0x37, 0)).kind, "invalid");
  const tooLong = parseContent(bytes("17" + " ".repeat(65_536)));
  const start = "17" + " ".repeat(22) + "…";
  assertEquals(tooLong, { kind: "invalid", others: [], foreign: start, start });
});

Deno.test("withLock() creates the directory that the path needs and nothing else", async () => {
  using dir = new TempDir();
  const lock = (path: string) => withLock(dir.file(path), { create: true }, () => "created");
  for (const path of ["a//b///web.pid", "a/b/web.pid"]) assertEquals(await lock(path), "created");
  assertEquals([...Deno.readDirSync(dir.file("a/b"))].map(({ name }) => name), ["web.pid"]);
});

Deno.test("readPidfile() reports what is there", async () => {
  using dir = new TempDir();
  assertEquals((await readPidfile(dir.file("web.pid"))).kind, "missing");
  assertEquals((await readPidfile(dir.write("web.pid", ""))).kind, "empty");
  assertEquals((await readPidfile(dir.write("web.pid", "17"))).kind, "pid");
  assertEquals((await readPidfile(dir.write("web.pid", "x"))).kind, "invalid");
  await assertRejects(() => readPidfile(dir.path), CommandError, "is a directory");
});

Deno.test("readAndJudge() waits for an empty file to be written", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  const reading = readAndJudge(path, undefined);
  Deno.writeTextFileSync(path, "17");
  assertEquals((await reading).state.kind, "pid");
});

Deno.test("isUnchanged() tells a replaced and a rewritten file from the same", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "17");
  Deno.utimeSync(path, 1, 1);
  const first = await readPidfile(path);
  assert(isUnchanged(first, await readPidfile(path)));
  Deno.writeTextFileSync(path, "17");
  assert(!isUnchanged(first, await readPidfile(path)), "written again");
  Deno.renameSync(path, dir.file("old.pid"));
  assert(!isUnchanged(first, await readPidfile(path)), "missing");
  dir.write("web.pid", "17");
  Deno.utimeSync(path, 1, 1);
  assert(!isUnchanged(first, await readPidfile(path)), "another file");
});

Deno.test("withLock() creates, writes and removes", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  assertEquals(await withLock(path, { create: false }, () => "called"), undefined);
  await withLock(path, { create: true }, (file) => {
    assertEquals(file.state.kind, "empty");
    file.write(PID, undefined);
  });
  assertEquals(Deno.readTextFileSync(path), "17");
  await withLock(path, { create: false }, (file) => {
    assertEquals(file.state.kind, "pid");
    file.remove();
  });
  assertEquals((await readPidfile(path)).kind, "missing");
});

Deno.test("withLock() gives the lock back, also when its work fails", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  await assertRejects(
    () =>
      withLock(path, { create: true }, () => Promise.reject(new CommandError("no"))) as Promise<
        void
      >,
    CommandError,
  );
  assertEquals(await withLock(path, { create: false }, () => "locked again"), "locked again");
});

Deno.test("withLock() gives up on a lock somebody holds, and does not keep it when it comes", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  {
    await using _locker = await lockedElsewhere(path);
    await assertRejects(() => withLock(path, { create: true }, () => {}), LockedElsewhere);
  }
  const openFiles = (): string[] =>
    [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(`/proc/self/fd/${name}`)];
      } catch {
        return [];
      }
    });
  // The abandoned request is granted by now, or will be, and must close the file.
  await until(() => !openFiles().includes(path), "no descriptor of the pidfile is left");
});

Deno.test("withLock() never works on a file that is replaced while it waits for the lock", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  const locker = await lockedElsewhere(path);
  const writing = withLock(path, { create: true }, (file) => file.write(PID, undefined));
  // It waits on the file that is there now; another takes its name before it gets the lock.
  dir.write("other.pid", "2147483647");
  Deno.renameSync(dir.file("other.pid"), path);
  await locker[Symbol.asyncDispose]();
  await writing;
  assertEquals(Deno.readTextFileSync(path), "17");
});

Deno.test("a reader never sees anything but the old PID, the new one or an empty file", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "1234567890");
  const pids = ["1234567890", "17", "2147483647", "4", "31415"].map((text) => parsePid(text)!);
  const reader = new Worker(new URL("./reads_pidfile.ts", import.meta.url), { type: "module" });
  try {
    const seen = new Promise<string[]>((resolve) => reader.onmessage = ({ data }) => resolve(data));
    reader.postMessage(path);
    for (let round = 0; round < 2_000; round++) {
      await withLock(
        path,
        { create: true },
        (file) => file.write(pids[round % pids.length]!, undefined),
      );
    }
    Deno.removeSync(path);
    for (const content of await seen) {
      assert(["", ...pids.map(String)].includes(content), JSON.stringify(content));
    }
  } finally {
    reader.terminate();
  }
});
