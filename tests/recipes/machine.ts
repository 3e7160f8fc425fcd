/** A copy of this machine in namespaces of its own, with the files of a recipe at their own paths. */
import {
  exists,
  expectResult,
  type Result,
  ROOT,
  run,
  Running,
  setUp,
  SIPID,
  start,
  type Started,
  TempDir,
  until,
} from "../support.ts";
import type { Recipe } from "./recipe.ts";

/** Nothing of the environment of the test comes in. The last directory is that of a BOSH job's sipid. */
const PATH =
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/var/vcap/packages/sipid/bin";
const CLEAN = {
  env: { PATH, LC_ALL: "C.UTF-8" },
  clearEnv: true,
};

/** A process, with the PIDs as they are inside. */
export interface Seen {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly name: string;
}

export class Machine implements AsyncDisposable {
  readonly #dir = new TempDir();
  #namespace: Running | undefined;
  /** PID 1 of the machine, as it is outside. */
  #init = 0;

  private constructor() {}

  /** Boots it with these files, keyed by path, of which the scripts are executable. */
  static boot(files: ReadonlyMap<string, string>): Promise<Machine> {
    const machine = new Machine();
    return setUp(machine, () => machine.#boot(files));
  }

  async #boot(files: ReadonlyMap<string, string>): Promise<void> {
    for (const [path, content] of files) {
      const outside = this.#dir.file(`files${path}`);
      Deno.mkdirSync(outside.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.writeTextFileSync(outside, content, {
        mode: content.startsWith("#!") ? 0o755 : 0o644,
      });
    }
    const sipid = this.#dir.file("files/usr/local/bin/sipid");
    Deno.mkdirSync(sipid.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.copyFileSync(SIPID, sipid);
    // Its own death ends PID 1 of the namespace, and that everything in it.
    this.#namespace = await Running.start("unshare", [
      ...["--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child=SIGKILL"],
      ...["sh", `${ROOT}tests/recipes/machine.sh`, this.#dir.path],
    ]);
    const { pid } = this.#namespace;
    this.#init = Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim());
  }

  /** Starts a program in it. */
  start(program: string, args: string[], options: Partial<Deno.CommandOptions> = {}): Started {
    return start("nsenter", [...this.entry(), program, ...args], { ...CLEAN, ...options });
  }

  /** Runs a program in it. */
  run(program: string, ...args: string[]): Promise<Result> {
    return run("nsenter", [...this.entry(), program, ...args], CLEAN);
  }

  /** The arguments of nsenter before the program. */
  entry(): string[] {
    return ["--target", String(this.#init), "--mount", "--pid", "--net", "--ipc", "--root", "--wd"];
  }

  /** Runs a shell script in it, which must succeed, and returns what it prints. */
  async sh(script: string): Promise<string> {
    return expectResult(await this.run("sh", "-euc", script), { code: 0 }).stdout.trim();
  }

  /** Returns the path outside of a file in it. */
  path(inside: string): string {
    return `/proc/${this.#init}/root${inside}`;
  }

  /** The processes that run, without PID 1 and those from outside. */
  processes(): Seen[] {
    const proc = this.path("/proc");
    return [...Deno.readDirSync(proc)].flatMap(({ name }) => {
      if (!/^\d+$/.test(name) || name === "1") return [];
      try {
        const stat = Deno.readTextFileSync(`${proc}/${name}/stat`);
        const [, comm, state, parent, group] = /\((.*)\) (.) (\d+) (\d+)/s.exec(stat)!;
        return "ZX".includes(state!)
          ? []
          : [{ pid: Number(name), parent: Number(parent), group: Number(group), name: comm! }];
      } catch {
        return []; // it exited just now
      }
    });
  }

  /**
   * The main processes of the instances of a daemon: each is of this name, has the argument if one
   * is given, and is not a child of another one. What a dead main process leaves in its group is one
   * instance.
   */
  instances({ program, argument }: Recipe): number[] {
    const all = this.processes().filter(({ name, pid }) =>
      name === program && (argument === undefined || this.#arguments(pid).includes(argument))
    );
    const pids = new Set(all.map(({ pid }) => pid));
    const main = all.filter(({ parent }) => !pids.has(parent)).sort((a, b) => b.pid - a.pid);
    return [...new Map(main.map(({ group, pid }) => [group, pid])).values()];
  }

  #arguments(pid: number): string[] {
    try {
      return Deno.readTextFileSync(this.path(`/proc/${pid}/cmdline`)).split("\0");
    } catch {
      return []; // it exited just now
    }
  }

  /** The ports that something listens on. */
  ports(): number[] {
    return ["tcp", "tcp6", "udp", "udp6"].flatMap((protocol) =>
      Deno.readTextFileSync(`/proc/${this.#init}/net/${protocol}`).split("\n").slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, , , state]) => state === (protocol.startsWith("tcp") ? "0A" : "07"))
        .map(([, local]) => parseInt(local!.split(":").at(-1)!, 16))
    );
  }

  /** The files that were written since it was booted, wherever. */
  written(): string[] {
    const upper = this.#dir.file("over/upper");
    const namespace = `/proc/${this.#init}/root`;
    return [
      ...walk(`/proc/${this.#namespace!.pid}/root${upper}`, ""),
      ...["/run", "/tmp", "/dev/shm"].flatMap((top) => [...walk(`${namespace}${top}`, top)]),
    ];
  }

  /** Starts a process that gets this PID, which is free. */
  async recycle(pid: number): Promise<void> {
    const script = `echo ${pid - 1} >/proc/sys/kernel/ns_last_pid
      setsid sleep 7200 </dev/null >/dev/null 2>&1 &
      [ $! = ${pid} ] || { kill -9 $! && exit 1; }`;
    // A zombie of its session may keep the number for a moment.
    await until(async () => (await this.run("sh", "-c", script)).code === 0, `${pid} is recycled`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace?.[Symbol.asyncDispose]();
    await until(() => !exists(`/proc/${this.#init}`), "everything in the namespace has ended");
    this.#dir[Symbol.dispose]();
  }
}

/** The files, sockets and symlinks below a directory. */
function* walk(outside: string, inside: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(outside)) {
    if (isDirectory) yield* walk(`${outside}/${name}`, `${inside}/${name}`);
    else yield `${inside}/${name}`;
  }
}

/**
 * Samples, until it is stopped, how many instances of a daemon run at the same moment. A read of
 * /proc is not atomic: it may show a process, and as another main process the child that this leaves
 * when it exits during the read. So those count that two reads in succession show.
 */
export class Watcher implements Disposable {
  most = 0;
  samples = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(machine: Machine, recipe: Recipe) {
    let before: number[] = [];
    this.#timer = setInterval(() => {
      const now = machine.instances(recipe);
      this.samples++;
      this.most = Math.max(this.most, now.filter((pid) => before.includes(pid)).length);
      before = now;
    }, 4);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
