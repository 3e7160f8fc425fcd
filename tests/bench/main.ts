/**
 * The bench: measures dist/sipid, an empty program and the peers in one run, and writes
 * docs/bench/results.json and what quotes it. Exits with 1 if a target is missed.
 */
import { compile } from "../../toolchain/compile.ts";
import { measured } from "../../toolchain/measurements.ts";
import { print, run, SIPID } from "../support.ts";
import type { Measurement } from "./bench.ts";
import { crowd } from "./crowd.ts";
import { exits } from "./exits.ts";
import { idling, tenMinutes } from "./idle.ts";
import { proxying } from "./proxying.ts";
import { table } from "./report.ts";
import { runtimes } from "./runtimes.ts";
import { startup } from "./startup.ts";
import { waiting } from "./waiting.ts";

const DOCS = new URL("../../docs/bench/", import.meta.url).pathname;

/** Copies a program: the page cache serves files that were written in one go alike. */
function copied(path: string, copy: string): string {
  Deno.copyFileSync(path, copy);
  return copy;
}

/** Compiles a program with the same flags as sipid. */
async function compiled(dir: string, name: string, source: string): Promise<string> {
  Deno.writeTextFileSync(`${dir}/${name}.js`, source);
  await compile(dir, name);
  return copied(`${dir}/${name}`, `${dir}/${name}-program`);
}

function size(empty: string): Measurement {
  const ssd = Deno.realPathSync("/sbin/start-stop-daemon");
  const [own, floor, peer] = [SIPID, empty, ssd].map((path) => Deno.statSync(path).size / 1024);
  return {
    what: "size of the binary",
    chart: "Size of the binary",
    unit: "MiB",
    series: {
      sipid: [own! / 1024],
      "an empty program": [floor! / 1024],
      "start-stop-daemon": [peer! / 1024],
    },
    target: { text: "128 KiB above an empty program", value: own! - floor!, limit: 128 },
  };
}

async function machine() {
  const cpu = /^model name\s*:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const versions: Record<string, string> = {};
  for (
    const [name, args] of [
      ["sipid", [SIPID, "--version"]],
      ["start-stop-daemon", ["start-stop-daemon", "--version"]],
      ["supervisor", ["supervisord", "--version"]],
      ["curl", ["curl", "--version"]],
      ["hyperfine", ["hyperfine", "--version"]],
    ] as const
  ) {
    const { stdout } = await run(args[0]!, args.slice(1));
    versions[name] = /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? "unknown";
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpu ?? "unknown",
    cores: navigator.hardwareConcurrency,
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    versions,
  };
}

const dir = Deno.makeTempDirSync({ prefix: "sipid-bench-" });
Deno.chmodSync(dir, 0o755);
try {
  const empty = await compiled(dir, "empty", "");
  const idle = await compiled(dir, "idle", "setTimeout(() => {}, 2 ** 31 - 1);");
  const measurements: Measurement[] = [];
  const isWanted = (name: string): boolean => Deno.args.length === 0 || Deno.args.includes(name);
  // Those ten minutes pass while the other parts run.
  const proxies = isWanted("ten-minutes") ? tenMinutes(dir, idle) : Promise.resolve([]);
  proxies.catch(() => {}); // awaited below
  const parts = {
    startup: () => startup(dir, copied(SIPID, `${dir}/sipid`), empty),
    exits: () => exits(dir, idle),
    waiting: () => waiting(),
    proxying: () => proxying(dir),
    idling: () => idling(dir),
    crowd: () => crowd(dir),
    size: () => [size(empty)],
    runtimes: () => runtimes(dir),
  };
  for (const [name, part] of Object.entries(parts)) {
    if (!isWanted(name)) continue;
    print(`measuring ${name}`);
    measurements.push(...await part());
  }
  measurements.push(...await proxies);
  print(`\n${table(measurements)}`);
  const missed = measurements.filter(({ target }) =>
    target !== undefined && target.value > target.limit
  );
  for (const { what } of missed) print(`missed: ${what}`);
  if (missed.length > 0) Deno.exitCode = 1;
  if (Deno.args.length === 0) {
    const results = { machine: await machine(), measurements };
    Deno.mkdirSync(DOCS, { recursive: true });
    Deno.writeTextFileSync(`${DOCS}results.json`, `${JSON.stringify(results)}\n`);
    for (const [path, text] of measured()) Deno.writeTextFileSync(path, text);
  }
} finally {
  Deno.removeSync(dir, { recursive: true });
}
