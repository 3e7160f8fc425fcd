/** The example BOSH release and all shell scripts. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { expectResult, ROOT, run, TempDir } from "../support.ts";

const RELEASE = `${ROOT}example/release`;

Deno.test("the example release is complete and consistent", async () => {
  expectResult(await run("ruby", [`${ROOT}tests/release/check.rb`, RELEASE]), {
    code: 0,
    stdout: /^\d+ jobs and \d+ packages are consistent\n$/,
  });
});

const DEFECTS: [string, string][] = [
  ["rm jobs/web/templates/drain.erb", "templates/drain.erb does not exist"],
  ["touch jobs/web/templates/forgotten", "templates/forgotten is not listed"],
  ["rm -r packages/web", "there is no package web"],
  ["echo '  a: b: c' >> config/final.yml", "config/final.yml"],
  ["sed -i s,bin/start,bin/go, jobs/web/monit", "jobs/web/bin/go, which is not there"],
  ["sed -i s/grace_period:/grace:/ jobs/web/spec", "uses grace_period, undeclared"],
  ["rm src/web/web.c", "src/web/web.c does not exist"],
  ["rm packages/sipid/packaging", "package sipid: no packaging"],
];
Deno.test("the check of the release finds each defect", async () => {
  for (const [defect, message] of DEFECTS) {
    using dir = new TempDir();
    const copy = dir.file("release");
    await run("cp", ["-R", RELEASE, copy]);
    expectResult(await run("sh", ["-euc", defect], { cwd: copy }), { code: 0 });
    const result = await run("ruby", [`${ROOT}tests/release/check.rb`, copy]);
    const { stdout } = expectResult({ ...result, command: defect }, { code: 1 });
    assertStringIncludes(stdout, message);
  }
});

Deno.test("every script passes shellcheck; those of the release do so as BOSH renders them", async () => {
  using dir = new TempDir();
  const scripts = ["example/start", "example/stop", "example/init", "example/demo.sh", ".ci/run"]
    .map((it) => ROOT + it);
  for (const { name } of Deno.readDirSync(`${RELEASE}/jobs`)) {
    const target = dir.file(name);
    const render = [`${ROOT}tests/release/render.rb`, `${RELEASE}/jobs/${name}`, target, "{}"];
    expectResult(await run("ruby", render), { code: 0 });
    for (const script of Deno.readDirSync(`${target}/bin`)) {
      const path = `${target}/bin/${script.name}`;
      assertMatch(Deno.readTextFileSync(path), /^#!\/bin\/(ba)?sh\n[^]*^set -eu$/m);
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o755);
      scripts.push(path);
    }
  }
  for (const { name } of Deno.readDirSync(`${RELEASE}/packages`)) {
    scripts.push(`${RELEASE}/packages/${name}/packaging`);
  }
  for (const directory of ["toolchain", "tests/e2e"]) {
    for (const { name } of Deno.readDirSync(ROOT + directory)) {
      if (name.endsWith(".sh")) scripts.push(`${ROOT}${directory}/${name}`);
    }
  }
  expectResult(await run("shellcheck", scripts), { code: 0 });
});
