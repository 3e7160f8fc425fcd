/** What a call costs that does nothing but look: beside an empty program, and beside its peers. */
import { httpServer } from "../servers.ts";
import { alternate, type Contestant, type Measurement, median, ratio } from "./bench.ts";

const ROUNDS = 30;
/** No process ever has this PID. */
const DEAD = "2147483647";

/** @param empty an empty program, compiled as sipid is */
export async function startup(
  dir: string,
  program: string,
  empty: string,
): Promise<Measurement[]> {
  const path = `${dir}/web.pid`;
  const none = `rm -f ${path}`;
  const stale = `sh -c 'rm -f ${path}; printf ${DEAD} >${path}'`;
  const pid = String(Deno.pid);
  const flock =
    `exec 9>>"$1"; flock -n 9 && { read -r old <"$1"; kill -0 "$old" 2>/dev/null || echo ${pid} >"$1"; }`;
  await using server = httpServer(() => new Response("ok"));
  const ssd = (...args: string[]): string[] => ["start-stop-daemon", "--pidfile", path, ...args];
  const sipid = (...args: string[]): string[] => [program, ...args, "--pid-file", path];

  const contestants: Contestant[] = [
    { name: "empty", command: [empty] },
    { name: "claim", prepare: none, command: sipid("claim", "--pid", pid) },
    { name: "claim, stale", prepare: stale, command: sipid("claim", "--pid", pid) },
    {
      name: "ssd start",
      prepare: none,
      command: ssd("--start", "--make-pidfile", "--quiet", "--exec", "/bin/true"),
    },
    { name: "flock claim", prepare: none, command: ["sh", "-c", flock, "sh", path] },
    { name: "flock claim, stale", prepare: stale, command: ["sh", "-c", flock, "sh", path] },
    { name: "status", prepare: stale, command: sipid("status") },
    { name: "ssd status", prepare: stale, command: ssd("--status") },
    { name: "kill", prepare: stale, command: sipid("kill") },
    { name: "ssd stop", prepare: stale, command: ssd("--stop", "--remove-pidfile", "--oknodo") },
    { name: "help", command: [program, "--help"] },
    { name: "version", command: [program, "--version"] },
    { name: "usage", command: [program, "kill", "--pid-fiel", "x"] },
    { name: "wait", command: [program, "wait-until-healthy", "--url", server.url] },
    {
      name: "curl",
      command: [
        "curl",
        "-fsS",
        "--retry",
        "12",
        "--retry-connrefused",
        "-o",
        "/dev/null",
        server.url,
      ],
    },
  ];
  const times = await alternate(contestants, ROUNDS, dir);
  const rows: Measurement[] = [];
  const add = (what: string, own: string, limit: number, peers: Record<string, string>): void => {
    for (const kind of ["wall", "cpu"] as const) {
      const value = ratio(times[own]![kind], times.empty![kind]);
      rows.push({
        what: `${what}, ${kind === "wall" ? "wall clock" : "CPU time"}`,
        unit: "ms",
        series: {
          sipid: times[own]![kind],
          "an empty program": times.empty![kind],
          ...Object.fromEntries(
            Object.entries(peers).map(([name, key]) => [name, times[key]![kind]]),
          ),
        },
        bar: { text: `${limit.toFixed(2)} x an empty program`, value, limit },
      });
    }
  };
  const SSD = "start-stop-daemon";
  add("claim, no pidfile", "claim", 1.1, { [SSD]: "ssd start", "sh + flock": "flock claim" });
  add("claim, a dead PID in the pidfile", "claim, stale", 1.1, {
    "sh + flock": "flock claim, stale",
  });
  add("status of a dead PID", "status", 1.1, { [SSD]: "ssd status" });
  add("kill of a dead PID", "kill", 1.1, { [SSD]: "ssd stop" });
  add("--help", "help", 1.05, {});
  add("--version", "version", 1.05, {});
  add("a usage error", "usage", 1.05, {});
  add("wait-until-healthy, healthy already", "wait", 1.5, { "curl --retry": "curl" });
  if (!(median(times.empty!.wall) > 0)) throw new Error("nothing was measured");
  return rows;
}
