/** Who can have a process signalled through a pidfile, when root acts on it. */
import { assertEquals } from "@std/assert";
import {
  AS_NOBODY,
  expectResult,
  fixture,
  isRunning,
  NOBODY,
  Running,
  sipid,
  TempDir,
} from "../support.ts";

const isRoot = Deno.uid() === 0;

/** A process of nobody's, or of our own if we are not root. */
function nobodysJob(): Promise<Running> {
  return Running.start("sh", ["-c", `echo ready; exec ${AS_NOBODY.join(" ")} sleep 600`]);
}

interface Case {
  readonly what: string;
  readonly arrange: (dir: TempDir, path: string) => void;
  /** What root is told; undefined if it may kill. Other users may always kill what is theirs. */
  readonly refusal: string | undefined;
  readonly job?: () => Promise<Running>;
}

const chown = (path: string): void => {
  if (isRoot) Deno.chownSync(path, NOBODY, NOBODY);
};
const CASES: Case[] = [
  { what: "a pidfile of root's own", arrange: () => {}, refusal: undefined },
  {
    what: "a pidfile that everybody can write",
    arrange: (_, path) => Deno.chmodSync(path, 0o666),
    refusal: "can be written by others than its owner (mode 0666): chmod 0644 it",
  },
  {
    what: "root's pidfile that a group can write",
    arrange: (_, path) => Deno.chmodSync(path, 0o664),
    refusal: "can be written by others than its owner (mode 0664): chmod 0644 it",
  },
  {
    what: "a pidfile in a directory that everybody can write",
    arrange: (dir) => Deno.chmodSync(dir.path, 0o777),
    refusal: "can be replaced by anybody (mode 0777 of its directory): chmod 0775",
  },
  {
    what: "a pidfile in a sticky directory",
    arrange: (dir) => Deno.chmodSync(dir.path, 0o1777),
    refusal: undefined,
  },
  {
    what: "root's pidfile in a directory as BOSH makes it, 0770 root:vcap",
    arrange: (dir) => {
      Deno.chmodSync(dir.path, 0o770);
      if (isRoot) Deno.chownSync(dir.path, 0, NOBODY);
    },
    refusal: undefined,
  },
  {
    what: "a pidfile with another name",
    arrange: (dir, path) => Deno.linkSync(path, dir.file("other.pid")),
    refusal: "has another name, by a hard link: remove it",
  },
  {
    what: "nobody's pidfile that names a process of root's",
    arrange: (_, path) => chown(path),
    refusal: `belongs to user ${NOBODY}, and process`,
  },
  {
    what: "the pidfile that the owner of the run directory put there for a process of root's",
    arrange: (dir, path) => {
      chown(dir.path);
      chown(path);
    },
    refusal: `belongs to user ${NOBODY}, and process`,
  },
  {
    what: "nobody's pidfile that names a process of nobody's",
    arrange: (_, path) => chown(path),
    refusal: undefined,
    job: nobodysJob,
  },
  {
    what: "nobody's pidfile that its group can write, as MariaDB makes it",
    arrange: (_, path) => {
      chown(path);
      Deno.chmodSync(path, 0o660);
    },
    refusal: undefined,
    job: nobodysJob,
  },
];
for (const { what, arrange, refusal, job = () => fixture("exits_on_term") } of CASES) {
  Deno.test(`kill ${refusal === undefined ? "acts" : "does not act for root"} on ${what}`, async () => {
    using dir = new TempDir();
    await using running = await job();
    const path = dir.write("web.pid", String(running.pid));
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

Deno.test("claim does not write into a file of somebody who could change it afterwards", async () => {
  using dir = new TempDir();
  // For root that is nobody's file; for others there is no way to give a file away.
  const path = dir.write("web.pid", "garbage");
  chown(path);
  expectResult(await sipid("claim", "--pid", "17", "--pid-file", path), {
    code: isRoot ? 1 : 0,
    stderr: isRoot ? `${path} belongs to user ${NOBODY}, who could change it` : "",
  });
  assertEquals(Deno.readTextFileSync(path), isRoot ? "garbage" : "17");
});
