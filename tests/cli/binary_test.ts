/** The compiled binary: which files it touches, and that its build is reproducible. */
import { assert, assertEquals } from "@std/assert";
import { commands } from "../../commands/mod.ts";
import { closedPort } from "../servers.ts";
import { deadPid, expectResult, run, SIPID, TempDir, testCompiled } from "../support.ts";

/** System calls that create, change or remove something with a name. */
const CALLS = "open,openat,creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat," +
  "rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,chmod,fchmodat,chown,fchownat," +
  "utimensat,bind";

/** Returns what strace prints about a run of the binary with its caches and temporary files in `dir`. */
async function traced(dir: TempDir, calls: string, args: string[]): Promise<string[]> {
  const log = dir.file("strace.log");
  const { stderr } = await run("strace", [
    "-f",
    "-y",
    "-e",
    `trace=${calls}`,
    "-o",
    log,
    SIPID,
    ...args,
  ], {
    cwd: dir.path,
    env: { HOME: dir.path, TMPDIR: dir.path, XDG_CACHE_HOME: dir.path, PATH: "/usr/bin:/bin" },
    clearEnv: true,
  });
  const lines = Deno.readTextFileSync(log).split("\n");
  assert(lines.some((line) => line.includes("openat(")), `strace saw nothing: ${stderr}`);
  return lines;
}

/** Returns the paths that a run of the binary created, opened for writing, renamed or removed. */
async function written(dir: TempDir, args: string[]): Promise<string[]> {
  const lines = await traced(dir, CALLS, args);
  const writing = lines.filter((line) =>
    /^\d+ +\w+\(/.test(line) &&
    (!/ open(at)?\(/.test(line) || /O_(WRONLY|RDWR|CREAT|TRUNC)/.test(line))
  );
  const paths = writing.flatMap((line) =>
    [...line.matchAll(/"([^"]*)"/g)].map(([, path]) => path!)
  );
  // The runtime opens descriptors 0 to 2 if they are closed, and names its threads.
  const own = (path: string): boolean => path === "/dev/null" || /^\/proc\/self\/task\//.test(path);
  return [...new Set(paths.filter((path) => !own(path)))].sort();
}

testCompiled("a command writes only to the pidfile and its directory", async () => {
  using dir = new TempDir();
  const dead = String(await deadPid());
  assertEquals(await written(dir, ["--version"]), []);
  assertEquals(await written(dir, ["claim", "--pid", "17"]), []);
  assertEquals(await written(dir, ["claim", "--pid", dead, "--pid-file", "run/web.pid"]), [
    dir.file("run"),
    dir.file("run/.web.pid.claim"),
    dir.file("run/.web.pid.claim-new"), // becomes run/.web.pid.claim by rename
    dir.file("run/.web.pid.new"), // becomes run/web.pid
    dir.file("run/web.pid"),
  ]);
  dir.write("run/web.pid", dead);
  assertEquals(await written(dir, ["kill", "--pid-file", "run/web.pid"]), [
    dir.file("run/.web.pid.claim"),
    dir.file("run/web.pid"),
  ]);
  const url = `http://127.0.0.1:${closedPort()}/`;
  assertEquals(await written(dir, ["wait-until-healthy", "--url", url, "--timeout", "100ms"]), []);
  assertEquals([...Deno.readDirSync(dir.file("run"))], []);
});

testCompiled(
  "the binary loads its code from itself, not from the temporary directory that the code names",
  async () => {
    using dir = new TempDir();
    Deno.mkdirSync(dir.file("run"));
    for (const { name: command } of commands) {
      const lines = await traced(dir, "%file", [command, "--pid-file", "run/web.pid"]);
      const own = lines.filter((line) => line.includes(`"${dir.path}/`))
        .filter((line) => !/\/run(\/|\/web\.pid)?"/.test(line));
      assertEquals(own, [], command);
    }
  },
);

testCompiled("the binary is the same in whatever directory it is built", async () => {
  const root = new URL("../../", import.meta.url).pathname;
  const sources = [
    "main.ts",
    "deno.json",
    "deno.lock",
    "import_map.json",
    "commands",
    "lib",
    "toolchain",
  ];
  const sums: string[] = [];
  using dir = new TempDir();
  for (const directory of ["a", "another/and/deeper"]) {
    const clone = dir.file(directory);
    Deno.mkdirSync(clone, { recursive: true });
    await run("cp", ["-R", ...sources.map((name) => root + name), clone]);
    expectResult(await run(Deno.execPath(), ["task", "--quiet", "build"], { cwd: clone }), {
      code: 0,
    });
    sums.push((await run("sha256sum", [`${clone}/dist/sipid`])).stdout.slice(0, 64));
  }
  const own = (await run("sha256sum", [SIPID])).stdout.slice(0, 64);
  assertEquals(sums, [own, own]);
});
