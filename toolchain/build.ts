// deno-lint-ignore-file no-console -- a build script talks to the person who builds
/**
 * Builds dist/sipid: bundles main.ts into one file and one for each command, then compiles those.
 * The result depends on the sources and on Deno alone: no path, no time and nothing of this machine
 * goes into it.
 */
import { compile, deno } from "./compile.ts";
import { fromFileUrl } from "./paths.ts";

async function bundle(root: string, directory: string): Promise<void> {
  // Minified, because a readable bundle carries the paths of its sources in comments.
  const failure = await deno(
    [
      "bundle",
      "--quiet",
      "--lock=deno.lock",
      "--frozen",
      "--minify",
      "--platform=deno",
      // A command is read when it is called.
      "--code-splitting",
      `--outdir=${directory}`,
      "main.ts",
    ],
    root,
  );
  if (failure !== undefined) throw new Error(`deno bundle failed:\n${failure}`);
  await namePlainly(directory);
}

/**
 * Gives the files of a bundle names that depend on their content alone. Those they come with end in
 * a hash of the paths of their sources.
 */
async function namePlainly(directory: string): Promise<void> {
  const HASH = /-[A-Z0-9]{8}(?=\.js)/g;
  const files = Array.from(Deno.readDirSync(directory), ({ name }) => ({
    name,
    text: Deno.readTextFileSync(`${directory}/${name}`),
  }));
  // What commands share has no name of its own: its place among the like, by content, is one.
  const chunks = files.filter(({ name }) => name.startsWith("chunk-"))
    .map(({ name, text }) => ({ name, content: text.replace(HASH, "") }))
    .sort((a, b) => a.content < b.content ? -1 : 1)
    .map(({ name }) => name);
  const plain = (name: string): string =>
    name.startsWith("chunk-") ? `chunk${chunks.indexOf(name)}.js` : name.replace(HASH, "");
  for (const { name, text } of files) {
    const renamed = files.reduce(
      (all, { name }) => all.replaceAll(`./${name}`, `./${plain(name)}`),
      text,
    );
    await Deno.remove(`${directory}/${name}`);
    await Deno.writeTextFile(`${directory}/${plain(name)}`, renamed);
    // The modification time is embedded.
    await Deno.utime(`${directory}/${plain(name)}`, 0, 0);
  }
}

async function build(root: string): Promise<void> {
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const directory = await Deno.makeTempDir({
    dir: `${root}/dist`,
    prefix: "build-",
  });
  try {
    await bundle(root, directory);
    await compile(directory, "main");
    await Deno.rename(`${directory}/main`, `${root}/dist/sipid`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

try {
  await build(fromFileUrl("..").replace(/\/$/, ""));
} catch (error) {
  console.error(`toolchain: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
