/** pidproxy, asked to end at a random moment, and killed. */
import { delay } from "@std/async/delay";
import { isRunning, Job, readIfExists, SIPID } from "../support.ts";
import { broken, type Part, type Random, type Row } from "./stress.ts";

/** Like mysqld_safe: deaf, and gone when its daemon is. */
const SAFE = `trap : TERM INT QUIT HUP
sh -c 'sleep "$1"; printf %s $$ >"$0"; exec sleep 600' "$1" "$2" & daemon=$!
while kill -0 $daemon 2>/dev/null; do wait $daemon; done`;
/** Like nginx: its daemon lives on alone. */
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
    const [name, script] of [["stays beside its daemon", SAFE], [
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
      what: `pidproxy asked to end at a random moment, its command ${name}`,
      times: rounds,
      seen: `nothing left running; ${
        Object.entries(codes).map(([code, n]) => `${code}: ${n}`).join(", ")
      }`,
    });
  }
  return rows;
};

/** How the proxy ended. Whatever it was, no command and no daemon is left. */
async function oneRound(path: string, script: string, random: Random): Promise<string> {
  if (random.below(3) === 0) Deno.writeTextFileSync(path, "2147483647");
  const log = `${path}.log`;
  await using stranger = new Job();
  const mark = `SIPID_TORTURE=${path}`;
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `exec ${SIPID} pidproxy --wait 2s "$1" sh -c "$2" sh "$1" "$3" 2>"$1.log"`,
      "sh",
      path,
      script,
      (random.below(10) / 50).toFixed(2),
    ],
    env: { SIPID_TORTURE: path },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await delay(random.next() * 300);
  for (const signal of random.pick(ASKS)) {
    try {
      child.kill(signal);
    } catch {
      // It ended at the first.
    }
  }
  const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const status = await child.status;
  clearTimeout(late);
  const facts = { path, status, log: readIfExists(log), pidfile: readIfExists(path) };
  if (status.signal === "SIGKILL") broken("it ends when it is asked to", facts);
  const left = marked(mark);
  if (left.length > 0) broken("nothing is left running", { ...facts, left });
  if (!isRunning(stranger.pid)) broken("strangers live", facts);
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
      return false; // it just ended
    }
  });
}
