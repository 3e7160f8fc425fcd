/** Real daemons under pidproxy and a real supervisord, with the configuration of docs/pidproxy.md. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { ROOT, SIPID, TempDir, until } from "../support.ts";
import { type Daemon, DAEMONS, documented, Place } from "./pidproxy_daemons.ts";
import { type Inhabitant, type Program, Supervisor } from "./supervisor.ts";

const DOCUMENTATION = Deno.readTextFileSync(`${ROOT}docs/pidproxy.md`);
/** Supervisor's own default. */
const START_SECONDS = 1;

/** A daemon under its own supervisord. */
class Supervised implements AsyncDisposable {
  private constructor(
    readonly daemon: Daemon,
    readonly dir: TempDir,
    readonly place: Place,
    readonly supervisor: Supervisor,
  ) {}

  static async start(daemon: Daemon): Promise<Supervised> {
    using partial = new DisposableStack();
    const dir = partial.use(new TempDir());
    const place = new Place(dir);
    await daemon.prepare(place);
    const program = documented(DOCUMENTATION, daemon.program, place);
    // Only what the test adds: the rest is Supervisor's default, or the documentation's.
    const programs = { [daemon.program]: { startsecs: START_SECONDS, ...program } };
    const supervisor = await Supervisor.start(dir, programs, { isIsolated: true });
    partial.move();
    return new Supervised(daemon, dir, place, supervisor);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.supervisor[Symbol.asyncDispose]();
    this.dir[Symbol.dispose]();
  }

  get log(): string {
    const { program } = this.daemon;
    const { supervisor } = this;
    return `${program}\n${supervisor.log()}\n${supervisor.log(program)}\n` +
      supervisor.processes().map(({ pid, name }) => `${pid} ${name}`).join("\n");
  }

  answers(): Promise<boolean> {
    return this.daemon.answers(this.place);
  }

  async start(): Promise<void> {
    const answer = await this.supervisor.call("startProcess", this.daemon.program, true);
    assertMatch(answer, /<boolean>1</, this.log);
    await until(() => this.answers(), () => `it answers: ${this.log}`);
  }

  /** Stops it, after which nothing of it is left. */
  async stop(): Promise<void> {
    const answer = await this.supervisor.call("stopProcess", this.daemon.program, true);
    assertMatch(answer, /<boolean>1<|NOT_RUNNING/, this.log);
    this.assertNothingLeft();
  }

  assertNothingLeft(): void {
    assertEquals(this.supervisor.processes(), [], this.log);
    Deno.listen({ hostname: "127.0.0.1", port: this.place.port }).close();
  }

  /** The process that the pidfile names. */
  get master(): Inhabitant | undefined {
    try {
      const path = this.place.here(this.daemon.pidFile);
      const pid = Number(Deno.readTextFileSync(path).split("\n")[0]);
      return this.supervisor.processes().find((process) => process.pid === pid);
    } catch {
      return undefined; // it is not written yet
    }
  }
}

/** Everything that is promised for a daemon. */
async function check(daemon: Daemon): Promise<void> {
  await using supervised = await Supervised.start(daemon);
  const { supervisor } = supervised;
  const { program, reload } = daemon;

  // 1. It starts, answers, reloads and answers.
  await supervised.start();
  const master = supervised.master;
  assert(master !== undefined, supervised.log);
  const workers = supervisor.processes()
    .filter(({ pid, name }) => pid !== master.pid && name !== "sipid");
  await supervisor.call("signalProcess", program, reload);
  await until(
    () => new RegExp(`sent SIG${reload} to process ${master.pid} `).test(supervisor.log(program)),
    () => `${reload} is forwarded: ${supervised.log}`,
  );
  if (daemon.isReplacedByReload) {
    // haproxy loses a signal that comes in the middle of a reload.
    const isOld = ({ pid }: Inhabitant): boolean => workers.some((worker) => worker.pid === pid);
    await until(() => !supervisor.processes().some(isOld), () => `new workers: ${supervised.log}`);
  }
  await until(
    async () => supervised.master !== undefined && await supervised.answers(),
    () => `it answers after ${reload}: ${supervised.log}`,
  );

  // 2. It stops completely, and starts again, five times.
  for (let round = 0; round < 5; round++) {
    await supervised.stop();
    await supervised.start();
  }

  // 3. After a kill -9 of the master it runs and answers again.
  const victim = supervised.master!;
  const begin = performance.now();
  Deno.kill(victim.outer, "SIGKILL");
  await until(async () => {
    const { master } = supervised;
    return master !== undefined && master.pid !== victim.pid &&
      await supervisor.state(program) === "RUNNING" && await supervised.answers();
  }, () => `it is back: ${supervised.log}`);
  assertLess(performance.now() - begin, (START_SECONDS + 5) * 1000, supervised.log);
  await supervised.stop();

  // 4. A stop at any moment of the start leaves nothing.
  for (let round = 0; round < 5; round++) {
    await supervisor.call("startProcess", program, false);
    await delay(Math.random() * 1_000);
    await supervised.stop();
  }
  await supervised.start();
  await supervised.stop();
}

Deno.test("docs/pidproxy.md has a configuration for each daemon that is tested", () => {
  const documented = [...DOCUMENTATION.matchAll(/^\[program:(.*)\]$/gm)].map(([, name]) => name);
  assertEquals(documented, DAEMONS.map(({ program }) => program));
});

for (const daemon of DAEMONS) {
  Deno.test(`${daemon.program} under pidproxy starts, reloads, stops, restarts and comes back`, () => {
    return check(daemon);
  });
}

/** Ignores TERM, in a session of its own. */
const STUBBORN = `trap "" TERM; echo $$ >"$0"; while :; do sleep 0.1; done`;

Deno.test("a daemon that ignores TERM is gone after --grace-period, and runs once after the next start", async () => {
  using dir = new TempDir();
  dir.write("stubborn.sh", STUBBORN.replace("$0", dir.file("stubborn.pid")));
  const proxy = `${SIPID} pidproxy --wait 5s --grace-period 1s ${dir.file("stubborn.pid")}`;
  const program: Program = {
    command: `${proxy} setsid --fork sh ${dir.file("stubborn.sh")}`,
    stopwaitsecs: 10,
  };
  await using supervisor = await Supervisor.start(dir, { stubborn: program }, { isIsolated: true });
  const shells = (): Inhabitant[] => supervisor.processes().filter(({ name }) => name === "sh");
  for (let round = 0; round < 2; round++) {
    await supervisor.call("startProcess", "stubborn", true);
    await until(() => shells().length > 0, () => `it runs: ${supervisor.log("stubborn")}`);
    assertEquals(shells().length, 1);
    const begin = performance.now();
    await supervisor.call("stopProcess", "stubborn", true);
    const ms = performance.now() - begin;
    assert(ms >= 1_000 && ms < 5_000, `${ms} ms`);
    // A sleep of it may still be there for a tenth of a second.
    assertEquals(shells(), []);
    assertMatch(supervisor.log(), /stopped: stubborn \(exit status 0\)/);
  }
});
