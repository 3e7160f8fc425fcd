/** A real supervisord in a separate directory, stopped by its PID. */
import { run, type TempDir, until } from "../support.ts";

/** The Python original, as Debian installs it. */
export const PYTHON_PIDPROXY = "/usr/bin/pidproxy";

/** One program of the configuration: the lines of its section. */
export type Program = Readonly<Record<string, string | number>>;

export class Supervisor implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(readonly dir: TempDir, child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Starts it with these programs, none of which is started by itself. */
  static async start(
    dir: TempDir,
    programs: Readonly<Record<string, Program>>,
  ): Promise<Supervisor> {
    const socket = dir.file("supervisor.sock");
    const section = (name: string, lines: Program): string =>
      [`[${name}]`, ...Object.entries(lines).map(([key, value]) => `${key}=${value}`), ""].join(
        "\n",
      );
    dir.write(
      "supervisord.conf",
      [
        section("unix_http_server", { file: socket }),
        section("supervisord", {
          nodaemon: "true",
          user: "root",
          logfile: dir.file("supervisord.log"),
          pidfile: dir.file("supervisord.pid"),
          childlogdir: dir.path,
        }),
        section("rpcinterface:supervisor", {
          "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        }),
        section("supervisorctl", { serverurl: `unix://${socket}` }),
        ...Object.entries(programs).map(([name, lines]) =>
          section(`program:${name}`, {
            autostart: "false",
            startsecs: 1,
            stopwaitsecs: 60,
            killasgroup: "true", // the group that Supervisor made for it
            redirect_stderr: "true",
            stdout_logfile: dir.file(`${name}.log`),
            ...lines,
          })
        ),
      ].join("\n"),
    );
    const child = new Deno.Command("/usr/bin/supervisord", {
      args: ["-n", "-c", dir.file("supervisord.conf")],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const supervisor = new Supervisor(dir, child);
    await until(
      async () => (await supervisor.ctl("pid")).trim() === String(child.pid),
      "it answers",
    );
    return supervisor;
  }

  /** What supervisorctl prints. */
  async ctl(...args: string[]): Promise<string> {
    const conf = this.dir.file("supervisord.conf");
    const { stdout, stderr } = await run("/usr/bin/supervisorctl", ["-c", conf, ...args]);
    return stdout + stderr;
  }

  /** The PID of a program that Supervisor runs; 0 if it does not run. */
  async pid(name: string): Promise<number> {
    return Number((await this.ctl("pid", name)).trim());
  }

  /** What a program, or Supervisor itself, has logged. */
  log(name = "supervisord"): string {
    return Deno.readTextFileSync(this.dir.file(`${name}.log`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It stops its programs, each with its stop signal, before it exits.
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}
