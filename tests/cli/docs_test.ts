/** The prose of the README and of docs/, checked against the binary and the tree. */
import { assert, assertEquals } from "@std/assert";
import { expectResult, run, SIPID, sipid, TempDir } from "../support.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const README = Deno.readTextFileSync(`${ROOT}README.md`);

/** Replaces what differs from run to run: times, durations and PIDs. */
function normalized(output: string): string {
  return output
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z (?=sipid)/gm, "")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/\b(?:\d+(?:\.\d+)?(?:ms|us|h|m|s))+\b/g, "DURATION")
    .replace(/\b\d{2,}\b/g, "PID");
}

Deno.test("the README's session prints what the README shows", async () => {
  const lines = /```console\n([^]*?)```/.exec(README)![1]!.trimEnd().split("\n");
  const commands = lines.filter((line) => line.startsWith("$ ")).map((line) => line.slice(2));
  const shown = lines.filter((line) => !line.startsWith("$ "));
  assert(commands.length > 1 && shown.length > 1);
  using dir = new TempDir();
  const directory = SIPID.replace(/\/[^/]*$/, "");
  const script = `PATH=${directory}:$PATH\n${commands.join("\n")}\nkill %1 2>/dev/null`;
  const { stdout, stderr } = await run("bash", ["-c", `exec 2>&1\n${script}`], { cwd: dir.path });
  assertEquals(stderr, "");
  assertEquals(normalized(stdout), normalized(`${shown.join("\n")}\n`));
});

Deno.test("the README's synopses name only flags that the command has", async () => {
  const synopses = [...README.matchAll(/^ {4}sipid ([a-z-]+)( [^]*?)\n(?! {8})/gm)];
  assert(synopses.length > 4);
  for (const [synopsis, command] of synopses) {
    const { stdout } = expectResult(await sipid("help", command!), { code: 0 });
    for (const [flag] of synopsis.matchAll(/--[a-z-]+/g)) {
      assert(stdout.includes(`  ${flag} `), `${flag} of sipid ${command}`);
    }
  }
});

Deno.test("the README has at most 12 KiB", () => {
  const { length } = new TextEncoder().encode(README);
  assert(length <= 12 * 1024, `${length} bytes`);
});

Deno.test("each link of the documentation leads to a file", async () => {
  const { stdout } = await run("git", ["ls-files", "*.md"], { cwd: ROOT });
  const pages = stdout.trim().split("\n");
  assert(pages.length > 5);
  for (const page of pages) {
    const text = Deno.readTextFileSync(ROOT + page);
    for (const [, target] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
      const path = new URL(target!, `file://${ROOT}${page}`).pathname;
      assert(await exists(path), `${target} in ${page}`);
    }
  }
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
