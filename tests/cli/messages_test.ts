/**
 * Every message there is. Each is provoked here, whole, or in the test named beside it; and a
 * message that is not in this table fails.
 */
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { INTERNALS } from "../stress/stress.ts";
import { fixture, lockedElsewhere, ROOT, run, SIPID, TempDir } from "../support.ts";

/** Called in a directory with web.pid (a job), stale.pid, bad.pid, empty.pid, locked.pid and web.log. */
interface Provoked {
  /** Words of the message as the source has them. */
  readonly words: string;
  readonly args: string;
  /** All that is said, without the time before it. */
  readonly said: RegExp;
}

const PROVOKED: readonly Provoked[] = [
  // claim
  {
    words: ": it is not a directory; choose another path",
    args: "claim --pid 17 --pid-file web.log/web.pid",
    said: /^sipid claim: cannot create web\.log: it is not a directory; choose another path\n$/,
  },
  {
    words: "another process is locking ",
    args: "claim --pid 17 --pid-file locked.pid",
    said:
      /^sipid claim: another process is locking locked\.pid: process \d+ \(sleep\); wait for it to end, or find it with: fuser -v locked\.pid\n$/,
  },
  {
    words: ", not a regular file; give the path of the pidfile itself",
    args: "claim --pid 17 --pid-file /",
    said:
      /^sipid claim: \/ is a directory, not a regular file; give the path of the pidfile itself\n$/,
  },
  {
    words: "; give the path of the program itself",
    args: "claim --pid 17 --pid-file web.pid --exec /nonexistent",
    said:
      /^sipid claim: --exec: there is no program \/nonexistent; give the path of the program itself\n$/,
  },
  {
    words: ": took the pidfile ",
    args: "claim --pid 17 --pid-file web.pid --exec /bin/true",
    said:
      /^sipid claim: process \d+ \([^)]+\) is not \/bin\/true: took the pidfile web\.pid over\n$/,
  },
  // kill
  {
    words: ": nothing to kill",
    args: "kill --pid-file none.pid",
    said: /^sipid kill: there is no pidfile none\.pid: nothing to kill\n$/,
  },
  {
    words: ") does not contain a valid pid; nothing was signalled and the file is kept: ",
    args: "kill --pid-file bad.pid",
    said:
      /^sipid kill: pidfile \(bad\.pid\) does not contain a valid pid; nothing was signalled and the file is kept: look into it, and remove it if its process is gone\n$/,
  },
  {
    words: "removed ",
    args: "kill --pid-file stale.pid",
    said: /^sipid kill: process 2147483647 does not run: removed the stale pidfile stale\.pid\n$/,
  },
  {
    words: " exited after ",
    args: "kill --pid-file web.pid",
    said:
      /^sipid kill: sent SIGTERM to process \d+ \([^)]+\)\n.*sipid kill: process \d+ \([^)]+\) exited after \d+(ms|us)\n.*sipid kill: removed web\.pid\n$/,
  },
  {
    words: "; the next claim will see that it is stale",
    args: "kill --pid-file locked.pid",
    said:
      /^sipid kill: process 2147483647 does not run: left locked\.pid: another process is locking locked\.pid: .*; the next claim will see that it is stale\n$/,
  },
  // wait-until-healthy
  {
    words: ": does not contain a valid pid; nothing to wait for",
    args: "wait-until-healthy --url http://127.0.0.1:2/ --pid-file bad.pid",
    said:
      /sipid wait-until-healthy: bad\.pid: does not contain a valid pid; nothing to wait for\n$/,
  },
  {
    words: "; see the log of the service",
    args: "wait-until-healthy --url http://127.0.0.1:2/ --pid-file stale.pid",
    said:
      /sipid wait-until-healthy: stale\.pid: process 2147483647 is not running; see the log of the service\n$/,
  },
  {
    words: "healthcheck unhealthy (url '",
    args: "wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
    said:
      /sipid wait-until-healthy: waiting for http:\/\/127\.0\.0\.1:2\/: connection refused\n.*sipid wait-until-healthy: healthcheck unhealthy \(url 'http:\/\/127\.0\.0\.1:2\/' was not healthy after 1 attempt[^)]*\): connection refused\n$/,
  },
  {
    words: "waiting for ",
    args: "wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
    said: /^sipid wait-until-healthy: waiting for http:\/\/127\.0\.0\.1:2\/: connection refused\n/,
  },
  {
    words: '"; use a PEM file',
    args: "wait-until-healthy --url https://127.0.0.1:2/ --ca-cert bad.pid",
    said: /^sipid wait-until-healthy: bad\.pid: contains no "BEGIN CERTIFICATE"; use a PEM file\n$/,
  },
  {
    words: "cannot read ",
    args: "wait-until-healthy --url https://127.0.0.1:2/ --ca-cert none.pem",
    said: /^sipid wait-until-healthy: cannot read none\.pem: no such file or directory\n$/,
  },
  // pidproxy
  {
    words: ": it is not on PATH",
    args: "pidproxy web.pid no-such-program",
    said: /^sipid pidproxy: cannot run no-such-program: it is not on PATH\n$/,
  },
  {
    words: ": there is no such file",
    args: "pidproxy web.pid ./no-such-program",
    said: /^sipid pidproxy: cannot run \.\/no-such-program: there is no such file\n$/,
  },
  {
    words: "the command ended and left no daemon within ",
    args: "pidproxy --wait 50ms none.pid true",
    said:
      /^sipid pidproxy: the command ended and left no daemon within 50ms: there is no pidfile none\.pid\n$/,
  },
  // the command line
  ...([
    ["kill --pid-file web.pid --show-stacks=yes", "expected true or false"],
    ["kill --pid-file web.pid stray", 'unexpected operand "'],
    ["pidproxy web.pid", "missing operands: expected "],
    ["help klil", 'unknown command "klil": expected '],
    ["kill", "missing required flag --"],
    ["kill --pid-file", "missing value for --"],
    ["kill --pid-fiel x", "unknown flag "],
    ["wait-until-healthy --url http://h/ --cert x", "--cert and --key must be given together"],
    ["wait-until-healthy --url h:80/", "missing protocol scheme; did you mean "],
    ["wait-until-healthy --url ftp://h/", 'unsupported scheme "'],
    [
      "wait-until-healthy --url http://[",
      "expected a URL such as http://127.0.0.1:8080/health",
    ],
    ["claim --pid-file x --pid 0", "expected a decimal integer from 1 to 2147483647"],
    ["kill --pid-file x --grace-period 1d", 'invalid --grace-period "1d": unknown unit "d"; '],
    ["wait-until-healthy --url http://h/ --timeout 0s", "expected more than 0s"],
  ] as const).map(([args, words]) => ({
    words,
    args,
    // Which flag or word, what is wrong with it, and where the usage is.
    said: new RegExp(
      `^sipid [a-z-]+: .*${
        words.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
      }.*\n.*sipid [a-z-]+: run 'sipid [a-z-]+ --help' for usage\n$`,
    ),
  })),
  {
    words: 'unknown command "',
    args: "stop",
    said: /^sipid: unknown command "stop"\n.*sipid: run 'sipid help' for the commands\n$/,
  },
];

/** Those that take more than a call, and the test that has them. */
const ELSEWHERE: readonly (readonly [words: string, test: string])[] = [
  ["ignoring ", "tls_test.ts"],
  [": cannot be used as certificate and key: ", "tls_test.ts"],
  [": cannot be used as an authority: ", "tls_test.ts"],
  ["cannot create the directory ", "faults_test.ts"],
  ["cannot write ", "faults_test.ts"],
  ["cannot open ", "faults_test.ts"],
  [
    ": is not the URL of an http, https or socks5 proxy; correct or unset it",
    "wait_until_healthy_test.ts",
  ],
  ["cannot run ", "pidproxy_test.ts"],
  ["cannot tell which program ", "status_test.ts"],
  [" ended without having been asked to", "pidproxy_test.ts"],
  ["sent ", "pidproxy_test.ts"],
  ["no permission to send ", "kill_test.ts"],
  ["warning: ", "status_test.ts"],
  [" is healthy after ", "wait_until_healthy_test.ts"],
  [" was not signalled", "trust_test.ts"],
  [" still runs after the grace period of ", "kill_test.ts"],
  [" survived SIGKILL; it is ", "kill_test.ts"],
  [", which was written anew meanwhile", "kill_test.ts"],
  // Provoked by failing system calls, whose every message is looked at there.
  ["cannot look at ", "../stress/faults.ts"],
  ["cannot remove ", "../stress/faults.ts"],
  ["cannot lock ", "../stress/faults.ts"],
  // A write(2) of ten bytes that takes some of them only; and a file gone within microseconds.
  ["there was room for ", ""],
  [" is gone already", ""],
  ["cannot load the system's certificates; correct ", "tls_test.ts"],
  // A fault of ours.
  ["internal error: ", ""],
];

for (const { args, said, words } of PROVOKED) {
  Deno.test(`sipid ${args} says all there is to say`, async () => {
    using dir = new TempDir();
    await using job = await fixture("exits_on_term");
    dir.write("web.pid", String(job.pid));
    dir.write("stale.pid", "2147483647");
    dir.write("bad.pid", "web\n");
    dir.write("empty.pid", "");
    dir.write("web.log", "");
    await using _locker = await lockedElsewhere(dir.write("locked.pid", "2147483647"));
    const { code, stderr } = await run(SIPID, args.split(" "), { cwd: dir.path });
    const text = stderr.replace(/^\S+Z sipid/, "sipid");
    assertMatch(text, said);
    assert(code <= 2 || code === 126 || code === 127, words);
    assertNotMatch(stderr, INTERNALS);
  });
}

/** The messages in the source: where a text is told, or becomes a refusal. */
function sites(): { file: string; literal: string }[] {
  const told =
    /(new (?:CommandError|UsageError|LockedElsewhere)|(?<![\w.])(?:info|error|report|attempt|toCommandError))\(\s*(`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")/g;
  const found = [];
  for (const directory of ["lib/", "commands/", ""]) {
    for (const { name } of Deno.readDirSync(ROOT + directory)) {
      // errors.ts puts together what others say.
      if (!name.endsWith(".ts") || name === "errors.ts") continue;
      const source = Deno.readTextFileSync(ROOT + directory + name);
      for (const [, , literal] of source.matchAll(told)) {
        found.push({ file: directory + name, literal: literal!.slice(1, -1) });
      }
    }
  }
  return found;
}

Deno.test("every message of the source is in the table, and every one of the table in the source", () => {
  const all = sites();
  assert(all.length > 50);
  const known = [...PROVOKED.map(({ words }) => words), ...ELSEWHERE.map(([words]) => words)];
  // What is made of other messages alone has no words of its own.
  const unknown = all.filter(({ literal }) =>
    /[a-z]{3}/.test(literal.replace(/\$\{[^}]*\}/g, "")) &&
    !known.some((words) => literal.includes(words.trim()))
  );
  assertEquals(unknown, []);
  const gone = known.filter((words) => !all.some(({ literal }) => literal.includes(words.trim())));
  assertEquals(gone, []);
});

Deno.test("what is provoked elsewhere is", () => {
  for (const [words, test] of ELSEWHERE) {
    if (test === "") continue;
    const text = Deno.readTextFileSync(`${ROOT}tests/cli/${test}`);
    const isThere = text.includes(words.trim()) || test.endsWith("faults.ts");
    assert(isThere, `${words} in ${test}`);
  }
});
