/** Full, read-only and exhausted file systems, and recycled PIDs, in separate namespaces. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { inNamespace, inPidNamespace, onTmpfs } from "../namespaces.ts";
import { traced } from "../strace.ts";
import {
  AS_NOBODY,
  exists,
  expectResult,
  fixture,
  isRunning,
  Job,
  SIPID,
  sipid,
  TempDir,
  until,
} from "../support.ts";

Deno.test("claim on a full file system reports it and leaves no new file", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "size=8k",
    `cat /dev/zero > filler 2>&- || :
     ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"; ls`,
  );
  assertEquals(stdout, "exit 1\nfiller\n");
  assertStringIncludes(stderr, "cannot write web.pid: no space left on device; free some space");
});

Deno.test("claim on a full file system keeps the old content", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "size=8k",
    `printf 2147483647 > web.pid; cat /dev/zero > filler 2>&- || :
     ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"; cat web.pid; echo; ls -A`,
  );
  assertEquals(stdout, "exit 1\n2147483647\nfiller\nweb.pid\n");
  assertStringIncludes(stderr, "cannot write web.pid: no space left on device; free some space");
});

Deno.test("claim on a file system without free inodes reports it", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "nr_inodes=2",
    `: > filler; ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"; ls`,
  );
  assertEquals(stdout, "exit 1\nfiller\n");
  assertStringIncludes(stderr, "cannot open web.pid: no space left on device");
});

Deno.test("claim and kill on a read-only file system report it and keep the file", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "size=8k",
    `printf 2147483647 > web.pid; mount -o remount,ro ${dir.path}
     ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"
     ${SIPID} claim --pid 17 --pid-file new/web.pid || echo "exit $?"
     ${SIPID} kill --pid-file web.pid || echo "exit $?"
     cat web.pid`,
  );
  assertEquals(stdout, "exit 1\nexit 1\nexit 1\n2147483647");
  assertStringIncludes(
    stderr,
    "sipid claim: cannot remove web.pid: read-only file system; use a path on a writable file system",
  );
  assertStringIncludes(stderr, "cannot create directory new: read-only file system");
});

Deno.test({
  name: "a pidfile that a power failure leaves on ext4 has its claim record",
  ignore: Deno.uid() !== 0,
  async fn() {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `truncate -s 64M disk; mkfs.ext4 -q disk; mkdir run left; mount -o loop,commit=1 disk run
       spawn; sipid claim --pid $pid --pid-file run/web.pid
       # A copy is what would be left; once a second the kernel commits what it has in memory.
       until cp --sparse=always disk copy && mount -o loop copy left && [ -s left/web.pid ]; do
         umount left || :; sleep 0.1
       done
       [ "$(cat left/web.pid)" = $pid ]; cmp run/.web.pid.claim left/.web.pid.claim >&2; echo same`,
    );
    assertEquals(stdout, "same\n", stderr);
  },
});

Deno.test("kill locks a pidfile that it has opened for writing, as NFS asks for", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const { result, log } = await traced(dir, ["-e", "trace=flock,openat"], [
    "kill",
    "--pid-file",
    path,
  ]);
  expectResult(result, { code: 0, stderr: `removed ${path}` });
  // The last opening before the lock.
  assertMatch(log, /web\.pid", O_RDWR(?![^]*web\.pid", [^]*flock)[^]*flock\(.* = 0\n/);
  assertEquals(exists(path), false);
});

Deno.test("kill removes a pidfile that it cannot empty first", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const inject = ["-e", "trace=ftruncate", "-e", "inject=ftruncate:error=EROFS:when=1"];
  const { result, log } = await traced(dir, inject, ["kill", "--pid-file", path]);
  assertMatch(log, /INJECTED/);
  expectResult(result, { code: 0, stderr: `removed ${path}` });
  assertEquals(exists(path), false);
});

Deno.test("kill never sends SIGKILL to a PID that is recycled during the grace period", async () => {
  using dir = new TempDir();
  // The job ignores SIGTERM. While kill waits, the job is killed and its PID given to another
  // process; in a PID namespace, the next PID can be chosen.
  const script = `
    cd ${dir.path}
    sh -c 'trap "" TERM; exec sleep 600' & job=$!
    until grep -q sleep /proc/$job/comm; do :; done
    printf %s $job > web.pid
    ${SIPID} kill --pid-file web.pid --grace-period 2s 2>log & killer=$!
    until grep -q SIGTERM log; do :; done
    kill -STOP $killer # so that the change falls between two of its checks
    kill -9 $job; wait $job || :
    until [ "\${unrelated:-}" = $job ]; do
      echo $((job - 1)) > /proc/sys/kernel/ns_last_pid
      sleep 600 & unrelated=$!
      [ $unrelated = $job ] || kill -9 $unrelated
    done
    kill -CONT $killer
    wait $killer; echo "kill: exit $?"
    kill -0 $unrelated && echo 'the unrelated process is running'
    ls; cat log >&2; kill -9 $unrelated`;
  const { stdout, stderr } = await inNamespace(script, "--pid", "--fork", "--mount-proc");
  assertEquals(stdout, "kill: exit 0\nthe unrelated process is running\nlog\n", stderr);
  assertMatch(stderr, /sent SIGTERM[^]*exited after[^]*removed web\.pid/);
});

for (const errno of ["EMFILE", "ENFILE", "ENOMEM", "EIO"]) {
  Deno.test(`kill signals nothing where ${errno} keeps the claim record from being read`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.file("web.pid");
    await sipid("claim", "--pid", String(job.pid), "--pid-file", path);
    const only = ["-P", dir.file(".web.pid.claim"), "-e", `inject=openat:error=${errno}`];
    const { result } = await traced(dir, only, ["kill", "--pid-file", path]);
    expectResult(result, { code: 1, stderr: `cannot open ${dir.file(".web.pid.claim")}: ` });
    assert(isRunning(job.pid));
    assertEquals(Deno.readTextFileSync(path), String(job.pid));
  });
}

Deno.test("claim makes a record where a file's time cannot be set", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const args = ["claim", "--pid", String(job.pid), "--pid-file", dir.file("web.pid")];
  const inject = ["-e", "trace=utimensat", "-e", "inject=utimensat:error=ENOSYS"];
  const { result, log } = await traced(dir, inject, args);
  expectResult(result, { code: 0, stderr: "" });
  assertMatch(log, /utimensat\(.*INJECTED/);
  assertMatch(Deno.readTextFileSync(dir.file(".web.pid.claim")), new RegExp(`^${job.pid} `));
});

Deno.test("kill works if /proc hides the processes of other users", async () => {
  using dir = new TempDir();
  const nobody = AS_NOBODY.join(" ");
  const { stdout, stderr } = await inNamespace(
    `mount -o remount,hidepid=2 /proc; cd ${dir.path}; chmod 777 .
     sleep 600 & unrelated=$!
     ${nobody} sleep 600 & own=$!
     printf %s $unrelated > root.pid; printf %s $own > own.pid; chmod 666 *.pid
     ${nobody} ${SIPID} claim --pid 17 --pid-file root.pid || echo "exit $?"
     ${nobody} ${SIPID} kill --pid-file root.pid || echo "exit $?"
     ${nobody} ${SIPID} kill --pid-file own.pid; kill -0 $own 2>&- || echo 'its own has exited'
     kill -0 $unrelated && echo 'the unrelated process is running'; kill -9 $unrelated`,
    "--pid",
    "--fork",
    "--mount-proc",
  );
  assertEquals(
    stdout,
    "exit 1\nexit 1\nits own has exited\nthe unrelated process is running\n",
    stderr,
  );
  assertMatch(stderr, /already exists: its program is hidden/);
  assertMatch(stderr, /root\.pid: process \d+ may not be .*: when it started is hidden; nothing/);
});

Deno.test("kill signals nothing if /proc belongs to another PID namespace", async () => {
  using dir = new TempDir();
  // Without --mount-proc, /proc shows the outer namespace, where the same PIDs name other processes.
  const { stdout, stderr } = await inNamespace(
    `cd ${dir.path}; sleep 600 & job=$!
     printf %s $job > web.pid
     ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"
     ${SIPID} kill --pid-file web.pid || echo "exit $?"
     kill -0 $job && echo running; kill -9 $job; ls`,
    "--pid",
    "--fork",
  );
  assertEquals(stdout, "exit 1\nexit 1\nrunning\nweb.pid\n", stderr);
});

for (
  const [errno, words] of [
    [
      "ENFILE",
      "too many open files in system; raise the system's limit on open files (fs.file-max)",
    ],
    ["ENOMEM", "cannot allocate memory; free some memory and retry"],
  ] as const
) {
  Deno.test(`every command says what to do where ${errno} keeps a process from being read`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.write("web.pid", String(job.pid));
    const [fresh, daemon] = [dir.file("new.pid"), dir.file("daemon.pid")];
    const fact = `cannot read /proc/${job.pid}/stat: ${words}\n`;
    const inject = ["-P", `/proc/${job.pid}/stat`, "-e", `inject=openat:error=${errno}`];
    const commands = [
      ["claim", "--pid", "17", "--pid-file", path],
      ["claim", "--pid", String(job.pid), "--pid-file", fresh],
      ["kill", "--pid-file", path],
      ["kill", "--group", "--pid-file", path],
      ["signal", "--signal", "TERM", "--pid-file", path],
      ["wait-until-gone", "--pid-file", path],
      ["wait-until-healthy", "--pid-file", path, "--", "true"],
    ];
    for (const args of commands) {
      const { result } = await traced(dir, inject, args);
      expectResult(result, { code: 1, stdout: "", stderr: `sipid ${args[0]}: ${fact}` });
    }
    const { result: status } = await traced(dir, inject, ["status", "--pid-file", path]);
    expectResult(status, { code: 4, stdout: `unknown: ${fact}` });
    const script = `echo ${job.pid} >${daemon}; kill -HUP $PPID; exec sleep 1`;
    const { result } = await traced(dir, inject, ["pidproxy", daemon, "sh", "-c", script]);
    expectResult(result, { code: 0, stderr: `keeping SIGHUP for the daemon: ${fact}` });
    assertEquals(exists(fresh), false);
    assertEquals(Deno.readTextFileSync(path), String(job.pid));
    assertEquals(isRunning(job.pid), true);
  });

  Deno.test(`pidproxy names ${errno} as the reason for not starting its command`, async () => {
    using dir = new TempDir();
    const files = ["/proc/self/stat", "/proc/self/environ"].flatMap((path) => ["-P", path]);
    const inject = [...files, "-e", `inject=openat:error=${errno}`];
    const started = dir.file("started");
    const { result } = await traced(dir, inject, ["pidproxy", dir.file("d.pid"), "touch", started]);
    expectResult(result, { code: 126, stderr: `cannot run touch: ${words}\n` });
    assertEquals(exists(started), false);
  });

  Deno.test(`kill signals nothing where ${errno} keeps its descriptors from being listed`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.write("web.pid", String(job.pid));
    const inject = ["-P", "/proc/self/fd", "-e", `inject=openat:error=${errno}`];
    const { result } = await traced(dir, inject, ["kill", "--pid-file", path]);
    expectResult(result, { code: 1, stderr: `cannot read /proc/self/fd: ${words}\n` });
    assertEquals(isRunning(job.pid), true);
  });
}

Deno.test("a process that calls exec(2) in another thread than its first is running", async () => {
  using dir = new TempDir();
  await using job = await fixture("first_thread_exits");
  await until(() => !isRunning(job.pid), "its first thread shows as a zombie");
  const path = dir.write("web.pid", String(job.pid));
  const stat = `/proc/${job.pid}/stat`;
  const reads = ["-P", stat, "-e", "trace=read"];
  for (
    const [args, expected] of [
      [["status"], { code: 0, stderr: "" }],
      [["claim", "--pid", "17"], {
        code: 1,
        stderr: `process ${job.pid} (${path}) already exists`,
      }],
      [["wait-until-gone", "--timeout", "0s"], { code: 1, stderr: "still running" }],
      [["kill", "--schedule", "CONT/0s"], { code: 1, stderr: "sent SIGCONT" }],
    ] as const
  ) {
    const command = [...args, "--pid-file", path];
    const { log } = await traced(dir, reads, command);
    let begin = 0;
    for (const [at, [, count]] of [...log.matchAll(/ read\(.* = (\d+)$/gm)].entries()) {
      const end = begin + Number(count);
      // While the other thread takes the first one's place, that shows as a zombie without threads.
      const [text, threads] = /^.*\) (?:\S+ ){17}(\d+)/.exec(Deno.readTextFileSync(stat))!;
      const shown = text.slice(begin, -threads!.length) + "0".repeat(threads!.length);
      if (begin < text.length && text.length <= end) {
        const hex = Array.from(shown, (it) => it.charCodeAt(0).toString(16)).join("");
        const inject = ["-e", `inject=read:poke_exit=@arg2=${hex}:when=${at + 1}`];
        const { result, log } = await traced(dir, [...reads, ...inject], command);
        assertMatch(log, / read\(.* = \d+ \(INJECTED: args\)$/m);
        expectResult(result, expected);
      }
      begin = count === "0" ? 0 : end; // each time the file is read to its end
    }
  }
});
