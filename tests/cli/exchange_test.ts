/**
 * A directory on the way to a pidfile that its owner exchanges for a symlink, and back, while root
 * works in it: root's files and processes elsewhere are out of their reach at every moment.
 */
import { assert, assertEquals } from "@std/assert";
import {
  exists,
  expectResult,
  inParallel,
  isRunning,
  Job,
  NOBODY,
  readIfExists,
  type Result,
  run,
  Running,
  SIPID,
  sipid,
  TempDir,
  until,
} from "../support.ts";

/** Declares a test in which several users play: only root can be them. */
function testAsRoot(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.uid() !== 0, fn });
}

const STALE = "2147483646";

/**
 * A directory `theirs/run` of the user nobody, in which root keeps a pidfile, and `roots/run`, which
 * only root can change. `theirs/link` is nobody's symlink to `roots`.
 */
class Scene implements AsyncDisposable {
  readonly #dir = new TempDir();
  /** Root's process; its working directory is nobody's. */
  readonly job: Job;
  #isLink = false;

  /** @param deeper names between the exchanged directory and the pidfile */
  private constructor(readonly deeper: string, readonly isThere: boolean) {
    for (const name of ["theirs/run", "roots"]) {
      Deno.mkdirSync(this.#dir.file(`${name}/${deeper}`), { recursive: true });
    }
    this.job = new Job(`cd ${this.#dir.file(`theirs/run/${deeper}`)} && exec sleep 600`);
  }

  static async arrange(
    { content, isThere }: Case,
    deeper: string,
    via = "",
  ): Promise<Scene> {
    const scene = new Scene(deeper, isThere);
    const dir = scene.#dir;
    const isSleep = (): boolean => readIfExists(`/proc/${scene.job.pid}/comm`) === "sleep\n";
    await until(isSleep, "the job is in its directory");
    // Through other mounts the same path is enough: root's directory is mounted there.
    const target = via === "" ? dir.file("roots") : `${via}${dir.file("theirs/run")}`;
    Deno.symlinkSync(target, dir.file("theirs/link"));
    const pidfile = dir.file(`roots/${deeper}web.pid`);
    if (content === "stale") Deno.writeTextFileSync(pidfile, STALE);
    else await sipid("claim", "--pid", String(scene.job.pid), "--pid-file", pidfile);
    scene.refill();
    const chown = ["-hR", "nobody", dir.file("theirs")];
    assertEquals((await run("chown", chown)).code, 0);
    return scene;
  }

  /** The pidfile by nobody's path. */
  get pidfile(): string {
    return this.#dir.file(`theirs/run/${this.deeper}web.pid`);
  }

  get log(): string {
    return this.#dir.file("strace.log");
  }

  get theirs(): string {
    return this.#dir.file("theirs");
  }

  get elsewhere(): string {
    return this.#dir.file(`roots/${this.deeper}`);
  }

  /** Leaves nothing but nobody's pidfile in the directory that has the name `run` or `link` by now. */
  refill(): void {
    const directory = `/proc/${this.job.pid}/cwd`;
    for (const name of ["web.pid", ".web.pid.claim"]) {
      if (exists(`${directory}/${name}`)) Deno.removeSync(`${directory}/${name}`);
    }
    if (!this.isThere) return;
    Deno.writeTextFileSync(`${directory}/web.pid`, STALE);
    Deno.chownSync(`${directory}/web.pid`, NOBODY, NOBODY);
  }

  /** Exchanges the directory and the symlink. */
  exchange(): void {
    const at = (name: string): string => this.#dir.file(`theirs/${name}`);
    const [there, next] = this.#isLink ? ["link", "real"] : ["real", "link"];
    Deno.renameSync(at("run"), at(there));
    Deno.renameSync(at(next), at("run"));
    this.#isLink = !this.#isLink;
  }

  /** What root keeps elsewhere, names and contents. */
  rootsFiles(): string {
    const { elsewhere } = this;
    return [...Deno.readDirSync(elsewhere)].map(({ name }) =>
      `${name}: ${readIfExists(`${elsewhere}/${name}`)}`
    ).sort().join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.job[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** A process of the user nobody with mounts of its own, by which /proc leads to what it likes. */
class TheirMounts implements AsyncDisposable {
  private constructor(readonly process: Running) {}

  static async start(): Promise<TheirMounts> {
    const script = "mount --make-rprivate / && echo ready && " +
      `exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups sleep 600`;
    return new TheirMounts(await Running.start("unshare", ["--mount", "sh", "-c", script]));
  }

  /** There, the path of nobody's pidfile leads to root's directory without any symlink. */
  async bind({ theirs, elsewhere, pidfile }: Scene): Promise<void> {
    const script = `mount -t tmpfs tmpfs $1 && mkdir -p \${3%/*} && mount --bind $2 \${3%/*}`;
    const options = ["--mount", `--target=${this.process.pid}`, "sh", "-c", script, "sh"];
    expectResult(await run("nsenter", [...options, theirs, elsewhere, pidfile]), { code: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

interface Case {
  readonly what: string;
  /** What root's pidfile elsewhere names. */
  readonly content: "job" | "stale";
  /** Whether nobody has a pidfile, too: a claim does not write into that. */
  readonly isThere: boolean;
  readonly args: readonly string[];
}

const CASES: readonly Case[] = [
  { what: "kill of a running process", content: "job", isThere: true, args: ["kill"] },
  { what: "kill of a stale pidfile", content: "stale", isThere: true, args: ["kill"] },
  { what: "claim", content: "stale", isThere: false, args: ["claim", "--pid", String(Deno.pid)] },
];

/** Milliseconds for which a system call is held back: enough to exchange two files. */
const HOLD_MS = 200;

/**
 * Returns the numbers of the main thread's file system calls, from the first one on the path on.
 * Between two of them, those on processes make no difference.
 */
async function fileCalls(scene: Scene, args: readonly string[]): Promise<number[]> {
  const options = ["-e", "trace=%file", "-o", scene.log];
  await run("strace", [...options, SIPID, ...args, "--pid-file", scene.pidfile]);
  const calls = callsIn(scene);
  const first = calls.findIndex((call) => call.includes(scene.theirs));
  assert(first > 0, calls.join("\n"));
  return [...calls.keys()].slice(first)
    .filter((index) => !/"\/proc\/(?!self\/fd\/)/.test(calls[index]!))
    .map((index) => index + 1);
}

function callsIn(scene: Scene): string[] {
  return (readIfExists(scene.log) ?? "").split("\n").filter((line) => /^\w+\(.*\) += /.test(line));
}

/** Runs sipid, and exchanges the directory right before its call number `at`. */
async function exchangedBefore(scene: Scene, at: number, args: readonly string[]): Promise<Result> {
  const hold = `inject=%file:delay_enter=${HOLD_MS * 1000}:when=${at}`;
  const options = ["-e", "trace=%file", "-e", hold, "-o", scene.log];
  const running = run("strace", [...options, SIPID, ...args, "--pid-file", scene.pidfile]);
  let hasEnded = false;
  running.finally(() => hasEnded = true);
  await until(() => hasEnded || callsIn(scene).length >= at - 1, "the call before");
  scene.exchange();
  return await running;
}

for (const one of CASES) {
  for (const deeper of ["", "web/"]) {
    for (const isLinkFirst of [false, true]) {
      const order = isLinkFirst
        ? "a symlink that becomes a directory"
        : "a directory that becomes a symlink";
      const where = deeper === "" ? "" : ", above its own directory";
      testAsRoot(
        `${one.what} reaches nothing elsewhere through ${order}${where}, whenever`,
        async () => {
          let moments: number[];
          {
            await using scene = await Scene.arrange(one, deeper);
            moments = await fileCalls(scene, one.args);
          }
          assert(moments.length > 5, String(moments));
          await inParallel(moments, 4, async (at) => {
            await using scene = await Scene.arrange(one, deeper);
            const before = scene.rootsFiles();
            if (isLinkFirst) scene.exchange();
            const { stderr } = await exchangedBefore(scene, at, one.args);
            const context = `exchanged before call ${at}: ${callsIn(scene)[at - 1]}\n${stderr}`;
            assertEquals(scene.rootsFiles(), before, context);
            assert(isRunning(scene.job.pid), context);
          });
        },
      );
    }
  }
}

/** Keeps exchanging the directory and the symlink, with pauses of up to 0.3 ms. */
const EXCHANGE = `
import ctypes, random, time
syscall = ctypes.CDLL(None).syscall
print("ready", flush=True)
while True:
    syscall(${Deno.build.arch === "aarch64" ? 276 : 316}, -100, b"run", -100, b"link", 2)
    end = time.perf_counter() + random.random() * 0.0003
    while time.perf_counter() < end: pass
`;

/** How often root acts at least while the directory is exchanged. */
const ROUNDS = 40;
/** Milliseconds for root to meet both, the directory and the symlink, in some round. */
const BOTH_TIMEOUT_MS = 60_000;

for (const one of CASES) {
  for (const isMounted of [false, true]) {
    const by = isMounted ? " into a mount namespace of its owner" : "";
    testAsRoot(
      `${one.what} reaches nothing elsewhere through a directory that is exchanged${by}`,
      async () => {
        await using mounts = isMounted ? await TheirMounts.start() : undefined;
        await using scene = await Scene.arrange(
          one,
          "web/",
          mounts && `/proc/${mounts.process.pid}/root`,
        );
        if (mounts !== undefined) await mounts.bind(scene);
        const before = scene.rootsFiles();
        const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
        const python = ["/usr/bin/python3", "-c", EXCHANGE];
        await using _exchange = await Running.start("setpriv", [...user, ...python], {
          cwd: scene.theirs,
        });
        const seen: Record<string, number> = {};
        const until = performance.now() + BOTH_TIMEOUT_MS;
        const isDone = (round: number): boolean =>
          round >= ROUNDS && (Object.keys(seen).length > 1 || performance.now() > until);
        for (let round = 0; !isDone(round); round++) {
          const { code, stderr } = await sipid(...one.args, "--pid-file", scene.pidfile);
          assertEquals(scene.rootsFiles(), before, stderr);
          assert(isRunning(scene.job.pid), stderr);
          scene.refill();
          seen[code] = (seen[code] ?? 0) + 1;
        }
        // It was met as a directory, and as a symlink.
        assertEquals(Object.keys(seen), ["0", "1"], JSON.stringify(seen));
      },
    );
  }
}
