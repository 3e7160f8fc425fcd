/** What another user may try: to have root signal a process, to hold root up, to forge a claim. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { inPidNamespace } from "../namespaces.ts";
import { Proxied } from "../proxied.ts";
import { elapsed, traced } from "../strace.ts";
import {
  asNobody,
  exists,
  expectResult,
  isRunning,
  Job,
  loggedMs,
  NOBODY,
  readIfExists,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  until,
} from "../support.ts";

/** Declares a test in which several users play: only root can be them. */
function testAsRoot(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.uid() !== 0, fn });
}

/** A group that nobody is not in. */
const ADM = 4;

/** Debian's own: another one may be out of another user's reach. */
const PYTHON = "/usr/bin/python3";

/** Milliseconds after which a file that another process holds up counts as not openable. */
const OPEN_TIMEOUT_MS = 1_000;

/** Words before a command that give it these users; its saved user becomes the effective one. */
function asUsers(real: number, effective: number): string[] {
  const script = `import os, sys; os.setresuid(${real}, ${effective}, ${effective}); ` +
    "os.execvp(sys.argv[1], sys.argv[1:])";
  return [PYTHON, "-c", script];
}

/** A directory of the user nobody, with a pidfile that nobody wrote. */
function nobodysDir(dir: TempDir, pid: number): string {
  const path = dir.write("web.pid", String(pid));
  for (const it of [dir.path, path]) Deno.chownSync(it, NOBODY, NOBODY);
  return path;
}

/** Starts python as the user nobody, in `dir`, and waits until it prints `ready`. */
function nobodysPython(dir: TempDir, script: string): Promise<Running> {
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return Running.start("setpriv", [...user, PYTHON, "-c", script], { cwd: dir.path });
}

/** The number of the system call. */
const RENAMEAT2 = Deno.build.arch === "aarch64" ? 276 : 316;

/** Exchanges two files for as long as it runs, a million times per second. */
const EXCHANGE = `
import ctypes
syscall = ctypes.CDLL(None).syscall
print("ready", flush=True)
while True: syscall(${RENAMEAT2}, -100, b"web.pid", -100, b"other", 2)
`;

for (
  const [what, users, isRefused] of [
    ["a daemon that only acts for the attacker", [0, NOBODY, 0], true],
    ["a daemon that the attacker started", [NOBODY, 0, 0], false],
    ["a daemon that can become the attacker again", [0, 0, NOBODY], false],
  ] as const
) {
  testAsRoot(
    `root ${isRefused ? "does not stop" : "stops"} ${what}, by their pidfile`,
    async () => {
      using dir = new TempDir();
      const script = `import os, time; os.setresuid(${users}); print("ready", flush=True); ` +
        "time.sleep(600)";
      await using daemon = await Running.start(PYTHON, ["-c", script]);
      expectResult(await sipid("kill", "--pid-file", nobodysDir(dir, daemon.pid)), {
        code: isRefused ? 1 : 0,
        stderr: isRefused ? "is owned by nobody, but process" : "exited after",
      });
      assertEquals(isRunning(daemon.pid), isRefused);
    },
  );
}

const POWERS: Record<string, string[]> = {
  "root": [],
  "effective root": asUsers(NOBODY, 0),
  "a real root": asUsers(0, NOBODY),
  "a user with CAP_KILL": [
    "setpriv",
    "--reuid=65533",
    "--clear-groups",
    "--inh-caps=+kill",
    "--ambient-caps=+kill",
  ],
};
for (const [who, words] of Object.entries(POWERS)) {
  testAsRoot(`${who} does not signal root's process by another user's pidfile`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = nobodysDir(dir, job.pid);
    const [program, ...args] = [...words, SIPID, "kill", "--pid-file", path];
    expectResult(await run(program!, args), { code: 1, stderr: "is owned by nobody, but process" });
    assert(isRunning(job.pid));
  });
}

const WAYS: Record<string, [arrange: (dir: TempDir) => string, refusal: string | undefined]> = {
  "root's own symlink": [(dir) => {
    Deno.mkdirSync(dir.file("run"));
    Deno.symlinkSync("run", dir.file("link"));
    return dir.file("link/web.pid");
  }, undefined],
  "another user's symlink": [(dir) => {
    Deno.mkdirSync(dir.file("run"));
    Deno.symlinkSync("run", dir.file("link"));
    new Deno.Command("chown", { args: ["-h", "nobody", dir.file("link")] }).outputSync();
    return dir.file("link/web.pid");
  }, "its symlink "],
  "another user's symlink to root's directory, in their own": [(dir) => {
    Deno.mkdirSync(dir.file("run"));
    Deno.mkdirSync(dir.file("theirs"));
    Deno.symlinkSync(dir.file("run"), dir.file("theirs/link"));
    new Deno.Command("chown", { args: ["-hR", "nobody", dir.file("theirs")] }).outputSync();
    return dir.file("theirs/link/web.pid");
  }, "its directory "],
  "a directory below another user's": [(dir) => {
    Deno.mkdirSync(dir.file("run/web"), { recursive: true });
    Deno.chownSync(dir.file("run"), NOBODY, NOBODY);
    return dir.file("run/web/web.pid");
  }, "its directory "],
  "a symlink into another user's directory": [(dir) => {
    Deno.mkdirSync(dir.file("theirs/web"), { recursive: true });
    Deno.chownSync(dir.file("theirs"), NOBODY, NOBODY);
    Deno.symlinkSync("theirs/web", dir.file("link"));
    return dir.file("link/web.pid");
  }, "its directory "],
  "a link of /proc": [(dir) => `/proc/self/root${dir.path}/web.pid`, undefined],
  "a link of /proc that leads elsewhere": [
    (dir) => `/proc/${Deno.pid}/cwd/${"../".repeat(20)}${dir.path}/web.pid`,
    undefined,
  ],
};
for (const [what, [arrange, refusal]] of Object.entries(WAYS)) {
  testAsRoot(
    `root ${refusal === undefined ? "acts" : "does not act"} on a pidfile by way of ${what}`,
    async () => {
      using dir = new TempDir();
      await using job = new Job();
      const path = arrange(dir);
      Deno.writeTextFileSync(path, String(job.pid));
      expectResult(await sipid("kill", "--pid-file", path), {
        code: refusal === undefined ? 0 : 1,
        stderr: refusal === undefined
          ? "exited after"
          : [refusal, "is owned by nobody, but process"],
      });
      assertEquals(isRunning(job.pid), refusal !== undefined);
    },
  );
}

testAsRoot(
  "root does not signal a process whose owner is hidden, by another user's pidfile",
  async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `
    mount -o remount,hidepid=2,gid=4242 /proc # else group 0 sees everything
    setpriv --reuid=65533 --regid=65533 --clear-groups sleep 600 >&2 & pid=$!
    until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
    printf %s $pid > web.pid; chown nobody . web.pid
    status=0
    setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$SIPID" kill --pid-file web.pid || status=$?
    seen kill $status`,
    );
    assertEquals(stdout, "kill: exit 1, running, named\n", stderr);
    assertMatch(stderr, /its program is hidden|when it started is hidden/);
  },
);

testAsRoot("a pidfile path through another root directory is refused", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    mkdir jail jail/run
    unshare --mount sh -c 'mount --rbind / jail; exec chroot jail sleep 600' & pid=$!
    until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
    printf %s $pid > jail/run/web.pid; mkdir -p /run
    unshare --mount sh -c 'mount -t tmpfs tmpfs /run; mkdir /run/sipid; printf %s '$pid' > /run/sipid/web.pid; exec sleep 600' & other=$!
    until grep -qs sleep /proc/$other/comm; do sleep 0.01; done
    status=0; sipid kill --pid-file /proc/$other/root/run/sipid/web.pid || status=$?
    cp /proc/$other/root/run/sipid/web.pid web.pid
    seen kill $status`,
  );
  assertEquals(stdout, "kill: exit 1, running, named\n", stderr);
});

Deno.test("a kernel thread is not signalled", async () => {
  using dir = new TempDir();
  // Only the outermost PID namespace shows kernel threads. Not even a signal that did nothing.
  const threads = [...Deno.readDirSync("/proc")].map(({ name }) => name)
    .filter((name) =>
      / \(kthreadd\) S 0 /.test(
        readIfExists(`/proc/${/^\d+$/.test(name) ? name : "self"}/stat`) ?? "",
      )
    );
  const [pid = ""] = threads;
  assert(threads.length === 1, "the tests run where kernel threads are visible");
  const path = dir.write("web.pid", pid);
  const log = dir.file("trace");
  const signals = ["-f", "-o", log, "-e", "trace=kill,tkill,tgkill,pidfd_send_signal"];
  const inject = ["-e", "inject=kill,tkill,tgkill,pidfd_send_signal:error=EPERM"];
  const result = await run("strace", [...signals, ...inject, SIPID, "kill", "--pid-file", path]);
  expectResult(result, { code: 0, stderr: "is a kernel thread, and was not signalled; removed" });
  assert(!/kill\(|send_signal\(/.test(Deno.readTextFileSync(log)));
});

/** In BOSH's directory, 0770 root:vcap, with nobody as a member of the group. */
const SHARED_DIR = `
  chown root:nogroup .; chmod 770 .
  attacker() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
  spawn; sipid claim --pid $pid --pid-file "$PWD/web.pid"`;
const REPLAYS: Record<string, [script: string, seen: string]> = {
  "with its record": ["mv .b .web.pid.claim", "kill: exit 0, running\n"],
  "without its record": ["sleep 0", "kill: exit 1, running, named\n"],
  "with a forged record": [
    `attacker cp .b .web.pid.claim
     attacker sed -i "s/^[0-9]* [0-9]*/$pid $(cut -d' ' -f22 /proc/$pid/stat)/" .web.pid.claim`,
    "kill: exit 1, running, named\n",
  ],
};
for (const [how, [script, seen]] of Object.entries(REPLAYS)) {
  testAsRoot(`a pidfile moved away and back ${how} gets no unrelated process killed`, async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `
      ${SHARED_DIR}
      attacker mv web.pid a; attacker mv .web.pid.claim .b; old=$pid
      end $pid; recycle $old
      attacker mv a web.pid; ${script}
      status=0; sipid kill --pid-file "$PWD/web.pid" || status=$?
      seen kill $status`,
    );
    assertEquals(stdout, seen, stderr);
  });
}

for (const moved of ["web/web.pid web/.web.pid.claim", "web"]) {
  testAsRoot(
    `${moved}, moved from another directory at the same path, gets no process killed`,
    async () => {
      using dir = new TempDir();
      const { stdout, stderr } = await inPidNamespace(
        dir,
        `
      mkdir -p run ours/web theirs/web; chown -R root:nogroup ours theirs; chmod -R 770 ours theirs
      spawn; ours=$pid; spawn
      mount --bind ours run; sipid claim --pid $ours --pid-file "$PWD/run/web/web.pid"; umount run
      mount --bind theirs run; sipid claim --pid $pid --pid-file "$PWD/run/web/web.pid"; umount run
      attacker() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
      for name in ${moved}; do attacker mv ours/$name ours/old; attacker mv theirs/$name ours/$name; done
      mount --bind ours run
      status=0; sipid kill --pid-file "$PWD/run/web/web.pid" || status=$?
      cd run/web; seen kill $status`,
      );
      assertEquals(stdout, "kill: exit 1, running, named\n", stderr);
      assertMatch(stderr, /can be replaced by group nogroup/);
    },
  );
}

testAsRoot(
  "a record that is exchanged for a forged one while it is read is not believed",
  async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `
    ${SHARED_DIR}
    old=$pid; end $pid
    sleep 1.2 # so that the time alone does not make the next one its own
    recycle $old
    attacker cp .web.pid.claim other
    attacker sed -i "s/^[0-9]* [0-9]*/$pid $(cut -d' ' -f22 /proc/$pid/stat)/" other
    sipid status --pid-file "$PWD/web.pid" | cut -c1-5
    attacker ${PYTHON} -c 'import ctypes
syscall = ctypes.CDLL(None).syscall
while True: syscall(${RENAMEAT2}, -100, b".web.pid.claim", -100, b"other", 2)' &
    exchange=$!
    for round in $(seq 30); do sipid status --pid-file "$PWD/web.pid" || :; done > seen
    kill -9 $exchange; grep -c ^running seen || :; cat seen >&2`,
    );
    assertEquals(stdout, "dead:\n0\n", stderr);
  },
);

for (const [log, arrange] of [["a log", ""], ["a record", "attacker mv .web.pid.claim err.log"]]) {
  testAsRoot(
    `${log} that root has opened as the log of a service does not prove a claim`,
    async () => {
      using dir = new TempDir();
      const { stdout, stderr } = await inPidNamespace(
        dir,
        `
    ${SHARED_DIR}
    cp .web.pid.claim text; ${arrange}
    spawn # root's, which nobody claimed
    attacker sh -c '
      printf %s "$1" >&3; mv -f out.log web.pid
      claim=$(sed "s/^[0-9]* [0-9]*/$1 $2/; s/ [0-9]\\{13\\} / $(stat -c %.3Y web.pid | tr -d .) /" text)
      ${PYTHON} -c "import os; os.ftruncate(4, 0)"; printf %s "$claim" >&4; mv -f err.log .web.pid.claim' \
      - $pid $(cut -d' ' -f22 /proc/$pid/stat) 3>>out.log 4>>err.log
    sipid status --pid-file "$PWD/web.pid" | cut -d' ' -f1,2; echo $pid
    status=0; sipid kill --pid-file "$PWD/web.pid" || status=$?
    seen kill $status`,
      );
      assertMatch(stdout, /^running (\d+)\n\1\nkill: exit 1, running, named\n$/, stderr);
      assertMatch(stderr, /can be replaced by group nogroup/);
    },
  );
}

/** A lease, which the kernel breaks only after 45 s. */
const LEASE = `
import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open("web.pid", os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
time.sleep(600)
`;
const HELD_UP =
  "another process holds it up, with a lease or by replacing it; find it with: fuser -v ";
for (
  const [args, code] of [
    [["claim", "--pid", "17"], 1],
    [["kill"], 1],
    [["status"], 4],
    [["wait-until-healthy", "--url", "http://127.0.0.1:1/", "--timeout", "9s"], 1],
  ] as const
) {
  testAsRoot(`a lease holds ${args[0]} up for a second and not longer`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = nobodysDir(dir, job.pid);
    await using _lease = await nobodysPython(dir, LEASE);
    const { ms, stdout, stderr } = expectResult(await sipid(...args, "--pid-file", path), { code });
    assertMatch(stdout + stderr, new RegExp(HELD_UP));
    assert(ms >= OPEN_TIMEOUT_MS, `it took ${ms} ms`);
    assertLess(ms, OPEN_TIMEOUT_MS + SLACK_MS);
    assertEquals(readIfExists(`/proc/${job.pid}/comm`), "sleep\n");
  });
}

testAsRoot("a lease that is longer than the timeout of a wait is its reason", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = nobodysDir(dir, job.pid);
  await using _lease = await nobodysPython(dir, LEASE);
  const flags = ["--url", "http://127.0.0.1:1/", "--timeout", "500ms", "--pid-file", path];
  expectResult(await sipid("wait-until-healthy", ...flags), {
    code: 1,
    stderr: `${path}: is held up by another process, with a lease or by replacing it, after ` +
      `500ms; find it with: fuser -v ${path}\n`,
  });
});

testAsRoot("a lease on a certificate does not hold a wait up", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = nobodysDir(dir, job.pid);
  await using _lease = await nobodysPython(dir, LEASE);
  const flags = ["--url", "https://127.0.0.1:1/", "--timeout", "9s", "--ca-cert", path];
  const { ms } = expectResult(await sipid("wait-until-healthy", ...flags), {
    code: 1,
    stderr: `cannot read ${path}: another process holds it up with a lease; find it with: ` +
      `fuser -v ${path}\n`,
  });
  assertLess(ms, SLACK_MS);
});

/** A wait that nothing but its deadline ends. */
const HOPELESS = ["wait-until-healthy", "--url", "http://127.0.0.1:1/", "--timeout", "1s"];

testAsRoot("a lease that is taken before a wait does not delay its deadline", async () => {
  using dir = new TempDir();
  await using job = new Job("exec setpriv --reuid=nobody --clear-groups sleep 600");
  const path = nobodysDir(dir, job.pid);
  await using _lease = await nobodysPython(dir, LEASE);
  const trace = ["-r", "-e", "trace=open,openat,exit_group"];
  const { result, log } = await traced(dir, trace, [...HOPELESS, "--pid-file", path]);
  expectResult(result, { code: 1 });
  assertLess(elapsed(log, /web\.pid"/, /^exit_group/), 1_000 + SLACK_MS);
});

testAsRoot("a lease that is taken during a wait does not delay its deadline", async () => {
  using dir = new TempDir();
  await using job = new Job("exec setpriv --reuid=nobody --clear-groups sleep 600");
  const path = nobodysDir(dir, job.pid);
  const log = dir.file("log");
  const waiting = run("sh", [
    "-c",
    `exec "$@" 2>${log}`,
    "sh",
    SIPID,
    ...HOPELESS,
    "--pid-file",
    path,
  ]);
  await until(() => /waiting for/.test(readIfExists(log) ?? ""), "it watches");
  await using _lease = await nobodysPython(dir, LEASE);
  expectResult(await waiting, { code: 1 });
  const ms = loggedMs(Deno.readTextFileSync(log), /waiting for/, /healthcheck unhealthy/);
  assertLess(ms, 1_000 + SLACK_MS);
});

testAsRoot(
  "a FIFO that takes a pidfile's place between check and open does not hold root up",
  async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = nobodysDir(dir, job.pid);
    await run("mkfifo", [dir.file("other")]);
    Deno.chownSync(dir.file("other"), NOBODY, NOBODY);
    await using _exchange = await nobodysPython(dir, EXCHANGE);
    const seen = new Set<string>();
    for (let tries = 0; seen.size < 2 && tries < 200; tries++) {
      const { ms, stdout } = await sipid("status", "--pid-file", path);
      assertLess(ms, OPEN_TIMEOUT_MS + 200 + SLACK_MS);
      seen.add(/^running|is a FIFO/.exec(stdout)?.[0] ?? stdout);
    }
    assertEquals([...seen].sort(), ["is a FIFO", "running"]);
    for (const args of [["kill"], ["claim", "--pid", "17"]]) {
      for (let tries = 0; tries < 10; tries++) {
        const { code, ms } = await sipid(...args, "--pid-file", path);
        assertEquals(code, 1);
        assertLess(ms, 2 * OPEN_TIMEOUT_MS + SLACK_MS);
      }
    }
    assert(isRunning(job.pid));
  },
);

testAsRoot("locked files that take a pidfile's place in turn do not hold root up", async () => {
  using dir = new TempDir();
  // In a container's /proc a lock has no holder once the process that took it has exited. The
  // former file stays locked until the next one has taken its place.
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    while printf 999999 >next && exec 8<next && flock 8 && mv next web.pid && exec 9<&8; do
      sleep 3
    done &
    until [ -e web.pid ]; do sleep 0.01; done
    for command in "claim --pid $$" kill; do
      status=0; sipid $command --pid-file web.pid 8<&- 9<&- || status=$?
      echo "$command: exit $status"
    done`,
  );
  assertMatch(stdout, /^claim .*: exit 1\nkill: exit 1\n$/, stderr);
  assertEquals(stderr.match(/another process is locking web\.pid/g)?.length, 2, stderr);
});

testAsRoot("nobody in a user namespace is not taken for a user outside of it", async () => {
  using dir = new TempDir();
  // A container without privileges; user 12345 is outside of it, and is shown as nobody.
  const container = `
    read go <go
    setpriv --reuid=65534 --regid=65534 --clear-groups sleep 600 & pid=$!
    until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
    for owned in web.pid .; do
      echo $pid $owned > ask; read go <go
      status=0; "$SIPID" kill --pid-file web.pid || status=$?
      echo "$owned, $(stat -c %u $owned): exit $status"
    done`;
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    mkfifo go ask; chmod 755 .
    unshare --user sh -euc '${container}' & child=$!
    while [ $(readlink /proc/$child/ns/user) = $(readlink /proc/self/ns/user) ]; do sleep 0.01; done
    for map in uid_map gid_map; do printf '0 0 10000\n65534 65534 1' > /proc/$child/$map; done
    echo > go
    for owned in web.pid .; do
      read pid owned <ask; printf %s $pid > web.pid; chown root . web.pid; chown 12345 $owned
      echo > go
    done
    wait $child; is_running $pid && echo running`,
  );
  assertEquals(stdout, "web.pid, 65534: exit 1\n., 65534: exit 1\nrunning\n", stderr);
  const reports = /is owned by nobody, who may be any user outside of this user namespace/g;
  assertEquals(stderr.match(reports)?.length, 2, stderr);
});

testAsRoot("a refusal names the user of the process that holds the lock", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  const script = `
import fcntl, time
file = open("web.pid")
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(600)`;
  await using holder = await nobodysPython(dir, script);
  expectResult(await sipid("claim", "--pid", "17", "--pid-file", path), {
    code: 1,
    stderr: new RegExp(
      `another process is locking ${path}: process ${holder.pid} \\(python3[^)]*\\) of nobody; wait`,
    ),
  });
});

Deno.test("a process that has many files open and the lock holds no command up", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  const script = `
import fcntl, os, resource
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
for _ in range(5000): os.dup(1)
fcntl.flock(os.open("${path}", os.O_RDONLY), fcntl.LOCK_EX)
print("ready", flush=True)
import time; time.sleep(600)`;
  await using holder = await Running.start(PYTHON, ["-c", script]);
  const args = ["claim", "--pid", "17", "--pid-file", path];
  const { result, log } = await traced(dir, ["-e", "trace=openat"], args);
  expectResult(result, { code: 1, stderr: `is locking ${path}: process ${holder.pid} (python3` });
  assertLess(log.split("/fdinfo/").length, 1_000);
});

Deno.test("a refusal names no process that got the number of the one that took the lock", async () => {
  using dir = new TempDir();
  // flock(1) exits and leaves the lock to the shell. The kernel goes on showing its number, which only
  // the machine's own PID namespace could recycle.
  const script = `
    spawn; exec 9>web.pid; flock 9
    file=$(printf %02x:%02x:%d $(stat -c '%Hd %Ld %i' web.pid))
    echo "1: FLOCK  ADVISORY  WRITE $pid $file 0 EOF" > locks; mount --bind locks /proc/locks
    sipid claim --pid $$ --pid-file web.pid || echo $?`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, "1\n", stderr);
  assertMatch(stderr, /another process is locking web\.pid; wait for it to exit/);
});

/** Gives the pidfile another time again and again, faster than it can be read. */
const TOUCH = `
import itertools, os
print("ready", flush=True)
for second in itertools.count(): os.utime("web.pid", (second, second))
`;
testAsRoot("a pidfile whose time its owner changes all the time holds no command up", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = nobodysDir(dir, job.pid);
  await using _owner = await nobodysPython(dir, TOUCH);
  const refusal = `cannot read ${path}: another process keeps changing it; find it with: fuser -v`;
  // Where the owner gets no turn for a moment, the pidfile is read, and then not trusted.
  const refused = new RegExp(`${refusal}|is owned by nobody|may not be the process`);
  await until(async () => {
    const begin = performance.now();
    const result = await sipid("kill", "--pid-file", path);
    assertLess(performance.now() - begin, SLACK_MS);
    expectResult(result, { code: 1, stderr: refused });
    return result.stderr.includes(refusal);
  }, "it is read while it changes");
  assert(isRunning(job.pid));
});

/** How root's pidfile came to be, and what keeps kill from believing it where it was moved to. */
const MOVED: Record<string, (theirs: string, sticky: string) => string> = {
  "written by its daemon": (_, sticky) =>
    `may have been moved to ${sticky} (mode 1777) by another user; process `,
  "claimed": (theirs) =>
    `it was claimed as ${theirs}/daemon.pid, and the pidfile was copied or moved here; nothing was`,
};

for (const [how, reason] of Object.entries(MOVED)) {
  testAsRoot(`root's pidfile, ${how}, that is moved to a sticky directory is refused`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const [theirs, sticky] = [dir.file("theirs"), dir.file("sticky")];
    for (const path of [theirs, sticky]) Deno.mkdirSync(path);
    Deno.chmodSync(dir.path, 0o755);
    Deno.chmodSync(sticky, 0o1777);
    Deno.chownSync(theirs, NOBODY, NOBODY);
    const pidfile = `${theirs}/daemon.pid`;
    if (how === "claimed") await sipid("claim", "--pid", String(job.pid), "--pid-file", pidfile);
    else Deno.writeTextFileSync(pidfile, String(job.pid));
    const moved = await asNobody("sh", [
      "-c",
      `mv ${pidfile} ${sticky}/web.pid; mv ${theirs}/.daemon.pid.claim ${sticky}/.web.pid.claim; true`,
    ]);
    assertEquals(moved.code, 0);
    expectResult(await sipid("kill", "--pid-file", `${sticky}/web.pid`), {
      code: 1,
      stderr: reason(theirs, sticky),
    });
    assert(isRunning(job.pid));
  });
}

for (
  const [whose, mode] of [["another user's", 0o755], ["a group's", 0o770], [
    "a sticky",
    0o1777,
  ]] as const
) {
  testAsRoot(
    `symlinks of root's exchanged in ${whose} directory lead kill to no other process`,
    async () => {
      using dir = new TempDir();
      Deno.chmodSync(dir.path, 0o755);
      await using one = new Job();
      await using other = new Job();
      const shared = dir.file("shared");
      Deno.mkdirSync(shared);
      for (const [name, { pid }] of Object.entries({ one, other })) {
        Deno.mkdirSync(dir.file(name));
        Deno.symlinkSync(dir.file(name), `${shared}/${name}`);
        await sipid("claim", "--pid", String(pid), "--pid-file", `${shared}/${name}/web.pid`);
      }
      // In a sticky directory they cannot be exchanged, but come from elsewhere.
      const exchange = `cd ${shared}; mv one three; mv other one`;
      if (mode === 0o1777) await run("sh", ["-c", exchange]);
      Deno.chownSync(shared, mode === 0o755 ? NOBODY : 0, NOBODY);
      Deno.chmodSync(shared, mode);
      if (mode !== 0o1777) assertEquals((await asNobody("sh", ["-c", exchange])).code, 0);
      const path = `${shared}/one/web.pid`;
      const refusal = `process ${other.pid} (sleep) was not signalled`;
      expectResult(await sipid("kill", "--pid-file", path), { code: 1, stderr: refusal });
      assert(isRunning(other.pid));
    },
  );
}

testAsRoot(
  "a symlink of root's that another user has moved leads root to change no directory of root's",
  async () => {
    using dir = new TempDir();
    Deno.chmodSync(dir.path, 0o755);
    for (const name of ["victim", "app", "app/releases", "app/run"]) Deno.mkdirSync(dir.file(name));
    Deno.symlinkSync(dir.file("victim"), dir.file("app/link"));
    Deno.symlinkSync("releases", dir.file("app/current"));
    Deno.chownSync(dir.file("app"), NOBODY, NOBODY);
    const moved = await asNobody("sh", [
      "-c",
      `cd ${dir.file("app")}; mv run old; mv -T link run`,
    ]);
    assertEquals(moved.code, 0);

    const reason = `its symlink ${dir.file("app/run")} lies where other users could have put ` +
      `another one, and leads to ${dir.file("victim")}, which they cannot change; ` +
      "give its path without symlinks";
    for (const name of ["run/web.pid", "run/new/web.pid"]) {
      const args = ["claim", "--pid", String(Deno.pid), "--pid-file", dir.file(`app/${name}`)];
      expectResult(await sipid(...args), { code: 1, stderr: reason });
    }
    assertEquals([...Deno.readDirSync(dir.file("victim"))], []);
    const stale = dir.write("victim/web.pid", "2147483647");
    const kill = await sipid("kill", "--pid-file", dir.file("app/run/web.pid"));
    expectResult(kill, { code: 1, stderr: reason });
    assert(exists(stale));

    // Where it leads below their own directory, they could have changed that themselves.
    const path = dir.file("app/current/web.pid");
    expectResult(await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path), { code: 0 });
    assert(exists(dir.file("app/releases/web.pid")));
  },
);

testAsRoot(
  "what root claims by a symlink that others can move is not claimed where it leads",
  async () => {
    using dir = new TempDir();
    Deno.chmodSync(dir.path, 0o755);
    await using job = new Job();
    for (const name of ["theirs", "other"]) Deno.mkdirSync(dir.file(name));
    Deno.symlinkSync(dir.file("other"), dir.file("theirs/link"));
    Deno.chownSync(dir.file("theirs"), NOBODY, NOBODY);
    // As BOSH's run directories are; nobody is not in the group.
    Deno.chownSync(dir.file("other"), 0, ADM);
    Deno.chmodSync(dir.file("other"), 0o770);
    const move = ["-T", dir.file("theirs/link"), dir.file("theirs/run")];
    assertEquals((await asNobody("mv", move)).code, 0);
    const [path, other] = [dir.file("theirs/run/web.pid"), dir.file("other/web.pid")];
    const claim = (pid: number): string[] => ["claim", "--pid", String(pid), "--pid-file"];
    expectResult(await sipid(...claim(job.pid), path), {
      code: 0,
      stderr: "so kill will not signal it",
    });
    for (const args of [["kill", "--pid-file"], claim(Deno.pid)]) {
      const stderr = `it was claimed as ${path}, and the pidfile was copied or moved here`;
      expectResult(await sipid(...args, other), { code: 1, stderr });
    }
    assert(isRunning(job.pid));
    const status = await sipid("status", "--pid-file", path);
    expectResult(status, { code: 0, stdout: /^running/ });
  },
);

testAsRoot("a symlink with a target that is not UTF-8 leads nowhere else", async () => {
  using dir = new TempDir();
  const shared = dir.file("shared");
  Deno.mkdirSync(shared);
  Deno.chmodSync(shared, 0o775);
  await run("sh", ["-c", `cd ${shared}; ln -s "$(printf 'caf\\351')" link`]);
  const path = `${shared}/link/run/web.pid`;
  expectResult(await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path), {
    code: 1,
    stderr: "the target of a symlink on the way is not valid UTF-8",
  });
  assertEquals(Array.from(Deno.readDirSync(shared), ({ name }) => name), ["link"]);
});

/** A daemon of nobody's that becomes root's, as with sudo(8): nobody may start that, not signal it. */
const BECOMES_ROOTS = `
  dir=$1; chown nobody $dir; cp /usr/bin/setpriv $dir/suid; chmod 4755 $dir/suid
  setpriv --reuid=nobody --regid=nogroup --clear-groups setsid sh -c '
    trap "exec $1/suid --reuid=0 sleep 600" USR1
    echo $$ > $1/daemon.pid; echo "daemon $$"; echo ready
    while :; do sleep 0.01; done' sh $dir &`;
for (const group of [[], ["--group"]]) {
  testAsRoot(
    `${["pidproxy", ...group].join(" ")} does not signal a daemon that has become root's`,
    async () => {
      await using proxied = await Proxied.start(
        (path) => ["sh", "-c", BECOMES_ROOTS, "sh", path.slice(0, path.lastIndexOf("/"))],
        { flags: ["--wait", "5s", "--grace-period", "100ms", ...group] },
      );
      const daemon = await proxied.daemonPid();
      await proxied.followed();
      Deno.kill(daemon, "SIGUSR1");
      const isRoots = (): boolean =>
        /^Uid:\t0\t/m.test(readIfExists(`/proc/${daemon}/status`) ?? "");
      await until(isRoots, "it is root's");
      proxied.running.kill("SIGTERM");
      for (const signal of ["SIGTERM", "SIGKILL"]) {
        await proxied.logged(
          new RegExp(
            `is owned by nobody, but process ${daemon} \\(sh\\) is not; ${signal} was not sent;`,
          ),
        );
      }
      assert(isRunning(daemon));
      Deno.kill(daemon, "SIGKILL");
      await proxied.result();
    },
  );
}

testAsRoot(
  "a record planted in a sticky directory is replaced by root's, and refused by others",
  async () => {
    using dir = new TempDir();
    Deno.chmodSync(dir.path, 0o1777);
    await using job = new Job();
    const path = dir.file("web.pid");
    for (const name of [".web.pid.claim", ".web.pid.claim-new", ".web.pid.new"]) {
      await asNobody("sh", ["-c", `echo planted > ${dir.file(name)}`]);
    }
    // Another user cannot remove what nobody planted, and nobody's commands would believe it.
    const other = ["--reuid=65533", "--regid=65533", "--clear-groups", SIPID];
    const args = ["claim", "--pid", String(job.pid), "--pid-file", path];
    expectResult(await run("setpriv", [...other, ...args]), {
      code: 1,
      stderr: `${path}: the record of an earlier claim cannot be replaced; remove `,
    });
    assertEquals(readIfExists(dir.file(".web.pid.claim")), "planted\n");
    assertEquals(exists(path), false);
    expectResult(await sipid(...args), { code: 0, stderr: "" });
    assertMatch(readIfExists(dir.file(".web.pid.claim"))!, new RegExp(`^${job.pid} \\d+ `));
    assertEquals(Deno.statSync(dir.file(".web.pid.claim")).uid, 0);
  },
);

testAsRoot("claim refuses to leave the record of an earlier claim, which would count", async () => {
  using dir = new TempDir();
  const path = dir.write("web.pid", "");
  Deno.chownSync(path, 0, NOBODY);
  Deno.chmodSync(path, 0o664);
  const earlier = new Job();
  expectResult(await sipid("claim", "--pid", String(earlier.pid), "--pid-file", path), { code: 0 });
  await earlier[Symbol.asyncDispose]();
  await using job = new Job(`exec setpriv --reuid=${NOBODY} --clear-groups sleep 600`);
  const record = dir.file(".web.pid.claim");
  const before = Deno.readTextFileSync(record);
  const args = ["claim", "--pid", String(job.pid), "--pid-file", path];
  expectResult(await asNobody(SIPID, args), {
    code: 1,
    stderr: `sipid claim: ${path}: the record of an earlier claim cannot be replaced; ` +
      `remove ${record}\n`,
  });
  assertEquals([Deno.readTextFileSync(path), Deno.readTextFileSync(record)], ["", before]);
  Deno.removeSync(record);
  expectResult(await asNobody(SIPID, args), { code: 0, stderr: "cannot write the claim record " });
});

testAsRoot("symlinks in a directory of another user lead to their own process", async () => {
  using dir = new TempDir();
  await using job = new Job(`exec setpriv --reuid=${NOBODY} --clear-groups sleep 600`);
  await until(() => readIfExists(`/proc/${job.pid}/comm`) === "sleep\n", "the job is nobody's");
  Deno.mkdirSync(dir.file("app/releases/1"), { recursive: true });
  Deno.symlinkSync("releases/1", dir.file("app/current"));
  Deno.symlinkSync(dir.file("app/releases"), dir.file("app/all"));
  Deno.symlinkSync(".././releases/../current", dir.file("app/releases/newest"));
  dir.write("app/releases/1/web.pid", String(job.pid));
  assertEquals((await run("chown", ["-hR", "nobody", dir.file("app")])).code, 0);
  for (const way of ["current", "all/1", "releases/newest", "releases/../current", "all/newest"]) {
    const path = dir.file(`app/${way}/web.pid`);
    expectResult(await sipid("status", "--pid-file", path), {
      code: 0,
      stdout: /^running/,
      stderr: "",
    });
  }
});

testAsRoot("claim writes into no file that has another name", async () => {
  using dir = new TempDir();
  const path = dir.file("theirs/web.pid");
  // Their own directory at the name of the temporary file, so that it could only write in place.
  Deno.mkdirSync(dir.file("theirs/.web.pid.new/kept"), { recursive: true });
  Deno.linkSync(dir.write("roots", ""), path);
  Deno.chownSync(dir.file("theirs"), NOBODY, NOBODY);
  const args = ["claim", "--pid", String(Deno.pid), "--pid-file", path];
  const stderr = `${path}: has a hard link by another name; remove that`;
  expectResult(await sipid(...args), { code: 1, stderr });
  assertEquals(Deno.readTextFileSync(dir.file("roots")), "");
});

testAsRoot("claim and kill change nothing through a symlink of another user", async () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("etc"));
  Deno.writeTextFileSync(dir.file("etc/web.pid"), "2147483647");
  Deno.symlinkSync(dir.file("etc"), dir.file("run"));
  const chown = new Deno.Command("chown", { args: ["-h", "65534", dir.file("run")] });
  assertEquals((await chown.output()).code, 0);
  for (const path of ["run/web.pid", "run/x/y/web.pid"].map((name) => dir.file(name))) {
    const args = ["claim", "--pid", String(Deno.pid), "--pid-file", path];
    const stderr = `${path}: its symlink ${dir.file("run")} is owned by nobody, who could lead it`;
    expectResult(await sipid(...args), { code: 1, stderr });
  }
  expectResult(await sipid("kill", "--pid-file", dir.file("run/web.pid")), {
    code: 1,
    stderr: "who could lead it elsewhere; use a path without it",
  });
  assertEquals([...Deno.readDirSync(dir.file("etc"))].map(({ name }) => name), ["web.pid"]);
  assertEquals(Deno.readTextFileSync(dir.file("etc/web.pid")), "2147483647");
});
