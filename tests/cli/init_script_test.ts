/** example/init with a service of the test's own: the statuses of the Linux Standard Base. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  exists,
  expectResult,
  inParallel,
  isRunning,
  readIfExists,
  type Result,
  ROOT,
  run,
  SIPID,
  TempDir,
  until,
} from "../support.ts";

/** A copy of the script with its paths changed, as a reader is told to. */
class Service {
  readonly pidFile: string;
  readonly log: string;
  readonly #script: string;

  constructor(dir: TempDir) {
    this.pidFile = dir.file("run/web.pid");
    this.log = dir.file("web.log");
    this.#script = dir.file("init");
    const daemon = dir.write(
      "web",
      `#!/bin/sh
trap 'echo reloaded' HUP
echo "starts with $(cut -d ' ' -f 4 /proc/$$/stat) as parent"
while :; do sleep 0.05; done
`,
    );
    Deno.chmodSync(daemon, 0o755);
    Deno.mkdirSync(dir.file("bin"));
    Deno.symlinkSync(SIPID, dir.file("bin/sipid"));
    const settings: Record<string, string> = {
      DAEMON: daemon,
      SERVICE_USER: String(Deno.uid()),
      PIDFILE: this.pidFile,
      LOG: this.log,
      PATH: `${dir.file("bin")}:/usr/sbin:/usr/bin:/sbin:/bin`,
    };
    let text = Deno.readTextFileSync(`${ROOT}example/init`);
    for (const [name, value] of Object.entries(settings)) {
      const line = new RegExp(`^${name}=.*$`, "m");
      assertMatch(text, line);
      text = text.replace(line, `${name}=${value}`);
    }
    // Of users that have no entry in /etc/passwd, or if the tests do not run as root.
    text = text.replace(/setpriv .*--init-groups/, 'env -u "$2"');
    Deno.writeTextFileSync(this.#script, text, { mode: 0o755 });
  }

  call(action: string): Promise<Result> {
    return run(this.#script, [action]);
  }

  get pid(): number {
    return Number(Deno.readTextFileSync(this.pidFile));
  }
}

Deno.test("the init script's actions have the statuses of the LSB, in any state", async () => {
  using dir = new TempDir();
  const service = new Service(dir);
  const expectCode = async (action: string, code: number): Promise<void> => {
    const result = await service.call(action);
    expectResult({ ...result, stderr: result.stderr + (readIfExists(service.log) ?? "") }, {
      code,
    });
  };
  try {
    // Stopped.
    await expectCode("status", 3);
    await expectCode("stop", 0);
    await expectCode("reload", 7);
    await expectCode("try-restart", 0);
    await expectCode("status", 3);
    // Running.
    await expectCode("start", 0);
    const { pid } = service;
    assert(isRunning(pid));
    await expectCode("status", 0);
    await expectCode("start", 0);
    assertEquals(service.pid, pid, "a start of a running service does nothing");
    await until(() => readIfExists(service.log)?.includes("starts") === true, "it handles HUP");
    await expectCode("reload", 0);
    await until(() => readIfExists(service.log)?.includes("reloaded") === true, "it has reloaded");
    assertEquals(service.pid, pid);
    await expectCode("restart", 0);
    assert(!isRunning(pid) && isRunning(service.pid));
    await expectCode("try-restart", 0);
    await expectCode("force-reload", 0);
    await expectCode("stop", 0);
    assert(!exists(service.pidFile));
    // Dead, with a stale pidfile.
    await expectCode("force-reload", 0);
    const dead = service.pid;
    Deno.kill(dead, "SIGKILL");
    await until(() => !isRunning(dead), "it has exited");
    await expectCode("status", 1);
    await expectCode("reload", 7);
    await expectCode("start", 0);
    assert(service.pid !== dead && isRunning(service.pid));
    await expectCode("bogus", 2);
  } finally {
    await service.call("stop");
  }
  assert(!exists(service.pidFile));
});

Deno.test("the init script reports a service that is not installed, or exits at once", async () => {
  using dir = new TempDir();
  const service = new Service(dir);
  dir.write("web", "#!/bin/sh\nsleep 0.2; exit 3\n");
  const { code } = await service.call("start");
  // It may be healthy for a moment; then it is dead.
  if (code === 0) {
    await until(() => !isRunning(service.pid), "it has exited");
    expectResult(await service.call("status"), { code: 1 });
  }
  Deno.removeSync(dir.file("web"));
  expectResult(await service.call("stop"), { code: 0 });
  expectResult(await service.call("start"), { code: 5 });
});

Deno.test("of several starts of the init script at once, one service runs", async () => {
  using dir = new TempDir();
  const service = new Service(dir);
  try {
    const starts = ["start", "start", "start", "start"];
    const results = await inParallel(starts, starts.length, (action) => service.call(action));
    for (const result of results) expectResult(result, { code: 0 });
    const log = Deno.readTextFileSync(service.log);
    assertEquals(log.match(/^starts with/gm)?.length, 1, log);
  } finally {
    expectResult(await service.call("stop"), { code: 0 });
  }
});
