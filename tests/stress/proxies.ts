/** pidproxy, signalled at random moments until it has stopped. */
import { delay } from "@std/async/delay";
import { exists, isRunning, Job, readIfExists, SIPID, until } from "../support.ts";
import { broken, type Part, type Random, type Row } from "./stress.ts";

/** A daemon that acts on TERM, INT and QUIT alone. It is given its pidfile, and when to write it. */
const DAEMON = `trap : HUP USR1 USR2 WINCH; trap exit TERM INT QUIT
sleep "$1"; printf %s $$ >"$0"; while :; do sleep 0.05; done`;
/** The commands. Each is given the pidfile, which may be from an earlier run, the delay and the daemon. */
const COMMANDS: Readonly<Record<string, string>> = {
  "ignores signals, and exits when its daemon has": `trap : TERM INT QUIT HUP USR1 USR2
touch "$1.started"; sh -c "$3" "$1" "$2" & daemon=$!
while kill -0 $daemon 2>/dev/null; do wait $daemon; done`,
  "touches the pidfile, and is ended by signals":
    `touch "$1" "$1.started"; sh -c "$3" "$1" "$2" & wait`,
  "exits, and leaves its daemon running":
    `touch "$1.started"; setsid sh -c "$3" "$1" "$2" & exit 0`,
  "is the daemon itself": `touch "$1.started"; exec sh -c "$3" "$1" "$2"`,
};
const SIGNALS: readonly Deno.Signal[] = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGCONT",
];
const FLAGS: readonly (readonly string[])[] = [
  [],
  ["--group"],
  ["--grace-period", "1s"],
  ["--grace-period", "100ms", "--group"],
  ["--stop-signal", "USR1"],
];
/** Milliseconds before the exit of the proxy in which a signal may meet no one. */
const EXIT_MS = 150;
/** Milliseconds after which a proxy that was asked to stop hangs. */
const TIMEOUT_MS = 30_000;

export const proxies: Part = async ({ dir, long, random }) => {
  const rounds = long ? 1_000 : 60;
  const seen = Object.fromEntries(
    Object.keys(COMMANDS).map((name) => [name, { rounds: 0, signals: 0, codes: new Map() }]),
  );
  for (let round = 0; round < rounds; round++) {
    const name = random.pick(Object.keys(COMMANDS));
    const { how, signals } = await oneRound(`${dir}/${round}.pid`, COMMANDS[name]!, random);
    const row = seen[name]!;
    row.rounds++;
    row.signals += signals;
    row.codes.set(how, (row.codes.get(how) ?? 0) + 1);
  }
  return Object.entries(seen).map(([name, { rounds, signals, codes }]): Row => ({
    what: `pidproxy signalled at random moments, COMMAND ${name}`,
    times: rounds,
    seen: `${signals} signals delivered or reported, nothing left running; ` +
      [...codes].map(([how, count]) => `${how}: ${count}`).join(", "),
  }));
};

/** Returns how the proxy exited, and how many signals it got. */
async function oneRound(
  path: string,
  script: string,
  random: Random,
): Promise<{ how: string; signals: number }> {
  await using unrelated = new Job();
  if (random.below(3) === 0) Deno.writeTextFileSync(path, String(unrelated.pid));
  const flags = random.pick(FLAGS);
  const wait = (random.below(10) / 50).toFixed(2);
  // Started or not: a signal before that ends the proxy as any program.
  const isEarly = random.below(10) === 0;
  const child = new Deno.Command("sh", {
    args: [
      ...["-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", `${path}.log`],
      ...[SIPID, "pidproxy", "--wait", "2s", ...flags, path],
      ...["sh", "-c", script, "sh", path, wait, DAEMON],
    ],
    env: { SIPID_STRESS: path },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let exitedAt = Infinity;
  const status = child.status.then((status) => {
    exitedAt = performance.now();
    return status;
  });
  if (isEarly) await delay(random.next() * 100);
  else await until(() => exists(`${path}.started`) || exitedAt < Infinity, "it has started");

  const sent: { signal: Deno.Signal; at: number }[] = [];
  const signals = Array.from({ length: random.below(5) }, () => random.pick(SIGNALS));
  for (const signal of [...signals, "SIGTERM"] as const) {
    await delay(random.next() * (random.below(2) === 0 ? 10 : 150));
    if (exitedAt < Infinity) break;
    try {
      child.kill(signal);
      sent.push({ signal, at: performance.now() });
    } catch {
      break; // it has exited
    }
  }
  const late = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const { code, signal } = await status;
  clearTimeout(late);

  const log = readIfExists(`${path}.log`) ?? "";
  const facts = { path, flags, sent, exitedAt, code, signal, log, pidfile: readIfExists(path) };
  if (signal === "SIGKILL") broken("it exits when it is asked to", facts);
  // A shell's last sleep of 50 ms may outlive it.
  const begin = performance.now();
  while (marked(`SIPID_STRESS=${path}`).length > 0) {
    const left = marked(`SIPID_STRESS=${path}`);
    if (performance.now() - begin > 1_000) broken("nothing is left running", { ...facts, left });
    await delay(20);
  }
  if (!isRunning(unrelated.pid)) broken("unrelated processes are not signalled", facts);
  if (!isEarly) {
    const lost = sent.find((it) => it.at < exitedAt - EXIT_MS && !log.includes(`${it.signal} `));
    if (lost !== undefined) broken("each signal is delivered or reported", { ...facts, lost });
  }
  return { how: signal ?? `exit ${code}`, signals: sent.length };
}

/** Returns the processes that have this word in their environment. */
function marked(word: string): string[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return Deno.readTextFileSync(`/proc/${name}/environ`).split("\0").includes(word) &&
        !/^[ZX]/.test(Deno.readTextFileSync(`/proc/${name}/stat`).replace(/^.*\) /s, ""));
    } catch {
      return false; // it has just exited
    }
  });
}
