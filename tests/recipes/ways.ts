/**
 * The ways to run a recipe: by hand, under a real Monit, under a real Supervisor, and under Monit as
 * the job that docs/recipes/bosh.md makes of it.
 */
import { assertMatch } from "@std/assert";
import { expectResult, until } from "../support.ts";
import { Machine } from "./machine.ts";
import { filesOf } from "./page.ts";
import type { Recipe } from "./recipe.ts";

/** How a daemon is started and stopped. */
export interface Way {
  readonly name: "plain scripts" | "Monit" | "Supervisor" | "BOSH";
  /** Whether it restarts a daemon that exits. */
  readonly restarts: boolean;
  /** What runs on the machine beside the daemon. */
  readonly programs: readonly string[];
  /** Files of its own. */
  readonly leaves: readonly string[];
  /** The supervisor that is started; none: empty. */
  readonly command: readonly string[];
  /** Returns a text about a recipe with the paths that are the recipe's in this way. */
  paths(text: string, name: string): string;
  /** Returns when it takes orders. */
  untilUp(machine: Machine): Promise<void>;
  /** Gives the order to start; the daemon may not be ready yet. */
  start(machine: Machine, name: string): Promise<unknown>;
  /** Starts it after a crash whose pidfile names an unrelated process by now. */
  recover(machine: Machine, name: string): Promise<unknown>;
  /** Returns when it says that the daemon has been stopped. */
  stop(machine: Machine, name: string): Promise<void>;
  /** Ends the daemon, this process, so that the pidfile is left and nothing is restarted. */
  crash(machine: Machine, name: string, pid: number): Promise<void>;
}

/** The paths are those of the page. */
const asPrinted = (text: string): string => text;

/** The start script in the background, as the index page has it. */
function startByHand(machine: Machine, name: string): Promise<unknown> {
  return machine.sh(`setsid --fork /opt/${name}/ctl start </dev/null`);
}

async function sendKill(machine: Machine, pid: number): Promise<void> {
  await machine.sh(`kill -9 ${pid}`);
}

async function stopByHand(machine: Machine, name: string): Promise<void> {
  expectResult(await machine.run(`/opt/${name}/ctl`, "stop"), { code: 0 });
}

export const plain: Way = {
  name: "plain scripts",
  restarts: false,
  programs: [],
  leaves: [],
  command: [],
  paths: asPrinted,
  untilUp: () => Promise.resolve(),
  start: startByHand,
  recover: startByHand,
  stop: stopByHand,
  crash: (machine, _name, pid) => sendKill(machine, pid),
};

/** The last order of each machine's Monit. */
const orders = new WeakMap<Machine, Promise<void>>();

/**
 * Gives Monit an order and waits until it is carried out. One at a time: an order that comes before
 * the last one is carried out replaces it.
 */
function tellMonit(machine: Machine, name: string, order: string): Promise<void> {
  const last = orders.get(machine) ?? Promise.resolve();
  const next = last.then(() => orderMonit(machine, name, order));
  orders.set(machine, next);
  return next;
}

async function orderMonit(machine: Machine, name: string, order: string): Promise<void> {
  const log = (): string => Deno.readTextFileSync(machine.path("/var/log/monit.log"));
  const count = (): number => log().split(`'${name}' ${order} action done`).length;
  const before = count();
  expectResult(await machine.run("monit", order, name), { code: 0 });
  await until(() => count() > before, () => `Monit has done: ${order}:\n${log().slice(-1000)}`);
}

export const monit: Way = {
  name: "Monit",
  restarts: true,
  programs: ["monit"],
  leaves: ["/run/monit.pid", "/run/monit.sock", "/var/lib/monit/", "/var/log/monit.log"],
  command: ["monit", "-I", "-c", "/etc/monit/monitrc"],
  paths: asPrinted,
  untilUp: (machine) =>
    until(async () => (await machine.run("monit", "summary", "-B")).code === 0, "Monit is up"),
  start: (machine, name) => tellMonit(machine, name, "start"),
  async recover(machine, name) {
    await stopByHand(machine, name); // Monit would take the unrelated process for the daemon
    await tellMonit(machine, name, "start");
  },
  stop: (machine, name) => tellMonit(machine, name, "stop"),
  async crash(machine, name, pid) {
    await tellMonit(machine, name, "unmonitor");
    await sendKill(machine, pid);
  },
};

/** A job has no Monit of its own: this is the machine's, which reads the monit file of the job. */
export const bosh: Way = {
  ...monit,
  name: "BOSH",
  leaves: [...monit.leaves, "/var/vcap/", "/opt/bosh/"],
  paths: (text, name) =>
    text.replaceAll(`/opt/${name}`, `/var/vcap/jobs/${name}/bin`)
      .replaceAll("/run/sipid/", `/var/vcap/sys/run/${name}/`)
      .replaceAll(`/var/log/${name}.log`, `/var/vcap/sys/log/${name}/${name}.log`),
  async recover(machine, name) {
    await machine.sh(`/var/vcap/jobs/${name}/bin/pre-start`); // as BOSH does after a reboot
    await tellMonit(machine, name, "start");
  },
};

/** Makes a job of the recipe as a release does, and removes the recipe. */
function installJob(name: string): string {
  return `
    useradd --system --no-create-home vcap
    mkdir -p /var/vcap/packages/sipid/bin && mv /usr/local/bin/sipid /var/vcap/packages/sipid/bin/
    mkdir -p /var/vcap/release/jobs && cd /var/vcap/release/jobs
    /opt/bosh/job ${name}
    awk -F'[: ]+' '$3 ~ "^bin/" { print $2, $3 }' ${name}/spec | while read -r template path; do
      install -D -m 0755 ${name}/templates/$template /var/vcap/jobs/${name}/$path
    done
    mv ${name}/monit /etc/monit/conf.d/${name}
    rm -r /opt/${name}
    /var/vcap/jobs/${name}/bin/pre-start`;
}

export const supervisor: Way = {
  name: "Supervisor",
  restarts: true,
  programs: ["supervisord"],
  leaves: ["/run/supervisor.sock", "/run/supervisord.pid", "/var/log/supervisor/"],
  command: ["supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf"],
  paths: asPrinted,
  untilUp: (machine) =>
    until(
      async () => (await machine.run("supervisorctl", "pid")).code === 0,
      "Supervisor is up",
    ),
  start: (machine, name) => machine.run("supervisorctl", "start", name),
  recover: (machine, name) => machine.run("supervisorctl", "start", name),
  async stop(machine, name) {
    // It may not be running: its process has exited by itself, or was never started.
    const { stdout } = await machine.run("supervisorctl", "stop", name);
    assertMatch(stdout, new RegExp(`^${name}: (stopped|ERROR \\(not running\\))$`, "m"));
  },
  async crash(machine, name) {
    await this.stop(machine, name); // removes no pidfile
  },
};

/** Boots a machine with the files of a recipe and of the index page, where its supervisor runs. */
export async function bootWith(way: Way, { name, prepare }: Recipe): Promise<Machine> {
  const pages = ["README", name, ...(way === bosh ? ["bosh"] : [])];
  const machine = await Machine.boot(new Map(pages.flatMap((page) => [...filesOf(page)])));
  if (prepare !== undefined) await machine.sh(prepare);
  if (way === bosh) await machine.sh(installJob(name));
  const [program, ...args] = way.command;
  if (program !== undefined) machine.start(program, args);
  await way.untilUp(machine);
  return machine;
}
