/**
 * The stress: tries to break every promise of docs/reliability.md, and exits at the first that
 * breaks. `main.ts [--seed N] [long] [PART ...]`
 *
 * It runs in namespaces of its own (see the task in deno.json): what it starts cannot affect a
 * process of the machine, and exits with it.
 */
import { print } from "../support.ts";
import { parseArgs } from "@std/cli/parse-args";
import { contention } from "./contention.ts";
import { faults } from "./faults.ts";
import { fuzz } from "./fuzz.ts";
import { http } from "./http.ts";
import { interrupted } from "./interrupted.ts";
import { proxies } from "./proxies.ts";
import { clock, recycled } from "./recycled.ts";
import { starts } from "./starts.ts";
import { surroundings } from "./surroundings.ts";
import { type Part, Random, type Row } from "./stress.ts";

const PARTS: Readonly<Record<string, Part>> = {
  contention,
  starts,
  interrupted,
  faults,
  recycled,
  clock,
  fuzz,
  http,
  surroundings,
  proxies,
};

const options = parseArgs(Deno.args, { string: ["seed"] });
const words = options._.map(String);
const long = words.includes("long");
const seed = Number(options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const wanted = words.filter((word) => word !== "long");
if (wanted.length === 0) wanted.push(...Object.keys(PARTS));

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, k) => Math.max(...rows.map((row) => row[k]!.length)));
  return rows.map((row) => `| ${row.map((cell, k) => cell.padEnd(widths[k]!)).join(" | ")} |`)
    .toSpliced(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`).join("\n");
}

const begin = performance.now();
print(`seed ${seed}, ${long ? "long" : "short"} run`);
const rows: (Row & { part: string })[] = [];
for (const name of wanted) {
  const part = PARTS[name];
  if (part === undefined) {
    throw new Error(`unknown part ${name}; the parts are ${Object.keys(PARTS)}`);
  }
  const dir = Deno.makeTempDirSync({ prefix: "sipid-stress-" });
  const start = performance.now();
  try {
    // Each part has a seed of its own, so that it can be repeated alone.
    const own = (seed ^ [...name].reduce((sum, it) => sum * 31 + it.charCodeAt(0), 7)) | 0;
    const done = await part({ random: new Random(own), seed: own, long, dir });
    const seconds = (performance.now() - start) / 1000;
    rows.push(...done.map((row) => ({ ...row, part: name })));
    print(`${name}: held, ${seconds.toFixed(0)} s`);
  } catch (error) {
    print(`${name}: ${Deno.inspect(error)}`);
    print(
      `repeat it with: make stress ARGS="--seed ${seed}${long ? " long" : ""} ${name}"`,
    );
    Deno.exitCode = 1;
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
  if (Deno.exitCode !== 0) Deno.exit();
}
print("");
print(table([
  ["part", "test", "times", "seen"],
  ...rows.map(({ part, what, times, seen }) => [part, what, String(times), seen]),
]));
for (const { note } of rows) if (note !== undefined) print(`\n${note}`);
print(
  `\nevery promise held, in ${((performance.now() - begin) / 1000).toFixed(0)} s, seed ${seed}`,
);
