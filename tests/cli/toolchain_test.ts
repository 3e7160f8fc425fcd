/** What make builds with, and what make release packs. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, expectResult, type Result, ROOT, run, TempDir } from "../support.ts";

Deno.test("make release packs the same bytes in any environment, with checksums that are right", async () => {
  using dir = new TempDir();
  const dist = { cwd: dir.path };
  Deno.copyFileSync(`${ROOT}dist/sipid`, dir.file("sipid"));
  const sums: string[] = [];
  for (const env of [{}, { TAR_OPTIONS: "--mtime=@5", GZIP: "-1", TZ: "Asia/Tokyo" }]) {
    const release = await run("sh", ["-c", 'umask 077; sh toolchain/release.sh "$0"', dir.path], {
      cwd: ROOT,
      env,
    });
    const { stdout } = expectResult(release, { code: 0 });
    assertStringIncludes(stdout, `bosh add-blob ${dir.path}/sipid sipid/sipid`);
    sums.push(Deno.readTextFileSync(dir.file("SHA256SUMS")));
    expectResult(await run("sha256sum", ["--check", "--quiet", "SHA256SUMS"], dist), { code: 0 });
  }
  assertEquals(sums[0], sums[1]);
  const archive = /\S+-x64\.tar\.gz/.exec(sums[0]!)![0];
  const { stdout } = await run("tar", ["-tzf", archive], dist);
  const names = stdout.trim().split("\n").map((name) => name.replace(/^[^/]*\//, ""));
  for (const name of ["sipid", "sipid.1", "LICENSE", "completions/sipid.bash"]) {
    assert(names.includes(name), stdout);
  }
  assertStringIncludes(sums[0]!, "_amd64.deb\n");
});

/** Runs find_deno.sh with a cache of its own and no Deno on PATH. */
function findDeno(cache: string): Promise<Result> {
  const env = { XDG_CACHE_HOME: cache, PATH: "/usr/bin:/bin" };
  return run("sh", [`${ROOT}toolchain/find_deno.sh`], { clearEnv: true, env });
}

Deno.test("a build refuses a cache directory that other users can change", async () => {
  using dir = new TempDir();
  const parent = dir.file("a");
  const cache = `${parent}/b`;
  Deno.mkdirSync(`${cache}/sipid-toolchain`, { recursive: true });
  for (const path of [`${cache}/sipid-toolchain`, cache, parent]) {
    for (const mode of [0o777, 0o775]) {
      Deno.chmodSync(path, mode);
      expectResult(await findDeno(cache), {
        code: 1,
        stdout: "",
        stderr: `${cache}/sipid-toolchain is not safe: other users can change ${path}\n`,
      });
    }
    Deno.chmodSync(path, 0o755);
  }
  if (Deno.uid() !== 0) return;
  Deno.chownSync(cache, 65534, 65534);
  expectResult(await findDeno(cache), { code: 1, stdout: "", stderr: `can change ${cache}\n` });
});

Deno.test("a build does not run a Deno that has been changed", async () => {
  using dir = new TempDir();
  const version = /^([\d.]+) .* pinned$/m.exec(
    Deno.readTextFileSync(`${ROOT}toolchain/versions`),
  )![1];
  const directory = dir.file(
    `sipid-toolchain/deno-${version}/node_modules/@deno/linux-x64-glibc`,
  );
  Deno.mkdirSync(directory, { recursive: true });
  const marker = dir.file("was-run");
  Deno.writeTextFileSync(`${directory}/deno`, `#!/bin/sh\ntouch ${marker}\n`);
  Deno.chmodSync(`${directory}/deno`, 0o755);
  expectResult(await findDeno(dir.path), {
    code: 1,
    stdout: "",
    stderr: [`${directory}/deno has been changed; remove `],
  });
  assert(!exists(marker));
});
