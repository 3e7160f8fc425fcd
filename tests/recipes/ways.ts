/** The three ways to run a recipe: by hand, under a real Monit, under a real Supervisor. */
import { assertMatch } from "@std/assert";
import { expectResult, until } from "../support.ts";
import { Machine } from "./machine.ts";
import { filesOf } from "./page.ts";
import type { Recipe } from "./recipe.ts";

/** How a daemon is started and stopped. */
export interface Way {
  readonly name: "plain scripts" | "Monit" | "Supervisor";
  /** Whether it restarts a daemon that exits. */
  readonly restarts: boolean;
  /** What runs on the machine beside the daemon. */
  readonly programs: readonly string[];
  /** Files of its own. */
  readonly leaves: readonly string[];
  /** The supervisor that is started; none: empty. */
  readonly command: readonly string[];
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
  untilUp: () => Promise.resolve(),
  start: startByHand,
  recover: startByHand,
  stop: stopByHand,
  crash: (machine, _name, pid) => sendKill(machine, pid),
};

/** Gives Monit an order and waits until it is carried out; Monit takes one at a time. */
async function tellMonit(machine: Machine, name: string, order: string): Promise<void> {
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

export const supervisor: Way = {
  name: "Supervisor",
  restarts: true,
  programs: ["supervisord"],
  leaves: ["/run/supervisor.sock", "/run/supervisord.pid", "/var/log/supervisor/"],
  command: ["supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf"],
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
  const machine = await Machine.boot(new Map([...filesOf("README"), ...filesOf(name)]));
  if (prepare !== undefined) await machine.sh(prepare);
  const [program, ...args] = way.command;
  if (program !== undefined) machine.start(program, args);
  await way.untilUp(machine);
  return machine;
}
