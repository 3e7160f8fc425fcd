/** The tests that every recipe has to pass, in the order they run, on one machine. */
import { assert, assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { exists, expectResult, type Result, until } from "../support.ts";
import { Client } from "./client.ts";
import { type Machine, Watcher } from "./machine.ts";
import type { Recipe } from "./recipe.ts";
import { bootWith, type Way } from "./ways.ts";

/** How often what depends on the moment is tried. */
const ROUNDS = Number(Deno.env.get("RECIPE_ROUNDS") ?? 20);
const RESTARTS = 10;
/**
 * Milliseconds within which a supervisor has a daemon back that was killed, besides those that the
 * daemon takes to start on this machine.
 */
const RESTART_LIMIT_MS = 10_000;

/** Registers the tests of a recipe. */
export function testRecipe(recipe: Recipe, way: Way): void {
  if (recipe.ways?.includes(way.name) === false) return;
  Deno.test(`${recipe.name}: ${way.name}`, async (test) => {
    await using machine = await bootWith(way, recipe);
    const scenarios = new Scenarios(recipe, way, machine);
    for (const [name, scenario] of scenarios.list()) {
      const passed = await test.step(name, scenario);
      // The next ones build on it.
      assert(passed, `${recipe.name} under ${way.name}: ${name}\n${await scenarios.logs()}`);
    }
  });
}

class Scenarios {
  /** Milliseconds from the order to start until the daemon was ready. */
  #startMs = 0;

  constructor(
    private readonly recipe: Recipe,
    private readonly way: Way,
    private readonly machine: Machine,
  ) {}

  list(): [string, () => void | Promise<void>][] {
    const { recipe, way } = this;
    return [
      ["start, answered by the readiness probe", () => this.#starts()],
      ["a second start is refused", () => this.#secondStart()],
      ["status", () => this.#status()],
      ...(recipe.reload === undefined ? [] : [
        [
          `reload${recipe.reload.session === undefined ? "" : " keeps a connection"}`,
          () => this.#reloads(),
        ],
      ] as [string, () => Promise<void>][]),
      ...Object.entries(recipe.extra ?? {}).map(([name, script]): [string, () => Promise<void>] => [
        name,
        async () => {
          await this.#sh(script);
        },
      ]),
      [
        `stop with its own signal${
          recipe.data === undefined ? "" : ", and the data is there after"
        }`,
        () => this.#stops(),
      ],
      ["ten restarts", () => this.#restarts()],
      [`two starts at the same moment, ${ROUNDS} times: never two`, () => this.#twoStarts()],
      [
        way.restarts
          ? "kill -9 of the main process: restarted within ten seconds"
          : "kill -9 of the main process: the next start works",
        () => this.#killed(),
      ],
      ["a stale pidfile that names an unrelated process: that lives", () => this.#recycled()],
      [
        `a stop ${
          recipe.readyFirst?.includes(way.name) === true ? "right after" : "at a random moment of"
        } the start, ${ROUNDS} times: nothing is left`,
        () => this.#randomStops(),
      ],
      ["afterwards nothing runs, no port is taken, no file is left", () => this.#nothingLeft()],
    ];
  }

  /** A text about the recipe with its paths in this way. */
  #paths(text: string): string {
    return this.way.paths(text, this.recipe.name);
  }

  /** Runs a script of the recipe. */
  #sh(script: string): Promise<string> {
    return this.machine.sh(this.#paths(script));
  }

  get #pidFile(): string {
    return this.#paths(`/run/sipid/${this.recipe.name}.pid`);
  }

  get #ctlPath(): string {
    return this.#paths(`/opt/${this.recipe.name}/ctl`);
  }

  /** The PID in the pidfile. */
  get #pid(): number {
    return Number(Deno.readTextFileSync(this.machine.path(this.#pidFile)));
  }

  get #isClaimed(): boolean {
    return exists(this.machine.path(this.#pidFile));
  }

  get #instances(): number[] {
    return this.machine.instances(this.recipe);
  }

  #ctl(...args: string[]): Promise<Result> {
    return this.machine.run(this.#ctlPath, ...args);
  }

  /** The ends of the logs, and what runs. */
  async logs(): Promise<string> {
    const { name } = this.recipe;
    const own = this.#paths(`/var/log/${name}.log`);
    const files =
      `${own} /var/log/${name}*.log /var/log/${name}/* /var/log/monit.log /var/log/supervisor/*`;
    const { stdout } = await this.machine.run(
      "sh",
      "-c",
      `tail -n 20 ${files}; ps -eo pid,ppid,pgid,args`,
    );
    return stdout;
  }

  async #untilReady(): Promise<void> {
    expectResult(await this.#ctl("ready"), { code: 0 });
    // The cron job is ready with its claim, which comes before its exec.
    await until(() => this.#instances.length === 1, () => `one instance runs: ${this.#instances}`);
  }

  async #start(): Promise<void> {
    await this.way.start(this.machine, this.recipe.name);
    await this.#untilReady();
  }

  async #stop(): Promise<void> {
    await this.way.stop(this.machine, this.recipe.name);
    this.#expectNone("after the stop");
  }

  #expectNone(when: string): void {
    assertEquals(this.#instances, [], `${when} no ${this.recipe.program} runs`);
    assert(!this.#isClaimed || this.way.name === "Supervisor", `${when} the pidfile is gone`);
  }

  async #starts(): Promise<void> {
    await this.#start();
    await this.#stop();
    const begin = performance.now();
    await this.#start();
    this.#startMs = performance.now() - begin;
  }

  async #secondStart(): Promise<void> {
    const before = this.#instances;
    const { code } = await this.#ctl("start");
    assert(code === 0 || code === 1, `the second start exits with ${code}`);
    assertEquals(this.#instances, before);
    await this.#untilReady();
  }

  async #status(): Promise<void> {
    expectResult(await this.#ctl("status"), { code: 0, stdout: /^running \d+ \(/ });
  }

  async #reloads(): Promise<void> {
    const { change, applied, session } = this.recipe.reload!;
    const before = this.#instances;
    await this.#sh(change);
    await using client = session === undefined
      ? undefined
      : await Client.connect(this.machine, session);
    expectResult(await this.#ctl("reload"), { code: 0 });
    let said = "";
    await until(async () => {
      const { stdout, stderr } = await this.machine.run("sh", "-euc", applied);
      said = stdout + stderr;
      return said.trim() === "reloaded";
    }, () => `the reload applies: ${said}`);
    if (client !== undefined) assertMatch(await client.finish(), session!.after[1]);
    assertEquals(this.#instances, before, "the main process is the same");
  }

  async #stops(): Promise<void> {
    const { data } = this.recipe;
    if (data !== undefined) await this.#sh(data.write);
    await this.#stop();
    expectResult(await this.#ctl("status"), { code: this.way.name === "Supervisor" ? 1 : 3 });
    await this.#start();
    if (data !== undefined) assertEquals(await this.#sh(data.read), "kept");
  }

  async #restarts(): Promise<void> {
    for (let round = 1; round <= RESTARTS; round++) {
      const before = this.#instances[0];
      await this.#stop();
      await this.#start();
      assert(this.#instances[0] !== before, `round ${round}`);
    }
  }

  /** Starts it in a session of its own; resolves when the start fails or the daemon exits. */
  #startByHand(): Promise<Result> {
    return this.machine.start("setsid", ["--wait", this.#ctlPath, "start"]).result;
  }

  /** The supervisor's start and one by hand, or two by hand. */
  async #twoStarts(): Promise<void> {
    const { machine, recipe, way } = this;
    using watcher = new Watcher(machine, recipe);
    for (let round = 1; round <= ROUNDS; round++) {
      await this.#stop();
      const byHand = this.#startByHand();
      const other = way.restarts ? way.start(machine, recipe.name) : this.#startByHand();
      // The loser exits. The winner stays, unless that is Monit's or Supervisor's.
      await Promise.race([byHand, other]);
      await until(() => this.#isClaimed, "one has claimed");
      await this.#untilStoppable(other);
      await way.stop(machine, recipe.name);
      // On a busy machine the other one may claim only now.
      await this.#stopUntilSettled(Promise.all([byHand, other]));
    }
    assertGreater(watcher.samples, ROUNDS);
    assertEquals(watcher.most, 1);
    await this.#start();
  }

  /** Waits where the page says that a stop must not come in the middle of a start. */
  async #untilStoppable(start: Promise<unknown>): Promise<void> {
    if (this.recipe.readyFirst?.includes(this.way.name) !== true) return;
    await start;
    expectResult(await this.#ctl("ready"), { code: 0 });
  }

  /** Stops what starts by hand have started, until these have come to their end. */
  async #stopUntilSettled(starts: Promise<unknown>): Promise<void> {
    let areSettled = false;
    const settled = starts.finally(() => areSettled = true);
    settled.catch(() => {}); // it is awaited below
    await until(async () => {
      expectResult(await this.#ctl("stop"), { code: 0 });
      return areSettled;
    }, "the starts have come to their end");
    await settled;
  }

  async #killed(): Promise<void> {
    const { machine, recipe, way } = this;
    // The daemon's main process; and pidproxy, where that stands between.
    const isProxied = this.#pid !== this.#instances[0];
    for (const victimOf of isProxied ? ["daemon", "pidfile"] : ["daemon"]) {
      const victim = victimOf === "daemon" ? this.#instances[0]! : this.#pid;
      if (isProxied) await until(() => this.#isGroupKnown(), "pidproxy knows the workers");
      const workers = machine.processes().filter(({ name }) => name === recipe.program);
      await machine.sh(`kill -9 ${victim}`);
      const begin = performance.now();
      if (!way.restarts) {
        // pidproxy still ends what is left of the daemon.
        await until(async () => (await this.#ctl("status")).code !== 0, "nothing runs");
        await way.start(machine, recipe.name);
      }
      await this.#untilOtherThan([victim, ...workers.map(({ pid }) => pid)]);
      await this.#untilReady();
      const limit = RESTART_LIMIT_MS + this.#startMs + (recipe.slowStopMs ?? 0);
      if (way.restarts) assertLess(performance.now() - begin, limit);
    }
  }

  /** Whether pidproxy holds a worker, besides the daemon itself: it reads the group now and then. */
  async #isGroupKnown(): Promise<boolean> {
    const { stdout } = await this.machine.run("sh", "-c", `readlink /proc/${this.#pid}/fd/*`);
    const held = stdout.split("\n").filter((target) => /^\/proc\/\d+$/.test(target));
    return held.some((target) => target !== `/proc/${this.#instances[0]}`);
  }

  /** Waits until none of these processes is what the pidfile names or the daemon. */
  async #untilOtherThan(pids: readonly number[]): Promise<void> {
    await until(() => {
      const running = this.#instances;
      return this.#isClaimed && !pids.includes(this.#pid) && running.length === 1 &&
        !pids.includes(running[0]!);
    }, () => `it runs again: ${this.#instances}`);
  }

  async #recycled(): Promise<void> {
    const { machine, way, recipe } = this;
    await this.#stop();
    await this.#start();
    const daemon = this.#instances[0]!;
    if (daemon !== this.#pid) await until(() => this.#isGroupKnown(), "pidproxy knows the workers");
    // The daemon's, and pidproxy's where that stands between, and exits after it.
    const pids = [...new Set([this.#pid, daemon])];
    await way.crash(machine, recipe.name, daemon);
    // Not even a zombie is left, which would keep its PID.
    const isOver = (): boolean => !pids.some((pid) => exists(machine.path(`/proc/${pid}`)));
    await until(isOver, "it has crashed");
    assert(this.#isClaimed, "the crash leaves the pidfile");
    // A claim record says whose it was; without one it takes a second until a PID counts as recycled.
    const { ownPidFile } = recipe;
    if (ownPidFile !== undefined) await this.#sh(`touch -cd '1 hour ago' ${ownPidFile}`);
    for (const pid of pids) await machine.recycle(pid);
    await way.recover(machine, recipe.name);
    await this.#untilOtherThan(pids);
    await this.#untilReady();
    await this.#stop();
    const others = machine.processes().filter(({ name }) => name === "sleep").map(({ pid }) => pid);
    for (const pid of pids) {
      assert(others.includes(pid), `the unrelated process ${pid} lives`);
      await machine.sh(`kill -9 ${pid}`);
    }
  }

  async #randomStops(): Promise<void> {
    const { machine, recipe, way } = this;
    for (let round = 1; round <= ROUNDS; round++) {
      const ms = Math.round(Math.random() * this.#startMs);
      const starting = way.restarts ? way.start(machine, recipe.name) : this.#startByHand();
      await delay(ms);
      const wasClaimed = this.#isClaimed;
      await this.#untilStoppable(starting);
      await way.stop(machine, recipe.name);
      if (!wasClaimed || way.restarts) {
        // The stop came before the claim, or before the supervisor's start: that one is stopped now.
        let hasEnded = false;
        starting.then(() => hasEnded = true);
        await until(() => hasEnded || this.#isClaimed, "it is claimed, or will not be");
        await way.stop(machine, recipe.name);
      }
      await starting;
      this.#expectNone(`in round ${round}, stopped after ${ms} ms,`);
    }
  }

  async #nothingLeft(): Promise<void> {
    const { machine, recipe, way } = this;
    if (recipe.cleanup !== undefined) await this.#sh(recipe.cleanup);
    const own = ["sleep", ...way.programs];
    const left = machine.processes().filter(({ name }) => !own.includes(name));
    assertEquals(left, [], "no process is left");
    assertEquals(machine.ports(), [], "no port is taken");
    const allowed = [
      ...[`/opt/${recipe.name}/`, `/var/log/${recipe.name}.log`, "/usr/local/bin/sipid", "/etc/"],
      // Supervisor stops with a signal only: the pidfiles are left for the next claim.
      ...(way.name === "Supervisor"
        ? [recipe.name, `${recipe.name}-own`].flatMap((name) => [
          `/run/sipid/${name}.pid`,
          `/run/sipid/.${name}.pid.claim`,
        ])
        : []),
      ...way.leaves,
      ...recipe.leaves,
    ];
    const files = machine.written().filter((path) => !allowed.some((it) => path.startsWith(it)));
    assertEquals(files, [], "no file is left outside its own directories");
  }
}
