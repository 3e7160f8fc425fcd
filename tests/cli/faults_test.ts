/** Full, read-only and exhausted file systems, recycled PIDs: in namespaces of the test's own. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { AS_NOBODY, type Result, run, SIPID, TempDir } from "../support.ts";

/** Runs a shell script in a mount namespace of its own, where it may mount what it likes. */
function inNamespace(script: string, ...unshare: string[]): Promise<Result> {
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  return run("unshare", ["--mount", ...user, ...unshare, "sh", "-euc", script]);
}

/** The same, with a tmpfs mounted at `dir`. */
function onTmpfs(dir: TempDir, options: string, script: string): Promise<Result> {
  return inNamespace(`mount -t tmpfs -o ${options} tmpfs ${dir.path}; cd ${dir.path}; ${script}`);
}

Deno.test("claim on a full file system says so and leaves no new file", async () => {
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

Deno.test("claim without a free inode says so", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await onTmpfs(
    dir,
    "nr_inodes=2",
    `: > filler; ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"; ls`,
  );
  assertEquals(stdout, "exit 1\nfiller\n");
  assertStringIncludes(stderr, "cannot open web.pid: no space left on device");
});

Deno.test("claim and kill on a read-only file system say so and keep the file", async () => {
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
    "cannot open web.pid: read-only file system; use a path on a writable file system",
  );
  assertStringIncludes(stderr, "cannot create the directory new: read-only file system");
});

Deno.test("a PID that becomes a stranger's during the grace period is never sent SIGKILL", async () => {
  using dir = new TempDir();
  // The job ignores SIGTERM. While kill waits, the job is ended and its number given to another
  // process, in a PID namespace, where the next number can be chosen.
  const script = `
    cd ${dir.path}
    sh -c 'trap "" TERM; exec sleep 600' & job=$!
    until grep -q sleep /proc/$job/comm; do :; done
    printf %s $job > web.pid
    ${SIPID} kill --pid-file web.pid --grace-period 2s 2>log & killer=$!
    until grep -q SIGTERM log; do :; done
    kill -STOP $killer # so that it sleeps through the change, however quick it is
    kill -9 $job; wait $job || :
    until [ "\${stranger:-}" = $job ]; do
      echo $((job - 1)) > /proc/sys/kernel/ns_last_pid
      sleep 600 & stranger=$!
      [ $stranger = $job ] || kill -9 $stranger
    done
    kill -CONT $killer
    wait $killer; echo "kill: exit $?"
    kill -0 $stranger && echo 'the stranger lives'
    ls; cat log >&2; kill -9 $stranger`;
  const { stdout, stderr } = await inNamespace(script, "--pid", "--fork", "--mount-proc");
  assertEquals(stdout, "kill: exit 0\nthe stranger lives\nlog\n", stderr);
  assertMatch(stderr, /sent SIGTERM[^]*exited after[^]*removed web\.pid/);
});

Deno.test("kill works where /proc hides the processes of others", async () => {
  using dir = new TempDir();
  const nobody = AS_NOBODY.join(" ");
  const { stdout, stderr } = await inNamespace(
    `mount -o remount,hidepid=2 /proc; cd ${dir.path}; chmod 777 .
     sleep 600 & stranger=$!
     ${nobody} sleep 600 & own=$!
     printf %s $stranger > root.pid; printf %s $own > own.pid; chmod 666 *.pid
     ${nobody} ${SIPID} claim --pid 17 --pid-file root.pid || echo "exit $?"
     ${nobody} ${SIPID} kill --pid-file root.pid || echo "exit $?"
     ${nobody} ${SIPID} kill --pid-file own.pid; kill -0 $own 2>&- || echo 'its own is gone'
     kill -0 $stranger && echo 'the stranger lives'; kill -9 $stranger`,
    "--pid",
    "--fork",
    "--mount-proc",
  );
  assertEquals(stdout, "exit 1\nexit 1\nits own is gone\nthe stranger lives\n", stderr);
  assertMatch(stderr, /already exists: its program is hidden/);
  assertMatch(stderr, /no permission to send SIGTERM to process \d+;/);
});

Deno.test("kill reaches the right process where /proc is another namespace's", async () => {
  using dir = new TempDir();
  // Without --mount-proc, /proc shows the outer namespace, whose numbers mean other processes.
  const { stdout, stderr } = await inNamespace(
    `cd ${dir.path}; sleep 600 & job=$!
     printf %s $job > web.pid
     ${SIPID} claim --pid 17 --pid-file web.pid || echo "exit $?"
     ${SIPID} kill --pid-file web.pid; kill -0 $job 2>&- || echo gone; ls`,
    "--pid",
    "--fork",
  );
  assertEquals(stdout, "exit 1\ngone\n", stderr);
});
