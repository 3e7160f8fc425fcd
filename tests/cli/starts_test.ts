/** Stops and second starts in the middle of a start, restarts of containers, and set clocks. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { fakeClock } from "../faketime.ts";
import { inNamespace, inPidNamespace } from "../namespaces.ts";
import {
  expectResult,
  isRunning,
  Job,
  readIfExists,
  type Result,
  run,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  testCompiled,
  until,
} from "../support.ts";

/** Copies sleep(1), so that a service has a program of its own. */
function copySleep(dir: TempDir, name: string): string {
  Deno.mkdirSync(dir.file(name.replace(/[^/]*$/, "")), { recursive: true });
  Deno.copyFileSync("/bin/sleep", dir.file(name));
  Deno.chmodSync(dir.file(name), 0o755);
  return dir.file(name);
}

/** A start that a stop interrupts: what runs between claim and service. */
interface Start {
  readonly what: string;
  /** The words of the script after its claim; `$P` is the service's program. */
  readonly script: string;
  /** What --exec names, if not the service's program. */
  readonly exec?: (dir: TempDir) => string;
}
/** Waits in the shell itself, which leaves no child behind when it is killed. */
const WAIT = 'mkfifo "$P.fifo"; read _ <"$P.fifo"';
const STARTS: readonly Start[] = [
  { what: "between claim and exec", script: `${WAIT}; exec "$P" 600` },
  { what: "while a wrapper runs", script: `exec timeout 600 "$P" 600` },
  { what: "while a second script runs", script: `exec sh -c '${WAIT}; exec "$P" 600'` },
  {
    what: "of a service that is a script, which --exec names",
    script: 'exec "$P.sh"',
    exec: (dir) => {
      const path = dir.write("web.sh", `#!/bin/sh\n${WAIT}\n`);
      Deno.chmodSync(path, 0o755);
      return path;
    },
  },
  {
    what: "of an old release, after `current` was switched to the next one",
    script: `exec "$P" 600`,
    exec: (dir) => {
      copySleep(dir, "next/web");
      Deno.symlinkSync(dir.file("next"), dir.file("current"));
      return dir.file("current/web");
    },
  },
];
for (const { what, script, exec } of STARTS) {
  for (const isGiven of [true, false]) {
    Deno.test(`kill ${isGiven ? "with" : "without"} --exec stops a start ${what}`, async () => {
      using dir = new TempDir();
      const program = copySleep(dir, "web");
      const path = dir.file("web.pid");
      const flag = isGiven ? ["--exec", exec?.(dir) ?? program] : (exec?.(dir), []);
      const claim = [SIPID, "claim", "--pid", "$$", "--pid-file", path, ...flag].join(" ");
      const commands = `${claim} || exit 98; : >${dir.file("claimed")}; export P=${program}`;
      await using job = new Job(`${commands}; ${script}`);
      await until(() => readIfExists(dir.file("claimed")) !== undefined, "the script has claimed");

      // The second start loses, by whatever name it calls the program.
      const otherwise = isGiven ? ["--exec", `${dir.path}/../${flag[1]!.slice(5)}`] : [];
      const second = await sipid("claim", "--pid", "1", "--pid-file", path, ...otherwise);
      expectResult(second, { code: 1, stderr: `process ${job.pid} (${path}) already exists` });
      expectResult(await sipid("kill", "--pid-file", path, ...flag), {
        code: 0,
        stderr: [`sent SIGTERM to process ${job.pid} (`, "removed "],
      });
      assertEquals((await job.status).signal, "SIGTERM");
      assertEquals(readIfExists(path), undefined);
      expectResult(await sipid("claim", "--pid", "1", "--pid-file", path, ...flag), { code: 0 });
    });
  }
}

Deno.test("a claim is its process's own after seconds in the script and an exec", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const script = `sleep 2.5; ${SIPID} claim --pid $$ --pid-file ${path}; exec sleep 600`;
  const started = Date.now();
  await using job = new Job(script);
  await until(() => readIfExists(`/proc/${job.pid}/comm`) === "sleep\n", "the script has claimed");
  // The same PID without a record: the script started 2.5 s before its pidfile was written.
  Deno.removeSync(dir.file(".web.pid.claim"));
  expectResult(await sipid("status", "--pid-file", path), { code: 0, stdout: /^running/ });
  // And sipid's own start ticks are those of a script that execs it after seconds.
  const late = `sleep 2.5; exec ${SIPID} status --pid-file ${path}`;
  expectResult(await run("sh", ["-c", late]), { code: 0, stdout: /^running/ });
  // If they counted, the process would seem to have started before that, too.
  Deno.utimeSync(path, started / 1000, started / 1000 - 1.5);
  expectResult(await run("sh", ["-c", late]), { code: 4, stdout: /its PID was probably recycled/ });
});

for (const [seconds, state] of [[0.5, "running"], [3, "unknown"]] as const) {
  Deno.test(`a process that started ${seconds} s after the pidfile was written is ${state}`, async () => {
    using dir = new TempDir();
    const started = Date.now();
    await using job = new Job();
    const path = dir.write("web.pid", String(job.pid));
    Deno.utimeSync(path, started / 1000, started / 1000 - seconds);
    // How busy the machine is must not matter: sipid starts late here, and in the middle.
    for (const nice of ["0", "19"]) {
      const status = ["nice", "-n", nice, SIPID, "status", "--pid-file", path];
      const result = await run("env", status);
      expectResult(result, { code: state === "running" ? 0 : 4, stdout: new RegExp(`^${state}`) });
    }
  });
}

Deno.test("an unclear pidfile is re-read for 200 ms, and judged by what it has become", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  Deno.utimeSync(path, 1, 1);
  const unclear = await sipid("status", "--pid-file", path);
  expectResult(unclear, { code: 4 });
  expectResult(await sipid("status", "--pid-file", dir.file("none.pid")), { code: 3 });
  assert(unclear.ms >= 200, `it took ${unclear.ms} ms`);
  assertLess(unclear.ms, 200 + SLACK_MS);

  // A claim in the meantime settles it. On a busy machine it may come too late.
  let code = 4;
  for (let tries = 0; code === 4 && tries < 20; tries++) {
    const log = dir.file(`trace-${tries}`);
    const args = ["-f", "-o", log, "-P", path, SIPID, "status", "--pid-file", path];
    Deno.utimeSync(path, 1, 1);
    const traced = run("strace", args);
    await until(() => /^\d+ +read\(/m.test(readIfExists(log) ?? ""), "the pidfile was read");
    Deno.writeTextFileSync(path, String(job.pid));
    code = (await traced).code;
  }
  assertEquals(code, 0);
});

Deno.test("a day-old pidfile that names a process started today gets nothing killed", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const yesterday = new Date(Date.now() - 86_400_000);
  Deno.utimeSync(path, yesterday, yesterday);
  for (const args of [["claim", "--pid", "17"], ["kill"]]) {
    expectResult(await sipid(...args, "--pid-file", path), {
      code: 1,
      stderr: "its PID was probably recycled, or the clock was set",
    });
  }
  assert(isRunning(job.pid));
  assertEquals(readIfExists(path), String(job.pid));
});

for (const command of ["tail -f", "timeout 600"]) {
  Deno.test(`an old pidfile that names \`${command} P\` does not block a start with --exec P`, async () => {
    using dir = new TempDir();
    const program = copySleep(dir, "web");
    await using job = new Job(`exec ${command} ${program} 600`);
    const path = dir.write("web.pid", String(job.pid));
    Deno.utimeSync(path, 1, 1);
    const claim = ["claim", "--pid", "17", "--pid-file", path, "--exec", program];
    expectResult(await sipid(...claim), { code: 0, stderr: "was stale (process " });
    assert(isRunning(job.pid));
    // timeout passes this on to the program; SIGKILL would leave it behind.
    Deno.kill(job.pid, "SIGTERM");
    await job.status;
  });
}

Deno.test("a program with the same path in another mount namespace is another program", async () => {
  using dir = new TempDir();
  const program = copySleep(dir, "web");
  copySleep(dir, "other");
  // The job sees another file at the path of the program.
  const { stdout, stderr } = await inNamespace(`
    cd ${dir.path}
    unshare --mount sh -c 'mount --bind other web; exec ${program} 600' >&2 & pid=$!
    until [ "$(readlink /proc/$pid/exe)" = ${program} ]; do sleep 0.01; done
    printf %s $pid > web.pid; touch -d '1 hour ago' web.pid
    sipid status --pid-file web.pid --exec ${program} || echo "exit $?"; kill $pid`);
  assertEquals(
    stdout.match(/^dead: process \d+ \(web\) runs .*; stale pidfile web.pid\nexit 1\n$/)?.length,
    1,
    stdout + stderr,
  );
});

Deno.test("a program counts as the deleted one only if there is no file of that name", async () => {
  using dir = new TempDir();
  const program = copySleep(dir, "web");
  copySleep(dir, "web (deleted)");
  await using job = new Job(`exec '${program} (deleted)' 600`);
  await using upgraded = new Job(`exec ${program} 600`);
  await until(() => readIfExists(`/proc/${upgraded.pid}/comm`) === "web\n", "it is running");
  Deno.removeSync(program);
  for (const [{ pid }, code] of [[job, 4], [upgraded, 0]] as const) {
    const path = dir.write("web.pid", String(pid));
    Deno.utimeSync(path, 1, 1);
    const status = await sipid("status", "--pid-file", path, "--exec", program);
    // Without a file at --exec only the deleted one is recognised.
    expectResult(status, code === 0 ? { code } : { code, stdout: /no such file/ });
  }
});

const HIDDEN_PROGRAM =
  /^unknown: .*its PID was probably recycled, .* and what it runs is hidden.*\nexit 4\n$/;
/** A container with a program of its own at the path of the one here. */
const IN_CONTAINER = `unshare --mount sh -c 'mount -t tmpfs tmpfs bin; cp /bin/sleep bin/web
        bin/web 600 >&2 & echo $! >pid; wait' & until [ -s pid ]; do sleep 0.01; done; pid=$(cat pid)`;
/** Mount namespaces, and what was made of the program's path: how its process is judged later. */
const UPGRADES: Record<string, { service: string; upgrade: string; sipid?: string; seen: RegExp }> =
  {
    "replaced while it ran in a mount namespace of its own, as with PrivateTmp=": {
      service: "unshare --mount bin/web 600 >&2 & pid=$!",
      upgrade: "cp bin/web bin/next; mv bin/next bin/web",
      seen: /^running \d+ \(web\), .*\nexit 0\n$/,
    },
    "replaced, seen from another mount namespace, as of logrotate": {
      service: "bin/web 600 >&2 & pid=$!",
      upgrade: "cp bin/web bin/next; mv bin/next bin/web",
      sipid: "unshare --mount",
      seen: /^running \d+ \(web\), .*\nexit 0\n$/,
    },
    "replaced by a symlink to its successor": {
      service: "bin/web 600 >&2 & pid=$!",
      upgrade: "cp bin/web bin/next; ln -sf next bin/web",
      seen: /^running \d+ \(web\), .*\nexit 0\n$/,
    },
    "replaced at the same path in a container": {
      service: IN_CONTAINER,
      upgrade: 'nsenter --target $pid --mount sh -c "cd $PWD/bin; cp web next; mv next web"',
      seen: HIDDEN_PROGRAM,
    },
    "replaced in a container by an absolute symlink, like the one here": {
      service: IN_CONTAINER,
      upgrade: `cp bin/web next; ln -sf $PWD/next bin/web
        nsenter --target $pid --mount ln -sf $PWD/next $PWD/bin/web`,
      seen: HIDDEN_PROGRAM,
    },
    "mounted alone in the mount namespace of the service, and replaced": {
      service:
        `unshare --mount sh -c 'mount --bind bin/web bin/web; exec bin/web 600' >&2 & pid=$!`,
      upgrade: "cp bin/web bin/next; mv bin/next bin/web",
      seen: HIDDEN_PROGRAM,
    },
    "removed at the same path in a container": {
      service: IN_CONTAINER,
      upgrade: "nsenter --target $pid --mount rm $PWD/bin/web",
      seen: HIDDEN_PROGRAM,
    },
  };
for (const [what, { service, upgrade, sipid = "", seen }] of Object.entries(UPGRADES)) {
  Deno.test(`--exec: a program that was ${what}`, async () => {
    using dir = new TempDir();
    Deno.mkdirSync(dir.file("bin"));
    const program = copySleep(dir, "bin/web");
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `${service}
      until [ "$(readlink /proc/$pid/exe)" = ${program} ]; do sleep 0.01; done
      ${upgrade}
      printf %s $pid > web.pid; touch -d '1 hour ago' web.pid
      status=0; ${sipid} "$SIPID" status --pid-file web.pid --exec ${program} || status=$?
      echo "exit $status"`,
    );
    assertMatch(stdout, seen, stderr);
  });
}

Deno.test("a container starts again with a pidfile on a volume that names PID 1", async () => {
  using dir = new TempDir();
  const start = dir.write(
    "start.sh",
    `
    "$SIPID" claim --pid $$ --pid-file web.pid && echo claimed
    "$SIPID" claim --pid $$ --pid-file web.pid || echo "again: exit $?"
    "$SIPID" kill --pid-file web.pid || echo "kill: exit $?"`,
  );
  // With a record, and without one, as an image of an earlier release left it.
  for (
    const prepare of [
      "",
      "rm .web.pid.claim; touch -d '1 hour ago' web.pid",
      "rm .web.pid.claim; sleep 1.2",
    ]
  ) {
    const { stdout, stderr } = await inNamespace(`
      cd ${dir.path}; ${prepare === "" ? "" : prepare}
      for container in 1 2; do
        unshare --pid --fork --mount-proc sh ${start}
      done`);
    assertEquals(stdout, "claimed\nagain: exit 1\nkill: exit 1\n".repeat(2), stderr);
    assertEquals(stderr.match(/names process 1 \(sh\), which is never signalled/g)?.length, 2);
    assertEquals(stderr.match(/process 1 \(web.pid\) is already in the pidfile/g)?.length, 2);
  }
});

Deno.test("a container whose /proc/uptime is its own, as lxcfs makes it, changes no verdict", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    spawn; printf %s $pid > web.pid
    echo '0.50 0.25' > uptime; mount --bind uptime /proc/uptime
    sipid status --pid-file web.pid || echo "exit $?"
    touch -d '4 seconds ago' web.pid
    sipid status --pid-file web.pid >&2 || echo "exit $?"`,
  );
  assertMatch(stdout, /^running \d+ \(sleep\), up \d+s\nexit 4\n$/, stderr);
});

Deno.test("a pidfile judged by time survives a clock that is set forward only with --exec", async () => {
  using dir = new TempDir();
  await using job = new Job();
  await until(() => readIfExists(`/proc/${job.pid}/comm`) === "sleep\n", "it is running");
  const path = dir.write("web.pid", String(job.pid));
  const status = (clock: string, ...args: string[]): Promise<Result> =>
    run(SIPID, ["status", "--pid-file", path, ...args], { env: fakeClock({ FAKETIME: clock }) });
  expectResult(await status("+0h"), { code: 0 });
  expectResult(await status("+1h"), { code: 4, stdout: /or the clock was set; --exec PATH/ });
  expectResult(await status("+1h", "--exec", "/bin/sleep"), { code: 0 });
  // A claim knows, whatever the clock says.
  Deno.removeSync(path);
  expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), { code: 0 });
  for (const clock of ["+1h", "-1h"]) {
    expectResult(await status(clock), { code: 0, stdout: /^running/ });
  }
});

// Its script finds sipid by the name of its program.
testCompiled(
  "kill does not signal a reused PID where /proc hides processes and there is no pidfd",
  async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `
    mount -o remount,hidepid=2 /proc
    sh -c 'trap "" TERM; exec sleep 600' >&2 & pid=$!
    until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
    printf %s $pid > web.pid
    strace -f -o trace -e trace=pidfd_open -e inject=pidfd_open:error=ENOSYS \\
      "$SIPID" kill --pid-file web.pid --grace-period 2s 2>log & killer=$!
    until grep -qs SIGTERM log; do sleep 0.01; done
    kill -STOP $(pgrep -x sipid) # so that the change falls between two of its checks
    end $pid; recycle $pid
    kill -CONT $(pgrep -x sipid)
    status=0; wait $killer || status=$?
    seen kill $status; cat log >&2`,
    );
    assertEquals(stdout, "kill: exit 0, running\n", stderr);
    assertMatch(stderr, /exited after/);
  },
);

Deno.test("a process with the same PID and start tick is another one than the one held", async () => {
  using dir = new TempDir();
  const script = `
    import { holdProcess, findProcess, isRunning } from "${
    import.meta.resolve("../../lib/process/process.ts")
  }";
    const start = () => new Deno.Command("sleep", { args: ["600"], stdin: "null" }).spawn();
    for (let tries = 1; ; tries++) {
      const first = start();
      const one = findProcess(first.pid);
      using held = holdProcess(one);
      first.kill("SIGKILL");
      await first.status;
      Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", String(first.pid - 1));
      const second = start();
      const other = findProcess(second.pid);
      const isSame = second.pid === first.pid && other.startTicks === one.startTicks;
      if (isSame) {
        console.log(isRunning(one), isRunning(held), isRunning(other));
        Deno.exit();
      }
      second.kill("SIGKILL");
      await second.status;
    }`;
  dir.write("same_tick.ts", script);
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `${Deno.execPath()} run --quiet --no-check --no-lock --allow-all \\
       --import-map=${new URL("../../import_map.json", import.meta.url).pathname} same_tick.ts`,
  );
  assertEquals(stdout, "true false true\n", stderr);
});
