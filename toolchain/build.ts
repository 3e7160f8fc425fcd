// deno-lint-ignore-file no-console -- a build script talks to the person who builds
/**
 * Builds dist/sipid: bundles main.ts into one file, then compiles that. The result depends on
 * the sources and on Deno alone: no path, no time and nothing of this machine goes into it.
 */
import { compile, deno } from "./compile.ts";
import { fromFileUrl } from "./paths.ts";

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

async function build(root: string): Promise<void> {
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const folder = await Deno.makeTempDir({
    dir: `${root}/dist`,
    prefix: "build-",
  });
  try {
    await bundle(root, folder);
    await compile(folder, "sipid");
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
