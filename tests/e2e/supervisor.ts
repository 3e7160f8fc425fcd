/** A real supervisord in a separate directory, stopped by its PID. */
import { run, setUp, type TempDir, until } from "../support.ts";

/** The Python original, as Debian installs it. */
export const PYTHON_PIDPROXY = "/usr/bin/pidproxy";

/** One program of the configuration: the lines of its section. */
export type Program = Readonly<Record<string, string | number>>;

/** A process in the PID namespace of a Supervisor. */
export interface Inhabitant {
  /** Its PID there. */
  readonly pid: number;
  /** Its PID on this machine. */
  readonly outer: number;
  readonly name: string;
}

export class Supervisor implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #isIsolated: boolean;

  private constructor(readonly dir: TempDir, child: Deno.ChildProcess, isIsolated: boolean) {
    this.#child = child;
    this.#isIsolated = isIsolated;
  }

  /** Starts it with these programs, none of which is started by itself. */
  static start(
    dir: TempDir,
    programs: Readonly<Record<string, Program>>,
    { isIsolated = false } = {},
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
    // The init of a PID namespace of its own: its processes can be listed, and end with it.
    const isolation = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const args = ["/usr/bin/supervisord", "-n", "-c", dir.file("supervisord.conf")];
    const child = new Deno.Command(isIsolated ? "unshare" : args[0]!, {
      args: isIsolated ? [...isolation, ...args] : args.slice(1),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const supervisor = new Supervisor(dir, child, isIsolated);
    const pid = isIsolated ? "1" : String(child.pid);
    const answers = async (): Promise<boolean> => (await supervisor.ctl("pid")).trim() === pid;
    return setUp(supervisor, () => until(answers, "it answers"));
  }

  /** What supervisorctl prints. */
  async ctl(...args: string[]): Promise<string> {
    const conf = this.dir.file("supervisord.conf");
    const { stdout, stderr } = await run("/usr/bin/supervisorctl", ["-c", conf, ...args]);
    return stdout + stderr;
  }

  /** Calls a method of Supervisor's XML-RPC interface, without the half second of supervisorctl. */
  async call(method: string, ...params: (string | boolean)[]): Promise<string> {
    const value = (param: string | boolean): string =>
      typeof param === "string" ? `<string>${param}</string>` : `<boolean>${+param}</boolean>`;
    const body = `<?xml version="1.0"?><methodCall><methodName>supervisor.${method}</methodName>` +
      `<params>${params.map((it) => `<param><value>${value(it)}</value></param>`).join("")}` +
      "</params></methodCall>";
    const path = this.dir.file("supervisor.sock");
    using connection = await Deno.connect({ transport: "unix", path });
    const request = `POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    await connection.write(new TextEncoder().encode(request));
    return await new Response(connection.readable).text();
  }

  /** The state of a program, such as RUNNING. */
  async state(name: string): Promise<string> {
    const info = await this.call("getProcessInfo", name);
    return /<name>statename<\/name>\s*<value><string>(\w+)</.exec(info)?.[1] ?? info;
  }

  /** The processes that run in its PID namespace besides itself. */
  processes(): Inhabitant[] {
    const namespace = (pid: number): string => Deno.readLinkSync(`/proc/${pid}/ns/pid`);
    const own = namespace(this.#inner);
    return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
      try {
        if (!/^\d+$/.test(name) || Number(name) === this.#inner) return [];
        if (namespace(Number(name)) !== own) return [];
        const status = Deno.readTextFileSync(`/proc/${name}/status`);
        if (/^State:\s*[ZX]/m.test(status)) return [];
        const pid = Number(/^NSpid:.*\s(\d+)$/m.exec(status)![1]);
        return [{ outer: Number(name), pid, name: /^Name:\s*(.*)$/m.exec(status)![1]! }];
      } catch {
        return []; // it has just exited
      }
    });
  }

  /** The PID of supervisord itself, as this machine sees it. */
  get #inner(): number {
    const { pid } = this.#child;
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
    return this.#isIsolated ? Number(children.split(" ")[0]) : pid;
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
    Deno.kill(this.#inner, "SIGTERM");
    await this.#child.status;
  }
}
