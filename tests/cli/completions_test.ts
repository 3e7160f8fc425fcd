/** `sipid completions`, in the real shells. */
import { assert, assertEquals } from "@std/assert";
import { commands } from "../../commands/mod.ts";
import { expectResult, run, sipid, TempDir } from "../support.ts";

/** A directory with the script of a shell, a file and a directory to complete. */
async function prepared(shell: string): Promise<TempDir> {
  const dir = new TempDir();
  const { stdout } = expectResult(await sipid("completions", shell), { code: 0 });
  dir.write("script", stdout);
  dir.write("web.pid", "");
  dir.write("two words.pid", "");
  Deno.mkdirSync(dir.file("weblogs"));
  return dir;
}

/** What bash offers for the last word of a command line. */
async function inBash(...words: string[]): Promise<string[]> {
  using dir = await prepared("bash");
  const script = `. ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    "$(complete -p sipid | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const args = ["--norc", "-c", script, "bash", "sipid", ...words];
  const { stdout } = expectResult(await run("bash", args, { cwd: dir.path }), {
    code: 0,
    stderr: "",
  });
  return stdout.split("\n").filter((line) => line !== "").sort();
}

/** What fish offers. */
async function inFish(...words: string[]): Promise<string[]> {
  using dir = await prepared("fish");
  const line = ["sipid", ...words].join(" ");
  const { stdout } = expectResult(
    await run(
      "fish",
      ["--no-config", "-c", `source script; complete --do-complete='${line}'`],
      { cwd: dir.path, env: { HOME: dir.path } },
    ),
    { code: 0, stderr: "" },
  );
  return stdout.split("\n").filter((it) => it !== "").map((it) => it.split("\t")[0]!).sort();
}

/**
 * What zsh adds as matches, on a terminal of its own. Its completion works in the line editor
 * alone, so a shell is typed to; a `compadd` of the test's writes down what is added.
 */
async function inZsh(...words: string[]): Promise<string[]> {
  using dir = await prepared("zsh");
  dir.write(
    "rc",
    `autoload -Uz compinit; compinit -u -d ./dump; . ./script
    compadd() {
      local -a hits
      [[ " $* " == *\\ -[OAD]\\ * ]] || builtin compadd -O hits "$@"
      (( $#hits )) && print -rl -- $hits >>./hits
      builtin compadd "$@"
    }
    finish() { : >./done; exit }
    comppostfuncs=(finish)
    bindkey '^I' complete-word
    : >./ready`,
  );
  dir.write(
    "drive",
    `zmodload zsh/zpty
    appears() { repeat 1000; do [[ -e $1 ]] && return; zpty -r -t shell piece; sleep 0.01; done; exit 1 }
    zpty shell 'TERM=dumb zsh -f -i'
    zpty -w shell '. ./rc'
    appears ready
    zpty -w -n shell "$1"$'\\t'
    appears done
    [[ ! -e hits ]] || cat hits`,
  );
  const options = { cwd: dir.path, env: { HOME: dir.path } };
  const args = ["-f", "drive", ["sipid", ...words].join(" ")];
  const { stdout } = expectResult(await run("zsh", args, options), { code: 0 });
  return [...new Set(stdout.split("\n").filter((line) => line !== ""))].sort();
}

const WORDS = [...commands.map(({ name }) => name), "--help", "--version", "-h", "-v"];

Deno.test("bash completes commands, flags, file names and shells", async () => {
  assertEquals(await inBash(""), WORDS.sort());
  assertEquals(await inBash("cl"), ["claim"]);
  assertEquals(await inBash("kill", "--g"), ["--grace-period", "--group"]);
  assertEquals(await inBash("kill", "--signal", "U"), ["URG", "USR1", "USR2"]);
  assertEquals(await inBash("kill", "--signal", "=", "U"), ["URG", "USR1", "USR2"]);
  assertEquals(await inBash("signal", "--signal", "WI"), ["WINCH"]);
  assertEquals(await inBash("kill", "-q"), ["-q"]);
  assertEquals(await inBash("help", "-"), ["--help", "--quiet", "-h", "-q"]);
  assertEquals(await inBash("kill", "--pid-file", "web"), ["web.pid", "weblogs"]);
  assertEquals(await inBash("kill", "-pid-file", "two"), ["two words.pid"]);
  assertEquals(await inBash("kill", "--pid-file", "=", "web.p"), ["web.pid"]);
  assertEquals(await inBash("kill", "--grace-period", ""), []);
  assertEquals(await inBash("completions", ""), ["bash", "fish", "zsh"]);
  assertEquals(await inBash("help", "st"), ["status"]);
  assertEquals(await inBash("pidproxy", "web.p"), ["web.pid"]);
  assert((await inBash("pidproxy", "web.pid", "slee")).includes("sleep"));
});

Deno.test("the bash script is clean under shellcheck", async () => {
  using dir = await prepared("bash");
  expectResult(await run("shellcheck", ["-s", "bash", dir.file("script")]), {
    code: 0,
    stdout: "",
  });
});

Deno.test("fish completes commands, flags, file names and shells", async () => {
  assertEquals(await inFish("c"), ["claim", "completions"]);
  assertEquals(await inFish("kill", "--g"), ["--grace-period", "--group"]);
  assertEquals(await inFish("kill", "--signal", "U"), ["URG", "USR1", "USR2"]);
  assertEquals(await inFish("signal", "--signal", "WI"), ["WINCH"]);
  assertEquals(await inFish("status", "--q"), ["--quiet"]);
  assertEquals((await inFish("status", "-")).filter((it) => !it.startsWith("--")), ["-h", "-q"]);
  assertEquals(await inFish("kill", "--pid-file", "web"), ["web.pid", "weblogs/"]);
  assertEquals(await inFish("kill", "--pid-file=web.p"), ["--pid-file=web.pid"]);
  assertEquals(await inFish("completions", ""), ["bash", "fish", "zsh"]);
  assertEquals(await inFish("help", "st"), ["status"]);
});

Deno.test("zsh completes commands, flags, file names and shells", async () => {
  assertEquals(await inZsh("cl"), ["claim"]);
  assertEquals(await inZsh("kill", "--g"), ["--grace-period", "--group"]);
  assertEquals(await inZsh("kill", "--signal", "U"), ["URG", "USR1", "USR2"]);
  assertEquals(await inZsh("signal", "--signal", "WI"), ["WINCH"]);
  assertEquals(await inZsh("kill", "-q"), ["-q"]);
  assertEquals(await inZsh("kill", "--pid-file", "web"), ["web.pid", "weblogs"]);
  assertEquals(await inZsh("completions", ""), ["bash", "fish", "zsh"]);
  assertEquals(await inZsh("help", "st"), ["status"]);
  assertEquals(await inZsh("pidproxy", "web.p"), ["web.pid"]);
});

for (const [shell, complete] of Object.entries({ bash: inBash, fish: inFish, zsh: inZsh })) {
  Deno.test(`${shell} completes the files of a health check`, async () => {
    for (const flag of ["--ca-cert", "--cert", "--key", "--unix-socket", "--pid-file"]) {
      assertEquals(await complete("wait-until-healthy", flag, "web.p"), ["web.pid"], flag);
    }
  });
}

Deno.test("bash completes the command of a health check", async () => {
  assert((await inBash("wait-until-healthy", "--", "slee")).includes("sleep"));
});

Deno.test("completions for an unknown shell are a usage error", async () => {
  expectResult(await sipid("completions", "zhs"), {
    code: 2,
    stderr: 'unknown shell "zhs": expected bash, zsh, fish; did you mean zsh?',
  });
});
