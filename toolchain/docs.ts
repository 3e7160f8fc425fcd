/**
 * What is made from the table of commands and deno.json: the man page, the README's reference and
 * lib/version.ts. Writes them; with `--check`, fails where they differ from what is there.
 */
import config from "../deno.json" with { type: "json" };
import { loadAll } from "../commands/mod.ts";
import { commandHelp } from "../lib/cli/help.ts";
import { manual } from "./manual.ts";
import { fromFileUrl } from "./paths.ts";

const commands = await loadAll();
const { version } = config;
const README = fromFileUrl("../README.md");
const MANUAL = fromFileUrl("../docs/sipid.1");
const VERSION = fromFileUrl("../lib/version.ts");
const [BEGIN, END] = ["<!-- reference: made by make docs -->", "<!-- end of the reference -->"];

/** The day the version has in the changelog, as mdoc(7) writes it. */
function releaseDate(): string {
  const changelog = Deno.readTextFileSync(fromFileUrl("../CHANGELOG.md"));
  const day = new RegExp(`^## \\[${version}\\] - (\\S+)$`, "m").exec(changelog)?.[1];
  if (day === undefined) throw new Error(`CHANGELOG.md has no day for version ${version}`);
  const format = { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" } as const;
  return new Date(day).toLocaleDateString("en-US", format);
}

function withReference(readme: string): string {
  const [start, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (start < 0 || end < start) throw new Error("README.md has no place for the reference");
  const texts = commands.map((command) => `\`\`\`text\n${commandHelp(command)}\`\`\`\n`);
  return `${readme.slice(0, start)}${BEGIN}\n\n${texts.join("\n")}\n${readme.slice(end)}`;
}

/** All of deno.json would come into the binary, where an import takes the version from it. */
const versionFile = `/** Made by make docs from deno.json. */

/** The version of sipid, as semver. */
export const version = "${version}";
`;

const readme = Deno.readTextFileSync(README);
const made: [string, string][] = [
  [README, withReference(readme)],
  [MANUAL, manual(commands, version, releaseDate())],
  [VERSION, versionFile],
];
for (const [path, text] of made) {
  if (Deno.args[0] !== "--check") Deno.writeTextFileSync(path, text);
  else if (Deno.readTextFileSync(path) !== text) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${path} is out of date: make docs\n`));
    Deno.exitCode = 1;
  }
}
