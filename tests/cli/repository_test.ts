/** What is installed, released and documented, against what the binary does. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { expectResult, ROOT, run, sipid, TempDir } from "../support.ts";

const MANUAL = `${ROOT}docs/sipid.1`;
const COMMANDS = ["claim", "kill", "status", "wait-until-healthy", "pidproxy", "help"];

Deno.test("the man page is clean under mandoc and has the sections of its kind", async () => {
  expectResult(await run("mandoc", ["-Tlint", "-W", "warning", MANUAL]), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  const text = Deno.readTextFileSync(MANUAL);
  for (
    const section of [
      "NAME",
      "SYNOPSIS",
      "DESCRIPTION",
      "ENVIRONMENT",
      "FILES",
      "EXIT STATUS",
      "SIGNALS",
      "EXAMPLES",
      "SEE ALSO",
    ]
  ) assertMatch(text, new RegExp(`^\\.Sh ${section}$`, "m"));
});

Deno.test("the man page names each flag that the binary's help names", async () => {
  const manual = Deno.readTextFileSync(MANUAL);
  for (const command of COMMANDS) {
    const { stdout } = await sipid("help", command);
    const flags = [...stdout.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, flag]) => flag);
    assert(flags.length > 0);
    for (const flag of flags) assertStringIncludes(manual, `.It Fl -${flag}`);
  }
});

Deno.test("make install puts binary, man page and completions where each is looked for", async () => {
  using dir = new TempDir();
  expectResult(
    await run("make", ["install", `DESTDIR=${dir.path}`, "PREFIX=/usr"], {
      cwd: ROOT,
    }),
    { code: 0 },
  );
  const installed = `${dir.path}/usr`;
  expectResult(await run(`${installed}/bin/sipid`, ["--version"]), { code: 0 });
  for (
    const [shell, path] of [
      ["bash", "bash-completion/completions/sipid"],
      ["zsh", "zsh/site-functions/_sipid"],
      ["fish", "fish/vendor_completions.d/sipid.fish"],
    ] as const
  ) {
    const { stdout } = await sipid("completions", shell);
    assertEquals(Deno.readTextFileSync(`${installed}/share/${path}`), stdout);
  }
  assertEquals(
    Deno.readTextFileSync(`${installed}/share/man/man1/sipid.1`),
    Deno.readTextFileSync(MANUAL),
  );
});

Deno.test("make release packs the same bytes each time, with what its checksums say", async () => {
  const sums: string[] = [];
  for (let time = 0; time < 2; time++) {
    const { stdout } = expectResult(await run("sh", ["toolchain/release.sh"], { cwd: ROOT }), {
      code: 0,
    });
    assertStringIncludes(stdout, "bosh add-blob dist/sipid sipid/sipid");
    sums.push(Deno.readTextFileSync(`${ROOT}dist/SHA256SUMS`));
  }
  assertEquals(sums[0], sums[1]);
  const dist = { cwd: `${ROOT}dist` };
  expectResult(await run("sha256sum", ["--check", "--quiet", "SHA256SUMS"], dist), { code: 0 });
  const archive = /\S+\.tar\.gz/.exec(sums[0]!)![0];
  const { stdout } = await run("tar", ["-tzf", archive], dist);
  const names = stdout.trim().split("\n").map((name) => name.replace(/^[^/]*\//, ""));
  for (const name of ["sipid", "sipid.1", "LICENSE", "completions/sipid.bash"]) {
    assert(names.includes(name), stdout);
  }
});
