/** The start-up cost of each command, compared with an empty program and with its peers. */
import { httpServer } from "../servers.ts";
import { alternate, type Contestant, type Measurement, ratio } from "./bench.ts";

const ROUNDS = 40;
/** Copies of each program, taken in turn: of two equal files one can be a tenth slower. */
const COPIES = 5;
/** A PID that no process has: pid_max is smaller. */
const DEAD = "2147483647";

/**
 * Measures start-up.
 *
 * @param empty an empty program, compiled with the same flags as sipid
 */
export async function startup(
  dir: string,
  program: string,
  empty: string,
): Promise<Measurement[]> {
  // Like /run/web: a directory that only its owner can change. In one that others can, as below
  // BOSH's /var/vcap/sys/run, each name is looked up so that they cannot exchange it meanwhile.
  using own = ownDirectory();
  const shared = `${own.path}/shared`;
  Deno.mkdirSync(shared);
  Deno.chmodSync(shared, 0o770);
  const path = `${own.path}/web.pid`;
  const none = prepared(own.path, "");
  const stale = prepared(own.path, `printf ${DEAD} >${path}`);
  const staleShared = prepared(shared, `printf ${DEAD} >${shared}/web.pid`);
  const pid = String(Deno.pid);
  const flock =
    `exec 9>>"$1"; flock -n 9 && { read -r old <"$1"; kill -0 "$old" 2>/dev/null || echo ${pid} >"$1"; }`;
  await using server = httpServer(() => new Response("ok"));
  const [programs, empties] = [program, empty].map((original) =>
    Array.from({ length: COPIES }, (_, k) => {
      Deno.copyFileSync(original, `${original}-${k}`);
      return `${original}-${k}`;
    })
  );
  const contestants: Contestant[] = [];
  const peer = (name: string, prepare: string | undefined, ...command: string[]): void => {
    contestants.push({ name, ...(prepare && { prepare }), command: () => command });
  };
  /** Adds sipid, and before it the run of the empty program with which it is compared. */
  const sipid = (name: string, prepare: string | undefined, ...args: string[]): void => {
    const copy = (round: number): number => (round + COPIES) % COPIES;
    contestants.push(
      { name: emptyBefore(name), command: (round) => [empties![copy(round)]!] },
      {
        name,
        ...(prepare && { prepare }),
        command: (round) => [programs![copy(round)]!, ...args],
      },
    );
  };
  const ssd = (name: string, prepare: string, ...args: string[]): void =>
    peer(name, prepare, "start-stop-daemon", "--pidfile", path, ...args);

  const [claim, ofPath] = [["claim", "--pid", pid], ["--pid-file", path]];
  sipid("claim", none, ...claim, ...ofPath);
  sipid("claim, stale", stale, ...claim, ...ofPath);
  ssd("ssd start", none, "--start", "--make-pidfile", "--quiet", "--exec", "/bin/true");
  peer("flock claim", none, "sh", "-c", flock, "sh", path);
  peer("flock claim, stale", stale, "sh", "-c", flock, "sh", path);
  sipid("status", stale, "status", ...ofPath);
  ssd("ssd status", stale, "--status");
  sipid("kill", stale, "kill", ...ofPath);
  ssd("ssd stop", stale, "--stop", "--remove-pidfile", "--oknodo");
  const sharedPath = ["--pid-file", `${shared}/web.pid`];
  sipid("claim, shared", staleShared, ...claim, ...sharedPath);
  sipid("kill, shared", staleShared, "kill", ...sharedPath);
  sipid("help", undefined, "--help");
  sipid("version", undefined, "--version");
  sipid("usage", undefined, "kill", "--pid-fiel", "x");
  sipid("wait", undefined, "wait-until-healthy", "--url", server.url);
  const retrying = ["-fsS", "--retry", "12", "--retry-connrefused", "-o", "/dev/null"];
  peer("curl", undefined, "curl", ...retrying, server.url);
  const times = await alternate(contestants, ROUNDS, dir);
  const rows: Measurement[] = [];
  const add = (
    what: string,
    own: string,
    limit: number | undefined,
    peers: Record<string, string>,
  ): void => {
    for (const kind of ["wall", "cpu"] as const) {
      const floor = times[emptyBefore(own)]![kind];
      const value = ratio(times[own]![kind], floor);
      rows.push({
        what: `${what}, ${kind === "wall" ? "wall clock" : "CPU time"}`,
        ...(own === "claim" && kind === "wall" && { chart: "Start-up: claim" }),
        unit: "ms",
        series: {
          sipid: times[own]![kind],
          "an empty program": floor,
          ...Object.fromEntries(
            Object.entries(peers).map(([name, key]) => [name, times[key]![kind]]),
          ),
        },
        ...(limit !== undefined && {
          target: { text: `${limit.toFixed(2)} x an empty program`, value, limit },
        }),
      });
    }
  };
  const SSD = "start-stop-daemon";
  add("claim, no pidfile", "claim", 1.2, { [SSD]: "ssd start", "sh + flock": "flock claim" });
  add("claim, a dead PID in the pidfile", "claim, stale", 1.2, {
    "sh + flock": "flock claim, stale",
  });
  add("status of a dead PID", "status", 1.2, { [SSD]: "ssd status" });
  add("kill of a dead PID", "kill", 1.25, { [SSD]: "ssd stop" });
  const where = "in a directory that others can write";
  add(`claim, a dead PID in the pidfile, ${where}`, "claim, shared", undefined, {});
  add(`kill of a dead PID, ${where}`, "kill, shared", undefined, {});
  add("--help", "help", 1.06, {});
  add("--version", "version", 1.06, {});
  add("a usage error", "usage", 1.15, {});
  add("wait-until-healthy, endpoint already healthy", "wait", 1.5, { "curl --retry": "curl" });
  return rows;
}

/** Makes a directory in which and above which only its owner can change anything, if that can be. */
function ownDirectory(): { readonly path: string } & Disposable {
  const options = { prefix: "sipid-bench-", ...(Deno.uid() === 0 && { dir: "/run" }) };
  const path = Deno.makeTempDirSync(options);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Returns the command that removes the pidfile of an earlier run with its record, then runs `act`. */
function prepared(directory: string, act: string): string {
  return `sh -c 'rm -f ${directory}/web.pid ${directory}/.web.pid.claim; ${act}'`;
}

/** Returns the name of the empty program's runs directly before those of `name`. */
function emptyBefore(name: string): string {
  return `empty before ${name}`;
}
