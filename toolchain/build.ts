// deno-lint-ignore-file no-console -- a build script reports to the console
/**
 * build.ts [OUTPUT [TARGET]]: builds dist/sipid, or another file for another machine. Bundles
 * main.ts into one file and one for each command, then compiles those. The result depends only
 * on the sources, Deno and the target, not on paths, times or the machine.
 */
import { compile, deno } from "./compile.ts";
import { fromFileUrl } from "./paths.ts";

async function bundle(root: string, directory: string): Promise<void> {
  // Minified, because a readable bundle carries the paths of its sources in comments.
  const failure = await deno(
    [
      "bundle",
      "--quiet",
      "--minify",
      "--platform=deno",
      // A command is loaded when it is called.
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
 * Renames the files of a bundle so that their names depend on their content alone: esbuild's end in
 * a hash of the paths of their sources. Files that would share a name, such as the chunks, are
 * numbered in the order of their content.
 */
async function namePlainly(directory: string): Promise<void> {
  const HASH = /-[A-Z0-9]{8}(?=\.js)/g;
  const files = Array.from(Deno.readDirSync(directory), ({ name }) => {
    const text = Deno.readTextFileSync(`${directory}/${name}`);
    return { name, text, stem: name.replace(HASH, ""), content: text.replace(HASH, "") };
  });
  files.sort((a, b) => a.content < b.content ? -1 : 1);
  const plainNames = files.map(({ name, stem }) => {
    const sharing = files.filter((other) => other.stem === stem).map(({ name }) => name);
    const number = sharing.length === 1 ? "" : String(sharing.indexOf(name));
    return [name, stem.replace(/\.js$/, `${number}.js`)] as const;
  });
  for (const { name } of files) await Deno.remove(`${directory}/${name}`);
  for (const [k, { text }] of files.entries()) {
    const path = `${directory}/${plainNames[k]![1]}`;
    const renamed = plainNames.reduce((all, [old, plain]) => {
      return all.replaceAll(`./${old}`, `./${plain}`);
    }, text);
    await Deno.writeTextFile(path, renamed);
    // The modification time is embedded.
    await Deno.utime(path, 0, 0);
  }
}

async function build(root: string, output: string, target: string): Promise<void> {
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  const directory = await Deno.makeTempDir({
    dir: `${root}/dist`,
    prefix: "build-",
  });
  try {
    await bundle(root, directory);
    await compile(directory, "main", target);
    await Deno.rename(`${directory}/main`, output);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

try {
  const root = fromFileUrl("..").replace(/\/$/, "");
  const [output = `${root}/dist/sipid`, target = Deno.build.target] = Deno.args;
  await build(root, output, target);
} catch (error) {
  console.error(`toolchain: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
