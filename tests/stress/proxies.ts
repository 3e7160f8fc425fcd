/** pidproxy, stopped by signals at a random moment. */
import { delay } from "@std/async/delay";
import { isRunning, Job, readIfExists, SIPID } from "../support.ts";
import { broken, type Part, type Random, type Row } from "./stress.ts";

/** Like mysqld_safe: ignores signals, and exits when its daemon has. */
const SAFE = `trap : TERM INT QUIT HUP
sh -c 'sleep "$1"; printf %s $$ >"$0"; exec sleep 600' "$1" "$2" & daemon=$!
while kill -0 $daemon 2>/dev/null; do wait $daemon; done`;
/** Like nginx: exits, and leaves its daemon running. */
const BACKGROUND = `sh -c 'sleep "$1"; printf %s $$ >"$0"; exec sleep 600' "$1" "$2" & exit 0`;

const ASKS: readonly Deno.Signal[][] = [
  ["SIGTERM"],
  ["SIGHUP", "SIGTERM"],
  ["SIGTERM", "SIGTERM"],
  ["SIGTERM", "SIGHUP"],
];

export const proxies: Part = async ({ dir, long, random }) => {
  const rounds = long ? 200 : 25;
  const rows: Row[] = [];
  for (
    const [name, script] of [["stays", SAFE], [
      "goes to the background",
      BACKGROUND,
    ]]
  ) {
    const codes: Record<string, number> = {};
    for (let round = 0; round < rounds; round++) {
      const code = await oneRound(`${dir}/${name!.length}-${round}.pid`, script!, random);
      codes[code] = (codes[code] ?? 0) + 1;
    }
    rows.push({
      what: `pidproxy asked to stop at a random moment, COMMAND ${name}`,
      times: rounds,
      seen: `nothing left running; ${
        Object.entries(codes).map(([code, n]) => `${code}: ${n}`).join(", ")
      }`,
    });
  }
  return rows;
};

/** Returns how the proxy exited. In no case is a command or a daemon left running. */
async function oneRound(path: string, script: string, random: Random): Promise<string> {
  if (random.below(3) === 0) Deno.writeTextFileSync(path, "2147483647");
  const log = `${path}.log`;
  await using unrelated = new Job();
  const mark = `SIPID_STRESS=${path}`;
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `exec ${SIPID} pidproxy --wait 2s "$1" sh -c "$2" sh "$1" "$3" 2>"$1.log"`,
      "sh",
      path,
      script,
      (random.below(10) / 50).toFixed(2),
    ],
    env: { SIPID_STRESS: path },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await delay(random.next() * 300);
  for (const signal of random.pick(ASKS)) {
    try {
      child.kill(signal);
    } catch {
      // The first signal stopped it.
    }
  }
  const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const status = await child.status;
  clearTimeout(late);
  const facts = { path, status, log: readIfExists(log), pidfile: readIfExists(path) };
  if (status.signal === "SIGKILL") broken("it exits on a stop signal", facts);
  const left = marked(mark);
  if (left.length > 0) broken("nothing is left running", { ...facts, left });
  if (!isRunning(unrelated.pid)) broken("no unrelated process is signalled", facts);
  return status.signal === null ? `exit ${status.code}` : status.signal;
}

/** The processes that have this word in their environment. */
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
