/** Which pidfiles root acts on: who could make root signal a process through them. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  AS_NOBODY,
  asNobody,
  expectResult,
  fixture,
  isRunning,
  NOBODY,
  run,
  Running,
  SIPID,
  sipid,
  TempDir,
} from "../support.ts";
import { traced } from "../strace.ts";

const isRoot = Deno.uid() === 0;

/** Starts a process of the user nobody, or of the current user if that is not root. */
function nobodysJob(): Promise<Running> {
  return job(AS_NOBODY);
}

/** Starts a process by way of a command such as setpriv. */
function job(by: readonly string[]): Promise<Running> {
  return Running.start("sh", ["-c", `echo ready; exec ${by.join(" ")} sleep 600`]);
}

interface Case {
  readonly what: string;
  readonly arrange: (dir: TempDir, path: string) => void;
  /** Why root refuses; undefined if it acts. Other users can only signal what is theirs anyway. */
  readonly refusal: string | undefined;
  readonly job?: () => Promise<Running>;
  /** The name by which `sipid claim` writes the pidfile, in place of the test. */
  readonly claim?: string;
}

function shareWithGroup(dir: TempDir): void {
  Deno.chmodSync(dir.path, 0o770);
  if (isRoot) Deno.chownSync(dir.path, 0, NOBODY);
}

const chown = (path: string): void => {
  if (isRoot) Deno.chownSync(path, NOBODY, NOBODY);
};
const CASES: Case[] = [
  { what: "root's pidfile", arrange: () => {}, refusal: undefined },
  {
    what: "a pidfile that every user can write",
    arrange: (_, path) => Deno.chmodSync(path, 0o666),
    refusal: "can be written by others than its owner (mode 0666)",
  },
  {
    what: "root's pidfile that a group can write",
    arrange: (_, path) => Deno.chmodSync(path, 0o664),
    refusal: "can be written by others than its owner (mode 0664)",
  },
  {
    what: "a pidfile in a directory that every user can write",
    arrange: (dir) => Deno.chmodSync(dir.path, 0o777),
    refusal: "can be replaced by any user (",
  },
  {
    what: "a claimed pidfile in a sticky directory",
    arrange: (dir) => Deno.chmodSync(dir.path, 0o1777),
    claim: "web.pid",
    refusal: undefined,
  },
  {
    what: "another user's pidfile for their process, in a sticky directory",
    arrange: (dir, path) => {
      Deno.chmodSync(dir.path, 0o1777);
      chown(path);
    },
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "root's pidfile in a sticky directory, which another user may have moved there",
    arrange: (dir) => Deno.chmodSync(dir.path, 0o1777),
    refusal: "may have been moved to ",
  },
  {
    what: "root's pidfile for root's process in a directory that a group can write",
    arrange: shareWithGroup,
    refusal: "can be replaced by group nogroup (",
  },
  {
    what: "a claimed pidfile in a directory like those of BOSH, 0770 root:vcap",
    arrange: shareWithGroup,
    claim: "web.pid",
    refusal: undefined,
  },
  {
    what: "root's pidfile for a process of the user of the group that can write the directory",
    arrange: shareWithGroup,
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "root's pidfile for another user's process of the group that can write the directory",
    arrange: shareWithGroup,
    refusal: "can be replaced by group nogroup (",
    job: () =>
      job(
        isRoot ? ["setpriv", `--reuid=${NOBODY - 1}`, `--regid=${NOBODY}`, "--clear-groups"] : [],
      ),
  },
  {
    what: "another user's pidfile for their process, in a directory that a third group can write",
    arrange: (dir, path) => {
      Deno.chmodSync(dir.path, 0o770);
      if (isRoot) Deno.chownSync(dir.path, 0, NOBODY - 1);
      chown(path);
    },
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "a claimed pidfile that was moved to another name in a directory that a group can write",
    arrange: (dir, path) => {
      shareWithGroup(dir);
      Deno.renameSync(dir.file("was.pid"), path);
      Deno.renameSync(dir.file(".was.pid.claim"), dir.file(".web.pid.claim"));
    },
    claim: "was.pid",
    refusal: "can be replaced by group nogroup (",
  },
  {
    what: "a claimed pidfile that a group can write, as the record, in another user's directory",
    arrange: (dir, path) => {
      for (const file of [path, dir.file(".web.pid.claim")]) {
        chown(file);
        Deno.chmodSync(file, 0o660);
      }
      if (isRoot) Deno.chownSync(dir.path, NOBODY - 1, 0);
    },
    claim: "web.pid",
    refusal: "its directory ",
    job: nobodysJob,
  },
  {
    what: "a pidfile with a second hard link",
    arrange: (dir, path) => Deno.linkSync(path, dir.file("other.pid")),
    refusal: "has a hard link by another name",
  },
  {
    what: "a pidfile of another user that names root's process",
    arrange: (_, path) => chown(path),
    refusal: "is owned by nobody, but process",
  },
  {
    what: "a pidfile of the run directory's owner that names root's process",
    arrange: (dir, path) => {
      chown(dir.path);
      chown(path);
    },
    refusal: "is owned by nobody, but process",
  },
  {
    what: "a pidfile of another user that names their own process",
    arrange: (_, path) => chown(path),
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "a pidfile of the user that a process of root has become, for itself and for good",
    arrange: (_, path) => chown(path),
    refusal: undefined,
    job: () => job(isRoot ? ["setpriv", `--euid=${NOBODY}`, "--clear-groups"] : []),
  },
  {
    what: "a pidfile of the user that started a process with the rights of root",
    arrange: (_, path) => chown(path),
    refusal: undefined,
    job: () => job(isRoot ? ["setpriv", `--ruid=${NOBODY}`, "--clear-groups"] : []),
  },
  {
    what: "a pidfile of another user that their group can write, like MariaDB's",
    arrange: (_, path) => {
      chown(path);
      Deno.chmodSync(path, 0o660);
    },
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "a pidfile of another user that their group can write and that names root's process",
    arrange: (_, path) => {
      chown(path);
      Deno.chmodSync(path, 0o660);
    },
    refusal: "is owned by nobody, but process",
  },
];
for (const { what, arrange, refusal, claim, job = () => fixture("exits_on_term") } of CASES) {
  Deno.test(`kill ${refusal === undefined ? "acts" : "does not act for root"} on ${what}`, async () => {
    using dir = new TempDir();
    await using running = await job();
    const path = dir.file("web.pid");
    const pid = String(running.pid);
    if (claim === undefined) dir.write("web.pid", pid);
    else {
      const claimed = await sipid("claim", "--pid", pid, "--pid-file", dir.file(claim));
      expectResult(claimed, { code: 0 });
    }
    arrange(dir, path);
    const isRefused = isRoot && refusal !== undefined;
    expectResult(await sipid("kill", "--pid-file", path), {
      code: isRefused ? 1 : 0,
      stderr: isRefused
        ? [refusal, `process ${running.pid} (`, "was not signalled"]
        : "exited after",
    });
    assertEquals(isRunning(running.pid), isRefused);
    if (isRefused) assertEquals(Deno.readTextFileSync(path), String(running.pid));
  });
}

Deno.test("kill of an ordinary user acts on a pidfile that everyone can write, but never on PID 1", async () => {
  using dir = new TempDir();
  await using running = await nobodysJob();
  const path = dir.write("web.pid", String(running.pid));
  Deno.chmodSync(dir.path, 0o777);
  Deno.chmodSync(path, 0o666);
  expectResult(await asNobody(SIPID, ["kill", "--pid-file", path]), {
    code: 0,
    stderr: "exited after",
  });
  const init = dir.write("init.pid", "1");
  Deno.chmodSync(init, 0o666);
  expectResult(await asNobody(SIPID, ["kill", "--pid-file", init]), {
    code: 1,
    stderr: "which is never signalled",
  });
});

/** A real and an effective user that are not root, and the words that give a program both. */
const [REAL, EFFECTIVE] = isRoot ? [NOBODY, NOBODY - 1] : [Deno.uid()!, Deno.uid()!];
const AS_BOTH = isRoot
  ? ["setpriv", `--ruid=${REAL}`, `--euid=${EFFECTIVE}`, "--clear-groups"]
  : [];

/** Writes a pidfile of the effective user's, in a directory of theirs. */
function effectiveUsersPidfile(dir: TempDir, content: string): string {
  const path = dir.write("web.pid", content);
  if (isRoot) [dir.path, path].forEach((name) => Deno.chownSync(name, EFFECTIVE, null));
  return path;
}

Deno.test("kill does not act across users where the kernel lets its real and effective user", async () => {
  using dir = new TempDir();
  await using running = await nobodysJob();
  const path = effectiveUsersPidfile(dir, String(running.pid));
  expectResult(await run("env", [...AS_BOTH, SIPID, "kill", "--pid-file", path]), {
    code: isRoot ? 1 : 0,
    stderr: isRoot ? `${path}: is owned by user ${EFFECTIVE}, but process` : "exited after",
  });
  assertEquals(isRunning(running.pid), isRoot);
});

Deno.test("claim writes to a pidfile of its effective user", async () => {
  using dir = new TempDir();
  const path = effectiveUsersPidfile(dir, "0");
  const claim = ["claim", "--pid", String(Deno.pid), "--pid-file", path];
  expectResult(await run("env", [...AS_BOTH, SIPID, ...claim]), { code: 0 });
  assertEquals(Deno.readTextFileSync(path), String(Deno.pid));
});

Deno.test("root's claim replaces another user's stale pidfile, as chown -R leaves one", async () => {
  using dir = new TempDir();
  // Only root can give the file to another user.
  const path = dir.write("web.pid", "0");
  chown(path);
  // The owner may hold it open for writing.
  using opened = Deno.openSync(path, { write: true });
  const pid = String(Deno.pid);
  expectResult(await sipid("claim", "--pid", pid, "--pid-file", path), {
    code: 0,
    stderr: isRoot ? `${path}: was stale and owned by nobody; removed\n` : "",
  });
  if (isRoot) opened.writeSync(new TextEncoder().encode("1"));
  assertEquals(Deno.readTextFileSync(path), pid);
  assertEquals(Deno.statSync(path).uid, Deno.uid());
});

Deno.test({
  name: "a user's claim replaces a stale pidfile that root left in the user's directory",
  ignore: !isRoot,
  fn: async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", "0");
    Deno.writeTextFileSync(dir.file("running.pid"), String(Deno.pid));
    const claim = (to: string) =>
      asNobody("sh", ["-c", `${SIPID} claim --pid $$ --pid-file ${to}; echo "exit $?"`]);

    // Where the user cannot remove it, nothing changes.
    const denied = await claim(path);
    assertEquals(denied.stdout, "exit 1\n");
    assertMatch(denied.stderr, /cannot remove .*web\.pid: permission denied; run as root/);
    assertEquals(Deno.readTextFileSync(path), "0");

    chown(dir.path);
    const replaced = await claim(path);
    assertEquals(replaced.stdout, "exit 0\n", replaced.stderr);
    assertMatch(replaced.stderr, /web\.pid: was stale and owned by root; removed\n/);
    assertEquals(Deno.statSync(path).uid, NOBODY);

    const refused = await claim(dir.file("running.pid"));
    assertEquals(refused.stdout, "exit 1\n");
    assertMatch(refused.stderr, /already exists/);
    assertEquals(Deno.readTextFileSync(dir.file("running.pid")), String(Deno.pid));
  },
});

Deno.test("claim gives up on a pidfile that it cannot write and that comes back", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "0");
  const { result } = await traced(
    dir,
    // The second of four openings in each turn is the one for writing.
    ["-P", path, "-e", "inject=openat:error=EACCES:when=2+4", "-e", "inject=unlink:retval=0"],
    ["claim", "--pid", "17", "--pid-file", path],
  );
  expectResult(result, { code: 1, stderr: `cannot write ${path}: permission denied; remove it` });
  assertEquals(Deno.readTextFileSync(path), "0");
});

Deno.test({
  name: "claim gives up on another user's pidfile that comes back",
  ignore: !isRoot,
  fn: async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", "0");
    Deno.chownSync(path, EFFECTIVE, null);
    const inject = ["-P", path, "-e", "inject=unlink:retval=0"];
    const { result } = await traced(dir, inject, ["claim", "--pid", "17", "--pid-file", path]);
    expectResult(result, {
      code: 1,
      stderr:
        `${path}: is owned by user ${EFFECTIVE}, who could change it later; claim it as that user, or ` +
        "use another directory",
    });
    assertEquals(Deno.readTextFileSync(path), "0");
  },
});

Deno.test("claim keeps another user's pidfile while its process is running", async () => {
  using dir = new TempDir();
  await using running = await nobodysJob();
  const path = dir.write("web.pid", String(running.pid));
  chown(path);
  expectResult(await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path), {
    code: 1,
    stderr: `process ${running.pid} (${path}) already exists`,
  });
  assertEquals(Deno.readTextFileSync(path), String(running.pid));
});

Deno.test({
  name: "a user's claim replaces another user's stale pidfile, and never writes to it",
  ignore: !isRoot,
  fn: async () => {
    using dir = new TempDir();
    const path = dir.write("web.pid", "0");
    Deno.chmodSync(path, 0o666);
    Deno.chownSync(path, EFFECTIVE, null);
    // Its owner could change it later.
    using opened = Deno.openSync(path);
    const claim = () => asNobody(SIPID, ["claim", "--pid", String(Deno.pid), "--pid-file", path]);

    // In a sticky directory only its owner may remove it.
    Deno.chmodSync(dir.path, 0o1777);
    const refused = await claim();
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /cannot remove .*web\.pid: operation not permitted/);
    assertEquals(Deno.readTextFileSync(path), "0");

    // As after a change of the user, in a Kubernetes volume with fsGroup.
    Deno.chmodSync(dir.path, 0o777);
    const replaced = await claim();
    assertEquals(replaced.code, 0, replaced.stderr);
    assertMatch(replaced.stderr, new RegExp(`was stale and owned by user ${EFFECTIVE}; removed`));
    assertEquals(Deno.readTextFileSync(path), String(Deno.pid));
    assertEquals(Deno.statSync(path).uid, NOBODY);
    assertEquals([opened.statSync().size, opened.statSync().uid], [1, EFFECTIVE]);
  },
});
