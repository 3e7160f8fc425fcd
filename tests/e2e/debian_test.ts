/** The Debian package: lintian's opinion, and its life in a minimal Debian bullseye. */
import { assert, assertMatch } from "@std/assert";
import { asNobody, expectResult, ROOT, run, TempDir } from "../support.ts";

/** Builds the package; its path. */
async function build(): Promise<string> {
  const { stdout } = expectResult(
    await run("sh", ["toolchain/release.sh"], { cwd: ROOT }),
    { code: 0 },
  );
  const path = /^dist\/sipid_.*\.deb$/m.exec(stdout)?.[0];
  assert(path !== undefined, stdout);
  return `${ROOT}${path}`;
}

Deno.test("the Debian package is without errors and warnings of lintian", async () => {
  using dir = new TempDir();
  const copy = dir.file("sipid.deb");
  Deno.copyFileSync(await build(), copy);
  Deno.chmodSync(copy, 0o644);
  const lintian = ["HOME=/nonexistent", "lintian", "--fail-on", "error,warning", copy];
  expectResult(await asNobody("env", lintian), { code: 0, stdout: "" });
});

Deno.test("the Debian package can be installed, used and removed in a minimal system", async () => {
  using dir = new TempDir();
  const { stdout: system } = expectResult(
    await run("sh", [`${ROOT}toolchain/stemcell.sh`]),
    { code: 0 },
  );
  const unshare = ["--mount", "--pid", "--fork", "--kill-child=SIGKILL", "sh"];
  const script = `${ROOT}tests/e2e/debian.sh`;
  const result = await run("unshare", [
    ...[...unshare, script, system.trim(), dir.path, await build()],
  ]);
  const { stdout } = expectResult(result, {
    code: 0,
    stderr: ["already exists: sleep", "sent SIGTERM", "removed /run/web.pid"],
  });
  for (
    const path of [
      "bin/sipid",
      "share/man/man1/sipid.1.gz",
      "share/bash-completion/completions/sipid",
      "share/zsh/vendor-completions/_sipid",
      "share/fish/vendor_completions.d/sipid.fish",
      "share/doc/sipid/copyright",
    ]
  ) assertMatch(stdout, new RegExp(`^/usr/${path}$`, "m"));
  assertMatch(stdout, /^running \d+ \(sleep\)[^]*^purged without a trace\n$/m);
});
