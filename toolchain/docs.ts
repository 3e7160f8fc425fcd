/**
 * Generates the man page and lib/version.ts from the table of commands and deno.json, and what
 * quotes docs/bench/results.json. With `--check` it writes nothing and fails if a file differs from
 * what it would write.
 */
import config from "../deno.json" with { type: "json" };
import { commands as table } from "../commands/mod.ts";
import { manual } from "./manual.ts";
import { measured } from "./measurements.ts";
import { fromFileUrl } from "./paths.ts";

const commands = await Promise.all(table.map(({ load }) => load()));
const { version } = config;
const MANUAL = fromFileUrl("../docs/sipid.1");
const VERSION = fromFileUrl("../lib/version.ts");

/** Returns the date of this version in the changelog, in the form of mdoc(7). */
function releaseDate(): string {
  const changelog = Deno.readTextFileSync(fromFileUrl("../CHANGELOG.md"));
  const day = new RegExp(`^## \\[${version}\\] - (\\S+)$`, "m").exec(changelog)?.[1];
  if (day === undefined) throw new Error(`CHANGELOG.md has no date for version ${version}`);
  const format = { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" } as const;
  return new Date(day).toLocaleDateString("en-US", format);
}

/** A file of its own, because importing deno.json would put all of it into the binary. */
const versionFile = `/** Generated from deno.json with make docs. */

/** The version of sipid, in semver form. */
export const version = "${version}";
`;

const generated: [string, string][] = [
  [MANUAL, manual(commands, version, releaseDate())],
  [VERSION, versionFile],
  ...measured(),
];
for (const [path, text] of generated) {
  if (Deno.args[0] !== "--check") Deno.writeTextFileSync(path, text);
  else if (Deno.readTextFileSync(path) !== text) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${path} is out of date; run: make docs\n`));
    Deno.exitCode = 1;
  }
}
