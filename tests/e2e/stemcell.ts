/** A minimal Debian with a real Monit and the example release, in namespaces of its own. */
import {
  exists,
  expectResult,
  readIfExists,
  type Result,
  ROOT,
  run,
  Running,
  setUp,
  SIPID,
  TempDir,
  until,
} from "../support.ts";

const RELEASE = `${ROOT}example/release`;
/** Nothing of the environment of the machine comes in. */
const CLEAN = { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }, clearEnv: true };

export type Properties = Readonly<Record<string, string | number | boolean>>;

async function check(program: string, ...args: string[]): Promise<string> {
  const { stdout } = expectResult(await run(program, args), { code: 0 });
  return stdout;
}

export class Stemcell implements AsyncDisposable {
  readonly #dir = new TempDir();
  #namespace: Running | undefined;
  #init = 0;

  private constructor(readonly job: string) {}

  /**
   * Boots it with one job of the release, which is not started yet.
   *
   * @param system the directory of the system it is a copy of; else a minimal one
   */
  static boot(properties: Properties, job = "web", system?: string): Promise<Stemcell> {
    const stemcell = new Stemcell(job);
    return setUp(stemcell, () => stemcell.#boot(properties, system));
  }

  async #boot(properties: Properties, system?: string): Promise<void> {
    const dir = this.#dir;
    await this.#compile("sipid", { "sipid/sipid": SIPID });
    await this.#compile("web", { "web/web.c": `${RELEASE}/src/web/web.c` });
    await check(
      ...["ruby", `${ROOT}tests/release/render.rb`, `${RELEASE}/jobs/${this.job}`] as const,
      ...[dir.file(`vcap/jobs/${this.job}`), JSON.stringify(properties)],
    );
    const stemcell = system ?? (await check("sh", `${ROOT}toolchain/stemcell.sh`)).trim();
    // When it is killed, so is PID 1 of the namespace, and with that everything in it.
    const unshare = ["--mount", "--pid", "--fork", "--kill-child=SIGKILL"];
    this.#namespace = await Running.start("unshare", [
      ...[...unshare, "sh", `${ROOT}tests/e2e/stemcell.sh`, stemcell, dir.path, this.job],
    ]);
    const { pid } = this.#namespace;
    this.#init = Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim());
    const answers = async (): Promise<boolean> => (await this.run("monit", "summary")).code === 0;
    await until(answers, "Monit answers");
  }

  /** Runs a package's packaging script as the BOSH director's compilation does. */
  async #compile(name: string, files: Readonly<Record<string, string>>): Promise<void> {
    const source = this.#dir.file(`source-${name}`);
    const target = this.#dir.file(`vcap/packages/${name}`);
    Deno.mkdirSync(target, { recursive: true });
    for (const [path, from] of Object.entries(files)) {
      Deno.mkdirSync(`${source}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.copyFileSync(from, `${source}/${path}`);
    }
    expectResult(
      await run("bash", [`${RELEASE}/packages/${name}/packaging`], {
        cwd: source,
        env: { BOSH_INSTALL_TARGET: target },
      }),
      { code: 0 },
    );
  }

  /** Runs a program in it. */
  run(program: string, ...args: string[]): Promise<Result> {
    const enter = ["--target", String(this.#init), "--mount", "--pid"];
    const root = this.#dir.file("root");
    return run("nsenter", [...enter, "chroot", root, program, ...args], CLEAN);
  }

  /** Runs a shell script in it. */
  sh(script: string): Promise<Result> {
    return this.run("sh", "-euc", script);
  }

  /** Runs a program below /var/vcap, which must succeed. */
  async vcap(path: string, ...args: string[]): Promise<Result> {
    const result = await this.run(`/var/vcap/${path}`, ...args);
    return expectResult({ ...result, stderr: result.stderr + this.log }, { code: 0 });
  }

  /** Runs sipid in it. */
  sipid(...args: string[]): Promise<Result> {
    return this.run("/var/vcap/packages/sipid/bin/sipid", ...args);
  }

  async monit(...args: string[]): Promise<string> {
    const { stdout } = expectResult(await this.run("monit", ...args), { code: 0 });
    return stdout;
  }

  /** Waits until Monit says of the job what matches. */
  async untilMonit(status: RegExp): Promise<void> {
    let line = "";
    await until(async () => {
      const summary = (await this.monit("summary", "-B")).split("\n");
      line = summary.find((it) => it.trim().startsWith(`${this.job} `)) ?? "";
      return status.test(line);
    }, () => `Monit reports ${status}; it reports ${line}`);
  }

  /** Has Monit start, stop or restart the job, and waits until it has. */
  async tell(action: "start" | "stop" | "restart"): Promise<void> {
    const count = (): number =>
      this.read("var/log/monit.log").split(`'${this.job}' ${action} action done`).length;
    const before = count();
    await this.monit(action, this.job);
    await until(() => count() > before, `Monit has done: ${action}`);
  }

  /** A file in it. */
  read(path: string): string {
    return Deno.readTextFileSync(`/proc/${this.#init}/root/${path}`);
  }

  /** What web and its scripts have logged. */
  get log(): string {
    return readIfExists(`/proc/${this.#init}/root/var/vcap/sys/log/web/web.log`) ?? "";
  }

  /** The PIDs, as they are inside, of the processes of this name that run. */
  processes(name: string): number[] {
    const proc = `/proc/${this.#init}/root/proc`;
    return [...Deno.readDirSync(proc)].map((entry) => Number(entry.name)).filter((pid) => {
      try {
        const stat = pid > 0 ? Deno.readTextFileSync(`${proc}/${pid}/stat`) : "";
        return stat.includes(`(${name}) `) && !/\) [ZX] /.test(stat);
      } catch {
        return false; // it has just exited
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace?.[Symbol.asyncDispose]();
    await until(() => !exists(`/proc/${this.#init}`), "everything in the namespace has exited");
    this.#dir[Symbol.dispose]();
  }
}

/** Samples, until it is stopped, how many processes of a name run at the same moment. */
export class Watcher implements Disposable {
  most = 0;
  samples = 0;
  readonly #timer: ReturnType<typeof setInterval>;
  #isDisposed = false;

  constructor(stemcell: Stemcell, name: string) {
    this.#timer = setInterval(() => {
      if (this.#isDisposed) return; // it was already due when it was cleared
      this.samples++;
      this.most = Math.max(this.most, stemcell.processes(name).length);
    }, 2);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearInterval(this.#timer);
  }
}
