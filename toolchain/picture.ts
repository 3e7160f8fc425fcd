/**
 * docs/sipid.svg: a real session of dist/sipid in a pseudo-terminal, drawn as a picture. What the
 * commands print is theirs; PIDs and times differ from run to run.
 */
import { fromFileUrl } from "./paths.ts";

const SIPID = fromFileUrl("../dist/sipid");
const PICTURE = fromFileUrl("../docs/sipid.svg");
const SESSION = [
  "sipid claim --pid $JOB --pid-file web.pid",
  "sipid status --pid-file web.pid",
  "sipid claim --pid $$ --pid-file web.pid",
  "sipid kill --pidfile web.pid",
  "sipid kill --pid-file web.pid --grace-period 1s --show-stacks",
  "sipid status --pid-file web.pid",
];

/** What a command line writes to a terminal of 96 columns. */
async function onTerminal(line: string, cwd: string, env: Record<string, string>): Promise<string> {
  const args = ["--quiet", "--return", "--command", `stty cols 96; ${line}`, "/dev/null"];
  const { stdout } = await new Deno.Command("script", { args, cwd, env, stdin: "null" }).output();
  return new TextDecoder().decode(stdout);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A line of the terminal as SVG, its one colour included. */
function drawn(line: string, y: number): string {
  // deno-lint-ignore no-control-regex -- escape sequences are what is looked for
  const [, coloured, rest = ""] = /^\x1b\[1;31m(.*?)\x1b\[0m(.*)$/.exec(line) ?? [];
  const body = coloured === undefined
    ? escaped(line)
    : `<tspan fill="#f87171" font-weight="bold">${escaped(coloured)}</tspan>${escaped(rest)}`;
  const colour = line.startsWith("$ ") ? "#93c5fd" : "#e5e7eb";
  return `<text x="16" y="${y}" fill="${colour}" xml:space="preserve">${body}</text>`;
}

const dir = Deno.makeTempDirSync({ prefix: "sipid-picture-" });
const job = new Deno.Command("sh", {
  args: ["-c", "trap '' TERM; while :; do sleep 0.1; done"],
  stdin: "null",
  stdout: "null",
}).spawn();
try {
  const lines: string[] = [];
  for (const line of SESSION) {
    const env = {
      PATH: `${SIPID.replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH")}`,
      TERM: "xterm",
      NO_COLOR: "",
      JOB: String(job.pid),
    };
    const output = await onTerminal(line, dir, env);
    lines.push(`$ ${line}`, ...output.replaceAll("\r\n", "\n").trimEnd().split("\n"));
  }
  const wrapped = lines.filter((line) => line !== "")
    .flatMap((line) => line.length <= 110 ? [line] : line.match(/.{1,96}(?: |$)|\S+/g)!);
  const height = wrapped.length * 18 + 24;
  const rows = wrapped.map((line, k) => drawn(line, 26 + k * 18));
  Deno.writeTextFileSync(
    PICTURE,
    `<svg xmlns="http://www.w3.org/2000/svg" width="860" height="${height}" ` +
      `viewBox="0 0 860 ${height}" font-family="monospace" font-size="13">\n` +
      `<rect width="860" height="${height}" rx="8" fill="#111827"/>\n${rows.join("\n")}\n</svg>\n`,
  );
} finally {
  try {
    job.kill("SIGKILL");
  } catch {
    // The session has ended it.
  }
  await job.status;
  Deno.removeSync(dir, { recursive: true });
}
