/** Where pidfiles and claim records are kept: odd names, modes, file systems and directories. */
import { assertEquals, assertMatch } from "@std/assert";
import { inNamespace, onTmpfs } from "../namespaces.ts";
import {
  AS_NOBODY,
  asNobody,
  exists,
  expectResult,
  Job,
  NOBODY,
  readIfExists,
  run,
  Running,
  SIPID,
  sipid,
  TempDir,
} from "../support.ts";

/** What is in a directory besides what the test put there. */
function names(dir: TempDir): string[] {
  return [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
}

const NAMES: Record<string, string> = {
  "spaces": "a web server.pid",
  "a newline": "web\nserver.pid",
  "quotes and a dollar sign": `'"$web.pid`,
  "UTF-8": "wéb.pid",
  "dots": "...pid",
};
for (const [what, name] of Object.entries(NAMES)) {
  Deno.test(`claim and kill handle a name with ${what}`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.file(name);
    const claim = ["claim", "--pid", String(job.pid), "--pid-file", path, "--exec", "/bin/true"];
    expectResult(await sipid(...claim), { code: 0, stderr: "" });
    assertEquals(names(dir), [`.${name}.claim`, name].sort());
    // By the record: /bin/true would not match.
    expectResult(await sipid("kill", "--pid-file", path, "--exec", "/bin/true"), { code: 0 });
    assertEquals(names(dir), []);
  });
}

for (const path of ["run/", "run/.", "run/..", ".", "..", "./", "/"]) {
  Deno.test(`every command refuses ${path}, which names a directory, and creates nothing`, async () => {
    using dir = new TempDir();
    const stderr = `${path}: names a directory; give the path of the pidfile itself\n`;
    const commands: string[][] = [
      ["claim", "--pid", String(Deno.pid), "--pid-file", path],
      ["kill", "--pid-file", path],
      ["signal", "--signal", "HUP", "--if-running", "--pid-file", path],
      ["wait-until-gone", "--pid-file", path],
      ["wait-until-healthy", "--pid-file", path, "--", "true"],
      ["pidproxy", path, "touch", "started"],
    ];
    for (const args of commands) {
      const result = await run(SIPID, args, { cwd: dir.path });
      expectResult(result, { code: 1, stdout: "", stderr: `sipid ${args[0]}: ${stderr}` });
    }
    const result = await run(SIPID, ["status", "--pid-file", path], { cwd: dir.path });
    expectResult(result, { code: 4, stdout: `unknown: ${stderr}` });
    assertEquals(names(dir), []);
  });
}

for (const name of [".web.pid.claim", ".web.pid.new", ".web.pid.claim-new"]) {
  Deno.test(`claim refuses the name ${name}, which a claim of another pidfile would remove`, async () => {
    using dir = new TempDir();
    const claim = ["claim", "--pid", String(Deno.pid), "--pid-file", `run/${name}`];
    expectResult(await run(SIPID, claim, { cwd: dir.path }), {
      code: 1,
      stderr: /: run\/\S+: has a name that is reserved for claims of \.?web\.pid/,
    });
    assertEquals(names(dir), []);
  });
}

for (
  const way of [
    "web.pid",
    "./web.pid",
    ".//web.pid",
    "../run/web.pid",
    "link/web.pid",
    "/proc/self/cwd/web.pid",
  ]
) {
  Deno.test(`a claim by ${way} is known by every other path`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    Deno.mkdirSync(dir.file("run"));
    Deno.symlinkSync("../run", dir.file("run/link"));
    const options = ["--pid-file", way, "--exec", "/bin/true"];
    const cwd = dir.file("run");
    expectResult(await run(SIPID, ["claim", "--pid", String(job.pid), ...options], { cwd }), {
      code: 0,
    });
    const path = dir.file("run/web.pid");
    expectResult(await sipid("status", "--pid-file", path, "--exec", "/bin/true"), { code: 0 });
    expectResult(await run(SIPID, ["kill", ...options], { cwd }), { code: 0 });
    assertEquals(exists(path), false);
    assertEquals(exists(dir.file("run/.web.pid.claim")), false);
  });
}

Deno.test("a relative path is refused in a directory whose name is not UTF-8", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await run("sh", [
    "-c",
    `cd ${dir.path}; name=$(printf 'x\\377'); mkdir "$name"; cd "$name"
    for command in "claim --pid $$" kill status; do
      ${SIPID} $command --pid-file web.pid >&2; echo "\${command%% *}: exit $?"
    done`,
  ]);
  assertEquals(stdout, "claim: exit 1\nkill: exit 1\nstatus: exit 4\n", stderr);
  assertEquals(stderr.match(/cannot open web\.pid: /g)?.length, 3, stderr);
});

for (const [length, record] of [[244, true], [245, false], [251, false], [255, false]] as const) {
  Deno.test(`a claim with a name of ${length} bytes ${record ? "has a" : "is good without a"} record`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const name = "w".repeat(length);
    const path = dir.file(name);
    expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), {
      code: 0,
      stderr: record ? "" : `warning: ${path}: has no claim record, so start times decide later`,
    });
    assertEquals(names(dir), record ? [`.${name}.claim`, name] : [name]);
    expectResult(await sipid("status", "--pid-file", path), { code: 0 });
    expectResult(await sipid("kill", "--pid-file", path), { code: 0 });
    assertEquals(names(dir), []);
  });
}

Deno.test("claim keeps group and mode of the pidfile under umask 077, and the record's readers", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", "2147483647");
  Deno.chmodSync(path, 0o664);
  if (Deno.uid() === 0) Deno.chownSync(path, 0, NOBODY);
  const { gid } = Deno.statSync(path);
  const script = `umask 077; exec ${SIPID} claim --pid ${job.pid} --pid-file ${path}`;
  expectResult(await run("sh", ["-c", script]), {
    code: 0,
    stderr: Deno.uid() === 0 ? `${path}: can be written by others than its owner (mode 0664)` : "",
  });
  for (const [file, mode] of [[path, 0o664], [dir.file(".web.pid.claim"), 0o644]] as const) {
    const info = Deno.statSync(file);
    assertEquals([info.mode! & 0o7777, info.gid], [mode, gid], file);
  }
  expectResult(await asNobody(SIPID, ["status", "--pid-file", path, "--exec", "/bin/true"]), {
    code: 0,
  });
});

Deno.test("claim records the process in a pidfile of a group that the user is not in", async () => {
  using dir = new TempDir();
  await using job = await Running.start("sh", [
    ...["-c", `echo ready; exec ${AS_NOBODY.join(" ")} sleep 600`],
  ]);
  const path = dir.write("web.pid", "2147483647");
  Deno.chmodSync(dir.path, 0o755);
  if (Deno.uid() === 0) {
    Deno.chownSync(dir.path, NOBODY, NOBODY);
    Deno.chownSync(path, NOBODY, 0);
  }
  const { gid } = Deno.statSync(path);
  const claim = ["claim", "--pid", String(job.pid), "--pid-file", path];
  expectResult(await asNobody(SIPID, claim), { code: 0, stderr: "" });
  assertEquals(names(dir), [".web.pid.claim", "web.pid"]);
  assertEquals(Deno.statSync(path).gid, gid);
});

Deno.test("a user's record counts for them in a pidfile of root's that their group can write", async () => {
  using dir = new TempDir();
  await using job = await Running.start("sh", [
    ...["-c", `echo ready; exec ${AS_NOBODY.join(" ")} sleep 600`],
  ]);
  const path = dir.write("web.pid", "2147483647");
  Deno.chmodSync(path, 0o664);
  Deno.chmodSync(dir.path, 0o775);
  if (Deno.uid() === 0) { for (const it of [path, dir.path]) Deno.chownSync(it, 0, NOBODY); }
  const claim = ["claim", "--pid", String(job.pid), "--pid-file", path];
  expectResult(await asNobody(SIPID, claim), { code: 0 });
  // By the record: /bin/true would not match.
  const status = ["status", "--pid-file", path, "--exec", "/bin/true"];
  expectResult(await asNobody(SIPID, status), { code: 0 });
});

for (const name of [".web.pid.new", ".web.pid.claim-new", ".web.pid.claim"]) {
  Deno.test(`a directory with the name ${name} does not keep a claim from being made`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    Deno.mkdirSync(dir.file(`${name}/kept`), { recursive: true });
    const path = dir.write("web.pid", "2147483647");
    expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), {
      code: 0,
      stderr: name === ".web.pid.new" ? "" : "cannot write the claim record ",
    });
    assertEquals(readIfExists(path), String(job.pid));
    expectResult(await sipid("status", "--pid-file", path), { code: 0 });
    expectResult(await sipid("kill", "--pid-file", path), { code: 0 });
    assertEquals(names(dir), [name]);
    assertEquals(exists(dir.file(`${name}/kept`)), true);
  });
}

Deno.test("a claim without a free inode writes in place, without a record", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "nr_inodes=3",
    `
    printf 2147483647 > web.pid; : > filler
    spawn; sipid claim --pid $pid --pid-file web.pid; seen claim $?; ls -A
    sipid status --pid-file web.pid >&2; sipid kill --pid-file web.pid; ls -A; echo $?`,
  );
  assertEquals(stdout, "claim: exit 0, running, named\nfiller\nweb.pid\nfiller\n0\n", stderr);
});

Deno.test("a claim works where the pidfile alone is mounted, and on an overlay", async () => {
  using dir = new TempDir();
  const claim = "sipid claim --pid $pid --pid-file run/web.pid --exec /bin/true; ls -A run";
  const judged = `sipid status --pid-file run/web.pid --exec /bin/true >&2; echo $?
    sipid kill --pid-file run/web.pid --exec /bin/true || echo "exit $?"`;
  const bound = await inNamespace(`
    cd ${dir.path}; mkdir run; printf 2147483647 > file; : > run/web.pid
    mount --bind file run/web.pid
    spawn; ${claim}; cat file; echo; ${judged}; is_running $pid || echo stopped`);
  assertMatch(
    bound.stdout,
    /^\.web\.pid\.claim\nweb\.pid\n\d+\n0\nstopped\n$/,
    bound.stderr,
  );
  assertMatch(bound.stderr, /emptied run\/web\.pid/);

  // The first claim copies the file up, which changes its inode on some overlays.
  using other = new TempDir();
  const overlay = await inNamespace(`
    mount -t tmpfs tmpfs ${other.path}; cd ${other.path}
    mkdir lower upper work run; printf 2147483647 > lower/web.pid
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay run
    sipid status --pid-file run/web.pid || echo $?
    spawn; ${claim}; ${judged}; is_running $pid || echo stopped; ls -A run`);
  assertMatch(
    overlay.stdout,
    /^dead: .*\n1\n\.web\.pid\.claim\nweb\.pid\n0\nstopped\n$/,
    overlay.stderr,
  );
});
