/** The start-up of an empty program, with each runtime that can be had here. */
import { expectResult, measureUsage, ROOT, run } from "../support.ts";
import { alternate, type Contestant, type Measurement, repeat } from "./bench.ts";

const ROUNDS = 40;

/** A Deno, and how an empty program is run with it. */
interface Runtime {
  readonly name: string;
  readonly command: readonly string[];
}

/** Returns the Deno of that name in toolchain/versions, compiled where its runtime can be had. */
async function runtime(dir: string, role: string): Promise<Runtime> {
  const find = await run("sh", ["toolchain/find_deno.sh"], {
    cwd: ROOT,
    env: { DENO: "", DENO_VERSION: role },
  });
  const deno = expectResult(find, { code: 0 }).stdout.trim();
  const { stdout } = expectResult(await run(deno, ["--version"]), { code: 0 });
  const version = /^deno (\S+)/.exec(stdout)![1]!;
  const own = `${dir}/runtime-${version}`;
  Deno.mkdirSync(own);
  Deno.writeTextFileSync(`${own}/empty.js`, "");
  const compile = ["run", "--quiet", "--no-check", "--allow-all", "toolchain/compile.ts"];
  const { code } = await run(deno, [...compile, own, "empty"], { cwd: ROOT });
  if (code === 0) return { name: version, command: [`${own}/empty`] };
  const options = ["--quiet", "--no-config", "--no-lock", "--no-check", "--allow-all"];
  return {
    name: `${version}, deno run`,
    command: [deno, "run", ...options, "--no-code-cache", `${own}/empty.js`],
  };
}

/** Measures start-up and memory; the series of sipid is that of the pinned Deno. */
export async function runtimes(dir: string): Promise<Measurement[]> {
  const all: Runtime[] = [];
  for (const role of ["pinned", "past", "arm64", "next"]) all.push(await runtime(dir, role));
  const contestants: Contestant[] = all.map(({ name, command }) => ({
    name,
    command: () => command,
  }));
  const times = await alternate(contestants, ROUNDS, dir);
  const memory: Record<string, number[]> = {};
  for (const { name, command: [program, ...args] } of all) {
    memory[name] = await repeat(5, 1, async () => {
      const { result, usage } = await measureUsage("%M", program!, args);
      expectResult(result, { code: 0 });
      return Number(usage) / 1024;
    });
  }
  const row = (what: string, unit: string, of: (name: string) => readonly number[]) => ({
    what: `an empty program, ${what}, by Deno's version`,
    unit,
    series: Object.fromEntries(all.map(({ name }) => [name, of(name)])),
  });
  return [
    row("wall clock", "ms", (name) => times[name]!.wall),
    row("CPU time", "ms", (name) => times[name]!.cpu),
    row("resident memory", "MiB", (name) => memory[name]!),
  ];
}
