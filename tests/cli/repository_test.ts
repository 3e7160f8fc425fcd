/** What is documented, installed and released, compared with what the binary does. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { commands } from "../../commands/mod.ts";
import { expectResult, ROOT, run, sipid, TempDir } from "../support.ts";

const MANUAL = `${ROOT}docs/sipid.1`;
const COMMANDS = commands.map(({ name }) => name);

/** The ways to write the flags of a command, such as `--exec`, sorted; by command. */
type FlagsByCommand = Record<string, string[]>;

/** Returns the groups that a pattern matches in a text, sorted. */
function groups(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].flatMap(([, ...groups]) => groups)
    .filter((group) => group !== undefined).sort();
}

/** Returns the part of a text between two patterns, of which the first is part of it. */
function section(text: string, begin: RegExp, end: RegExp): string {
  const start = text.search(begin);
  assert(start >= 0, `no ${begin}`);
  const rest = text.slice(start);
  const length = rest.slice(1).search(end);
  return length < 0 ? rest : rest.slice(0, length + 1);
}

function byCommand(flags: (command: string) => string[]): FlagsByCommand {
  return Object.fromEntries(COMMANDS.map((name) => [name, flags(name)]));
}

/** Returns the flags that the binary's help shows. */
async function helpFlags(): Promise<FlagsByCommand> {
  const helps = await Promise.all(COMMANDS.map((name) => sipid("help", name)));
  return byCommand((name) =>
    groups(helps[COMMANDS.indexOf(name)]!.stdout, /^ {2}(?:(-\w), )?(--[a-z-]+)/gm)
  );
}

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

Deno.test("the man page has the flags of each command's help, and no others", async () => {
  const manual = Deno.readTextFileSync(MANUAL);
  const described = byCommand((name) => {
    const text = section(manual, new RegExp(`^\\.It Cm ${name}$`, "m"), /^\.It Cm |^\.Sh /m);
    return groups(text, /^\.It (?:Fl (\w) , )?Fl (-[a-z-]+)/gm).map((flag) => `-${flag}`).sort();
  });
  assertEquals(described, await helpFlags());
  const common = ["--help", "--quiet", "-h", "-q"];
  const synopsis = section(manual, /^\.Sh SYNOPSIS$/m, /^\.Sh DESCRIPTION$/m);
  const shown = byCommand((name) => {
    const text = section(synopsis, new RegExp(`^\\.Cm ${name}$`, "m"), /^\.Nm$/m);
    return [...groups(text, /Fl (-[a-z-]+)/g).map((flag) => `-${flag}`), ...common].sort();
  });
  assertEquals(shown, described);
});

Deno.test("the completions have the flags of each command's help, and no others", async () => {
  const expected = await helpFlags();
  const [bash, zsh, fish] = await Promise.all(
    ["bash", "zsh", "fish"].map(async (shell) => (await sipid("completions", shell)).stdout),
  );
  const inBash = byCommand((name) => {
    const text = section(bash!, new RegExp(`^    ${name}\\)$`, "m"), /;;/);
    return groups(text, /^ +flags='(.*)'$/gm).flatMap((flags) => flags.split(" ")).sort();
  });
  assertEquals(inBash, expected);
  const inZsh = byCommand((name) => {
    const line = section(zsh!, new RegExp(`^    ${name}\\) `, "m"), /$/m);
    return groups(line, / '(?:\([^)]*\)|\*)?(--?[a-z-]+)\[/g);
  });
  assertEquals(inZsh, expected);
  const inFish = byCommand((name) => {
    const own = fish!.split("\n").filter((line) => line.includes(`subcommand_from ${name}'`));
    const text = own.join("\n");
    const letters = groups(text, /' -s (\w) /g).map((letter) => `-${letter}`);
    return [...letters, ...groups(text, / -l ([a-z-]+) /g).map((flag) => `--${flag}`)].sort();
  });
  assertEquals(inFish, expected);
});

Deno.test("make install installs the binary, the man page and the completions where they are searched", async () => {
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
