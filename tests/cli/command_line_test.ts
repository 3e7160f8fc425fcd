/** The command line of the compiled binary: flags, help, usage errors, and the form of messages. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { commands } from "../../commands/mod.ts";
import { UNPRINTABLE } from "../../lib/shell_quote.ts";
import { closedPort, httpServer } from "../servers.ts";
import { expectResult, fixture, type Result, run, SIPID, sipid, TempDir } from "../support.ts";

const COMMANDS = commands.map(({ name }) => name);

/** Runs a command line on a terminal; `stdout` has what it wrote there, stderr included. */
function onTerminal(
  dir: TempDir,
  commandLine: string,
  env: Record<string, string> = { TERM: "xterm", NO_COLOR: "1" },
): Promise<Result> {
  const args = ["--quiet", "--return", "--command", commandLine, dir.file("typescript")];
  return run("script", args, { env: { PATH: Deno.env.get("PATH")!, ...env }, clearEnv: true });
}

Deno.test("sipid without a command prints the help to stderr and exits with 2", async () => {
  const { stdout: help } = await sipid("--help");
  for (const name of COMMANDS) assertStringIncludes(help, `\n  ${name} `);
  const { stderr } = expectResult(await sipid(), { code: 2, stdout: "" });
  assertEquals(stderr, help);
});

Deno.test("an unknown command prints the error and one line of hint", async () => {
  const { stderr } = expectResult(await sipid("stop", "--pid", "17"), { code: 2, stdout: "" });
  assertEquals(stderr.split("\n").map((line) => line.replace(/^\S+Z /, "")), [
    'sipid: unknown command "stop"',
    "sipid: run 'sipid help' for the commands",
    "",
  ]);
});

Deno.test("help goes to stdout with status 0, and has at most 80 columns in a pipe", async () => {
  for (const help of ["--help", "-h", "-help"]) {
    for (const args of [[help], ...COMMANDS.map((name) => [name, help])]) {
      const { stdout } = expectResult(await sipid(...args), { code: 0, stderr: "" });
      assertStringIncludes(stdout, ["Usage: sipid", ...args.slice(0, -1)].join(" "));
      for (const line of stdout.split("\n")) assert(line.length <= 80, line);
    }
  }
});

Deno.test("help on a terminal wraps at its width, and never in the middle of a word", async () => {
  using dir = new TempDir();
  const words = (text: string): string[] => text.split(/\s+/);
  for (const args of ["help", ...COMMANDS.map((name) => `help ${name}`)]) {
    const piped = await sipid(...args.split(" "));
    for (const width of [30, 50, 200]) {
      const { stdout } = await onTerminal(dir, `stty cols ${width}; ${SIPID} ${args}`);
      assertEquals(words(stdout), words(piped.stdout));
      const [prose] = stdout.split("Examples:");
      for (const line of prose!.split("\r\n")) {
        const isOneWord = /^\s*(-., )?\[?\S+( [A-Z_]+\]?)?$/.test(line);
        assert(line.length <= width || isOneWord, `${width} columns: ${line}`);
      }
    }
    const { stdout: wide } = await onTerminal(dir, `stty cols 200; ${SIPID} ${args}`);
    assert(wide.split("\n").length <= piped.stdout.split("\n").length);
  }
});

Deno.test("the help of a command has its flags, defaults, exit statuses and two examples", async () => {
  const { stdout } = await sipid("kill", "--help");
  for (
    const flag of ["--pid-file PID_FILE", "--grace-period DURATION", "--show-stacks", "-q, --quiet"]
  ) {
    assertStringIncludes(stdout, `\n  ${flag} `);
  }
  assertStringIncludes(stdout.replace(/\s+/g, " "), "(default 20s)");
  for (const status of [0, 1, 2]) assertMatch(stdout, new RegExp(`^  ${status}  \\w`, "m"));
  assertMatch(stdout, /Examples:\n {2}sipid kill .*\n {2}sipid kill .*\n$/);
});

Deno.test("sipid help COMMAND prints the same as sipid COMMAND --help", async () => {
  assertEquals((await sipid("help")).stdout, (await sipid("--help")).stdout);
  for (const name of COMMANDS) {
    const { stdout } = expectResult(await sipid("help", name), { code: 0 });
    assertEquals(stdout, (await sipid(name, "--help")).stdout);
  }
});

const MISTYPED: [string[], string][] = [
  [["calim"], 'unknown command "calim"; did you mean claim?\n'],
  [["--verison"], "sipid: unknown flag --verison; did you mean --version?\n"],
  [["KILL"], 'unknown command "KILL"; did you mean kill?\n'],
  [["wait_until_healthy"], "did you mean wait-until-healthy?\n"],
  [["kill", "--pidfile", "x"], "unknown flag --pidfile; did you mean --pid-file?\n"],
  [["kill", "-pid-fiel=x"], "unknown flag -pid-fiel; did you mean --pid-file?\n"],
  [["help", "klil"], "pidproxy, help, completions; did you mean kill?\n"],
  [["completions", "zhs"], 'unknown shell "zhs": expected bash, zsh, fish; did you mean zsh?\n'],
];
for (const [args, message] of MISTYPED) {
  Deno.test(`sipid ${args.join(" ")} suggests what was probably meant`, async () => {
    expectResult(await sipid(...args), { code: 2, stdout: "", stderr: message });
  });
}

Deno.test("a word that resembles nothing gets no suggestion", async () => {
  expectResult(await sipid("stop"), { code: 2, stderr: 'unknown command "stop"\n' });
  expectResult(await sipid("claim", "--force"), { code: 2, stderr: "unknown flag --force\n" });
  expectResult(await sipid("help", "stop"), { code: 2, stderr: "pidproxy, help, completions\n" });
});

Deno.test("a flag is a value only after an equals sign", async () => {
  using dir = new TempDir();
  const args = ["claim", "--pid", "17", "--pid-file=--help"];
  expectResult(await run(SIPID, args, { cwd: dir.path }), { code: 0, stdout: "" });
  assertEquals(Deno.readTextFileSync(dir.file("--help")), "17");
});

Deno.test("-v and --version print the version of deno.json", async () => {
  const { version } = JSON.parse(
    Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
  );
  for (const flag of ["--version", "-version", "-v"]) {
    expectResult(await sipid(flag), { code: 0, stdout: `sipid ${version}\n`, stderr: "" });
  }
});

Deno.test("a flag has one dash or two, and a space or = before its value; the last one counts", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  for (
    const args of [
      ["--pid", "17", "--pid-file", path],
      ["--pid=17", `--pid-file=${path}`],
      ["-pid", "17", "-pid-file", path],
      ["-pid=17", `-pid-file=${path}`],
      ["--pid-file", path, "--pid", "17"],
      ["--pid", "16", "--pid", "17", "--pid-file", path],
      ["-q", "--pid-file", path, "--pid", "17", "--"],
    ]
  ) {
    expectResult(await sipid("claim", ...args), { code: 0 });
    assertEquals(Deno.readTextFileSync(path), "17");
    Deno.removeSync(path);
  }
});

Deno.test("a switch accepts Go's words for true and false, and no others", async () => {
  using dir = new TempDir();
  for (const [value, code] of [["true", 0], ["F", 0], ["0", 0], ["yes", 2], ["", 2]] as const) {
    const path = dir.file("web.pid");
    expectResult(await sipid("kill", "--pid-file", path, `--show-stacks=${value}`), { code });
  }
});

const WRONG: [string[], string][] = [
  [["claim"], "missing required flag --pid"],
  [["claim", "--pid", "17"], "missing required flag --pid-file"],
  [["claim", "--pid-file", "web.pid"], "missing required flag --pid"],
  [["claim", "--pid-file", "web.pid", "--pid"], "missing value for --pid"],
  [["claim", "--pid-file", "web.pid", "--pid="], "missing value for --pid"],
  [["claim", "--pid", "17", "--pid-file", ""], "missing value for --pid-file"],
  [["kill", "--pid-file", "--show-stacks"], "missing value for --pid-file"],
  [["wait-until-gone", "--pid-file", "--timeout=1s"], "missing value for --pid-file"],
  [["wait-until-healthy", "--pid-file", "--", "true"], "missing value for --pid-file"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--force"], "unknown flag --force"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--no-quiet=1"], "unknown flag --no-quiet"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--__proto__", "x"], "unknown flag"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "-v"], "unknown flag -v"],
  [["kill", "--pid-file", "web.pid", "-qx"], "unknown flag -qx"],
  [
    ["kill", "--pid-file", "web.pid", "-q=maybe"],
    'invalid --quiet "maybe": expected true or false',
  ],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "stray"], 'unexpected operand "stray"'],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "0"], 'unexpected operand "0"'],
  [["claim", "--pid", "17", "--pid-file", "web.pid", ""], 'unexpected operand ""'],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "-"], 'unexpected operand "-"'],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--", "x"], 'unexpected operand "x"'],
  ...[
    "0",
    "-1",
    "-100",
    "2147483648",
    "017",
    "0x11",
    "1e3",
    "+17",
    " 17",
    "17 ",
    "17.0",
    "abc",
    "\u0661",
  ]
    .map((pid): [string[], string] => [
      ["claim", "--pid-file", "web.pid", "--pid", pid],
      `invalid --pid "${pid}": expected a decimal integer from 1 to 2147483647`,
    ]),
  [["kill"], "missing required flag --pid-file"],
  // The first operand ends the flags: it is what is wrong, not a flag that was given.
  [["signal", "HUP", "--pid-file", "web.pid"], 'unexpected operand "HUP"'],
  [
    ["kill", "--pid-file", "web.pid", "--grace-period", "-1s"],
    'invalid --grace-period "-1s": must not be negative',
  ],
  [
    ["kill", "--pid-file", "web.pid", "--grace-period", "20"],
    "missing unit, such as in 20s or 20ms",
  ],
  [
    ["kill", "--pid-file", "web.pid", "--grace-period", "NaN"],
    "expected a duration such as 20s, 1m30s or 500ms",
  ],
  [["kill", "--pid-file", "web.pid", "--grace-period", "1e9s"], 'unknown unit "e"'],
  [
    ["kill", "--pid-file", "web.pid", "--grace-period", "5 s"],
    "expected a duration such as 20s, 1m30s or 500ms",
  ],
  [["kill", "--pid-file", "web.pid", "--grace-period", "1d"], 'unknown unit "d"'],
];
for (const [args, message] of WRONG) {
  Deno.test(`${JSON.stringify(args.slice(-3))} is a usage error and changes nothing`, async () => {
    using dir = new TempDir();
    expectResult(await run(SIPID, args, { cwd: dir.path }), {
      code: 2,
      stdout: "",
      stderr: [message, `run 'sipid ${args[0]} --help' for usage\n`],
    });
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

Deno.test("a usage error does not show the secrets of a URL", async () => {
  for (const url of ["root:s3cret@db/", "ftp://root:s3cret@db/", "http://root:s3cret@db:99999/"]) {
    const { stderr } = expectResult(await sipid("wait-until-healthy", "--url", url), { code: 2 });
    assertNotMatch(stderr, /s3cret/);
    assertStringIncludes(stderr, "root:xxxxx@db");
  }
});

Deno.test("a message in a log begins with the time in UTC", async () => {
  using dir = new TempDir();
  const { stderr } = await sipid("kill", "--pid-file", dir.file("web.pid"));
  assertMatch(
    stderr,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z sipid kill: \S+: does not exist; nothing to kill\n$/,
  );
});

Deno.test("a message on a terminal has no time before it", async () => {
  using dir = new TempDir();
  const { stdout } = await onTerminal(dir, `${SIPID} kill --pid-file ${dir.file("web.pid")}`);
  assertEquals(
    stdout,
    `sipid kill: ${dir.file("web.pid")}: does not exist; nothing to kill\r\n`,
  );
});

Deno.test("an error is in colour on a terminal only, and not with NO_COLOR", async () => {
  using dir = new TempDir();
  const refused = `${SIPID} kill --pid-file ${dir.path}`;
  const red = "\x1b[1;31msipid kill:\x1b[0m ";
  const shown = async (env: Record<string, string>): Promise<string> =>
    (await onTerminal(dir, refused, env)).stdout;
  assert((await shown({ TERM: "xterm" })).startsWith(red));
  assert((await shown({ TERM: "xterm", NO_COLOR: "" })).startsWith(red));
  for (const env of [{ TERM: "xterm", NO_COLOR: "1" }, { TERM: "dumb" }]) {
    assert((await shown(env)).startsWith("sipid kill: "));
  }
  const { stderr } = await run(SIPID, ["kill", "--pid-file", dir.path], {
    env: { TERM: "xterm", FORCE_COLOR: "1", NO_COLOR: "" },
  });
  assertMatch(stderr, /^\S+Z sipid kill: /);
});

Deno.test("a wait on a terminal shows its progress in one line, and clears it at the end", async () => {
  using dir = new TempDir();
  const url = `http://127.0.0.1:${closedPort()}/`;
  const command = `${SIPID} wait-until-healthy --url ${url} --timeout 1s --polling-frequency 300ms`;
  const { stdout } = expectResult(await onTerminal(dir, command), {
    code: 1,
    stdout: /waiting 0\.\ds of 1s: connection refused/,
  });
  const [live, end] = [
    stdout.slice(0, stdout.lastIndexOf("\r\x1b[K")),
    stdout.split("\r\x1b[K").at(-1)!,
  ];
  assertNotMatch(live.split("\r\x1b[K").slice(1).join(""), /\n.*\n/);
  assertMatch(
    end,
    /^sipid wait-until-healthy: healthcheck unhealthy \(url .*\) within [\d.]+m?s: connection refused\r\n$/,
  );
});

Deno.test("a wait shows no progress in a log", async () => {
  const url = `http://127.0.0.1:${closedPort()}/`;
  const { stderr } = await sipid("wait-until-healthy", "--url", url, "--timeout", "2s");
  // deno-lint-ignore no-control-regex -- escape sequences are what must not be there
  assertNotMatch(stderr, /[\r\x1b]/);
  assertEquals(stderr.split("\n").length, 3);
});

Deno.test("--quiet and -q suppress all messages but errors", async () => {
  using dir = new TempDir();
  await using job = await fixture("exits_on_term");
  const path = dir.write("web.pid", String(job.pid));
  const silent = { code: 0, stdout: "", stderr: "" };
  for (const args of [["kill", "--pid-file", path], ["kill", "--pid-file", path]]) {
    expectResult(await sipid(...args, "--quiet"), silent);
  }
  await using server = httpServer(() => new Response());
  expectResult(await sipid("wait-until-healthy", "--quiet", "--url", server.url), silent);
  expectResult(await sipid("claim", "--quiet", "--pid", "17", "--pid-file", dir.path), {
    code: 1,
    stderr: /is a directory/,
  });
});

Deno.test("no name can forge a line of a log or control the terminal", async () => {
  using dir = new TempDir();
  const forged = "2026-01-01T00:00:00Z sipid kill: removed /run/web.pid";
  for (
    const [character, escaped] of [
      ["\n", "\\x0a"],
      ["\r", "\\x0d"],
      ["\x1b[2J", "\\x1b[2J"],
      ["\x7f", "\\x7f"],
      ["\u0085", "\\u0085"],
      ["\u009b2J", "\\u009b2J"],
      ["\u2028", "\\u2028"],
      ["\u2029", "\\u2029"],
      ["\u202e", "\\u202e"], // shows what follows from right to left
    ] as const
  ) {
    const name = `a${character}${forged}`;
    for (
      const [args, lines] of [[["kill", "--pid-file", dir.file(name)], 1], [[name], 2]] as const
    ) {
      const { stderr } = await sipid(...args);
      assertStringIncludes(stderr, `a${escaped}${forged}`);
      assertEquals(stderr.split("\n").length - 1, lines);
      assertEquals(stderr.replaceAll("\n", "").search(UNPRINTABLE), -1);
      assert(!stderr.includes(character) || character === "\n");
    }
  }
});

Deno.test("the exit status is the same if stdout and stderr are closed or full", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  for (const closed of ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full 2>&1"]) {
    expectResult(await run("sh", ["-c", `${SIPID} kill --pid-file ${path} ${closed}`]), {
      code: 0,
    });
    expectResult(await run("sh", ["-c", `${SIPID} claim --pid 17 --pid-file ${path} ${closed}`]), {
      code: 0,
    });
    assertEquals(Deno.readTextFileSync(path), "17", closed);
    Deno.removeSync(path);
  }
  const help = await run("sh", ["-c", `${SIPID} --help | true; echo done`]);
  assertEquals([help.stdout, help.stderr], ["done\n", ""]);
});
