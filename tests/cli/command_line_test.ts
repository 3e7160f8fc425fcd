/** The command line of the compiled binary: what it takes, what it refuses, where it writes. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { closedPort, httpServer } from "../servers.ts";
import { expectResult, fixture, type Result, run, SIPID, sipid, TempDir } from "../support.ts";

const COMMANDS = [
  "claim",
  "kill",
  "status",
  "wait-until-healthy",
  "pidproxy",
  "help",
  "completions",
];

/** Runs a command line on a terminal: what it wrote there, stdout and stderr together. */
function onTerminal(
  dir: TempDir,
  commandLine: string,
  env: Record<string, string> = { TERM: "xterm", NO_COLOR: "1" },
): Promise<Result> {
  const args = ["--quiet", "--return", "--command", commandLine, dir.file("typescript")];
  return run("script", args, { env: { PATH: Deno.env.get("PATH")!, ...env }, clearEnv: true });
}

Deno.test("sipid alone is wrong usage and shows the usage", async () => {
  const { stderr } = expectResult(await sipid(), { code: 2, stdout: "" });
  for (const name of COMMANDS) assertStringIncludes(stderr, `\n  ${name} `);
});

Deno.test("an unknown command is wrong usage", async () => {
  expectResult(await sipid("calim", "--pid", "17"), {
    code: 2,
    stdout: "",
    stderr: ['unknown command "calim"', / sipid: run 'sipid help' for the list of commands\n$/],
  });
});

Deno.test("asked-for help goes to stdout, with exit status 0 and at most 80 columns", async () => {
  for (const help of ["--help", "-h", "-help"]) {
    for (const args of [[help], ...COMMANDS.map((name) => [name, help])]) {
      const { stdout } = expectResult(await sipid(...args), { code: 0, stderr: "" });
      assertStringIncludes(stdout, ["Usage: sipid", ...args.slice(0, -1)].join(" "));
      for (const line of stdout.split("\n")) assert(line.length <= 80, line);
    }
  }
});

Deno.test("the help of a command names each flag, each exit status and two examples", async () => {
  const { stdout } = await sipid("kill", "--help");
  for (
    const flag of ["--pid-file PID_FILE", "--grace-period DURATION", "--show-stacks", "--quiet"]
  ) {
    assertStringIncludes(stdout, `\n  ${flag} `);
  }
  assertStringIncludes(stdout, "(default\n");
  for (const status of [0, 1, 2]) assertMatch(stdout, new RegExp(`^  ${status} {5}\\w`, "m"));
  assertMatch(stdout, /Examples:\n {2}sipid kill .*\n {2}sipid kill .*\n$/);
});

Deno.test("sipid help shows the same", async () => {
  assertEquals((await sipid("help")).stdout, (await sipid("--help")).stdout);
  for (const name of COMMANDS) {
    const { stdout } = expectResult(await sipid("help", name), { code: 0 });
    assertEquals(stdout, (await sipid(name, "--help")).stdout);
  }
});

const MISTYPED: [string[], string][] = [
  [["calim"], 'unknown command "calim"; did you mean claim?'],
  [["KILL"], 'unknown command "KILL"; did you mean kill?'],
  [["stop"], 'unknown command "stop"\n'],
  [["wait_until_healthy"], "did you mean wait-until-healthy?"],
  [["kill", "--pidfile", "x"], "unknown flag --pidfile; did you mean --pid-file?"],
  [["kill", "-pid-fiel=x"], "unknown flag -pid-fiel; did you mean --pid-file?"],
  [["claim", "--force"], "unknown flag --force\n"],
  [["help", "klil"], 'there is no "klil"; did you mean kill?'],
  [["help", "stop"], 'there is no "stop"; there are claim, kill, status,'],
];
for (const [args, message] of MISTYPED) {
  Deno.test(`${args.join(" ")} is answered with the nearest, if there is one`, async () => {
    expectResult(await sipid(...args), { code: 2, stdout: "", stderr: message });
  });
}

Deno.test("--help counts only where a flag can stand", async () => {
  using dir = new TempDir();
  const args = ["claim", "--pid", "17", "--pid-file", "--help"];
  expectResult(await run(SIPID, args, { cwd: dir.path }), { code: 0, stdout: "" });
  assertEquals(Deno.readTextFileSync(dir.file("--help")), "17");
});

Deno.test("--version is that of deno.json", async () => {
  const { version } = JSON.parse(
    Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
  );
  for (const flag of ["--version", "-version"]) {
    expectResult(await sipid(flag), { code: 0, stdout: `sipid ${version}\n`, stderr: "" });
  }
});

Deno.test("a flag may be written with one dash or two, with a space or =", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  for (
    const args of [
      ["--pid", "17", "--pid-file", path],
      ["--pid=17", `--pid-file=${path}`],
      ["-pid", "17", "-pid-file", path],
      ["-pid=17", `-pid-file=${path}`],
      ["--pid-file", path, "--pid", "17"],
      ["--pid", "16", "--pid", "17", "--pid-file", path], // the last one counts, as in Go
    ]
  ) {
    expectResult(await sipid("claim", ...args), { code: 0 });
    assertEquals(Deno.readTextFileSync(path), "17");
    Deno.removeSync(path);
  }
});

Deno.test("a switch takes Go's words for true and false, and no others", async () => {
  using dir = new TempDir();
  for (const [value, code] of [["true", 0], ["F", 0], ["0", 0], ["yes", 2], ["", 2]] as const) {
    const path = dir.file("web.pid");
    expectResult(await sipid("kill", "--pid-file", path, `--show-stacks=${value}`), { code });
  }
});

const WRONG: [string[], string][] = [
  [["claim"], "--pid is missing"],
  [["claim", "--pid", "17"], "--pid-file is missing"],
  [["claim", "--pid-file", "web.pid"], "--pid is missing"],
  [["claim", "--pid-file", "web.pid", "--pid"], "--pid needs a value"],
  [["claim", "--pid-file", "web.pid", "--pid="], "--pid needs a value"],
  [["claim", "--pid", "17", "--pid-file", ""], "--pid-file needs a value"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--force"], "unknown flag --force"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--no-quiet=1"], "unknown flag --no-quiet"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "--__proto__", "x"], "unknown flag"],
  [["claim", "--pid", "17", "--pid-file", "web.pid", "-v"], "unknown flag -v"],
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
      `--pid is "${pid}", which is not a PID`,
    ]),
  [["kill"], "--pid-file is missing"],
  [["kill", "--pid-file", "web.pid", "--grace-period", "-1s"], "is negative"],
  [["kill", "--pid-file", "web.pid", "--grace-period", "20"], "lacks a unit"],
  [["kill", "--pid-file", "web.pid", "--grace-period", "NaN"], "is not a duration"],
  [["kill", "--pid-file", "web.pid", "--grace-period", "1e9s"], 'unknown unit "e"'],
  [["kill", "--pid-file", "web.pid", "--grace-period", "5 s"], "is not a duration"],
  [["kill", "--pid-file", "web.pid", "--grace-period", "1d"], 'unknown unit "d"'],
];
for (const [args, message] of WRONG) {
  Deno.test(`${JSON.stringify(args.slice(-3))} is wrong usage and touches nothing`, async () => {
    using dir = new TempDir();
    expectResult(await run(SIPID, args, { cwd: dir.path }), {
      code: 2,
      stdout: "",
      stderr: [message, `run 'sipid ${args[0]} --help' for usage\n`],
    });
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

Deno.test("a line in a log begins with the time in UTC", async () => {
  using dir = new TempDir();
  const { stderr } = await sipid("kill", "--pid-file", dir.file("web.pid"));
  assertMatch(stderr, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z sipid kill: there is no pidfile /);
});

Deno.test("a line on a terminal does not", async () => {
  using dir = new TempDir();
  const { stdout } = await onTerminal(dir, `${SIPID} kill --pid-file ${dir.file("web.pid")}`);
  assertEquals(
    stdout,
    `sipid kill: there is no pidfile ${dir.file("web.pid")}: nothing to kill\r\n`,
  );
});

Deno.test("an error has colour on a terminal alone, and not with NO_COLOR", async () => {
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
    env: { TERM: "xterm", FORCE_COLOR: "1" },
  });
  assertMatch(stderr, /^\S+Z sipid kill: /);
});

Deno.test("a wait on a terminal shows one live line, and takes it away at the end", async () => {
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
    /^sipid wait-until-healthy: healthcheck unhealthy \(url .*\): connection refused\r\n$/,
  );
});

Deno.test("a wait in a log shows no live line", async () => {
  const url = `http://127.0.0.1:${closedPort()}/`;
  const { stderr } = await sipid("wait-until-healthy", "--url", url, "--timeout", "300ms");
  // deno-lint-ignore no-control-regex -- escape sequences are what must not be there
  assertNotMatch(stderr, /[\r\x1b]/);
  assertEquals(stderr.split("\n").length, 3);
});

Deno.test("--quiet silences what is not an error", async () => {
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

Deno.test("a file's name cannot forge a line of a log or control the terminal", async () => {
  using dir = new TempDir();
  const forged = "2026-01-01T00:00:00Z sipid kill: removed /run/web.pid";
  for (
    const [character, escaped] of [
      ["\n", "\\x0a"],
      ["\r", "\\x0d"],
      ["\x1b[2J", "\\x1b[2J"],
      ["\x7f", "\\x7f"],
      ["\u0085", "\\x85"],
      ["\u009b2J", "\\x9b2J"],
      ["\u2028", "\\u2028"],
      ["\u2029", "\\u2029"],
      ["\u202e", "\\u202e"], // shows what follows from right to left
    ] as const
  ) {
    const path = dir.file(`a${character}${forged}`);
    const { stderr } = await sipid("kill", "--pid-file", path);
    assertStringIncludes(stderr, `/a${escaped}${forged}`);
    assert(!stderr.slice(0, -1).includes(character));
  }
});

Deno.test("an exit status does not depend on whether anybody reads what is said", async () => {
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
