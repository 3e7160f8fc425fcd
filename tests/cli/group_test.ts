/** `--group` of kill, signal and wait-until-gone, on real process groups. */
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { inPidNamespace } from "../namespaces.ts";
import {
  asNobody,
  exists,
  expectResult,
  isRunning,
  Job,
  NOBODY,
  readIfExists,
  type Result,
  ROOT,
  run,
  Running,
  SIPID,
  sipid,
  SLACK_MS,
  TempDir,
  until,
} from "../support.ts";

function kill(path: string, ...flags: string[]): Promise<Result> {
  return sipid("kill", "--group", "--pid-file", path, ...flags);
}

/** Starts a shell that leads a group. */
function leader(script: string): Promise<Running> {
  return Running.start("setsid", ["sh", "-c", script]);
}

async function pidIn(job: Running, name: string): Promise<number> {
  return Number((await job.line(new RegExp(`${name} (\\d+)`)))[1]);
}

/** The group of a process, by /proc without the code under test. */
function groupOf(pid: number): number | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return undefined;
  }
}

/** The running processes of a group. */
function runningIn(group: number): number[] {
  return Array.from(Deno.readDirSync("/proc"), ({ name }) => Number(name))
    .filter((pid) => pid > 0 && groupOf(pid) === group && isRunning(pid));
}

/** A child that ignores SIGTERM, says so, and prints `NAME PID` first. */
const DEAF =
  `sh -c 'trap "" TERM; echo deaf is ready; while :; do sleep 0.05; done' & echo deaf $!`;

Deno.test("kill --group stops master and workers, and returns when the last one has exited", async () => {
  using dir = new TempDir();
  // Like unicorn: the master exits at once and leaves its workers to finish.
  const worker =
    `trap "sleep 0.7; exit" USR1; echo working; while :; do sleep 0.05 & wait $!; done`;
  await using master = await leader(
    `sh -c '${worker}' & echo one $!; sh -c '${worker}' & echo two $!
     trap exit USR1; echo ready; while :; do sleep 0.05; done`,
  );
  await master.line(/working[^]*working/);
  const workers = [await pidIn(master, "one"), await pidIn(master, "two")];
  const path = dir.write("web.pid", String(master.pid));
  const { ms } = expectResult(await kill(path, "--schedule", "USR1/30s/KILL/5s"), {
    code: 0,
    stderr: [
      `sent SIGUSR1 to process group ${master.pid} (sh)`,
      /process group \d+ \(sh\) exited after/,
      `removed ${path}`,
    ],
  });
  assertGreaterOrEqual(ms, 700);
  assertLess(ms, 700 + SLACK_MS);
  assertEquals(workers.filter(isRunning), []);
  assert(!exists(path));
});

Deno.test("kill --group kills a member that ignores SIGTERM after its leader has exited", async () => {
  using dir = new TempDir();
  await using master = await leader(`${DEAF}; trap exit TERM; echo ready; wait`);
  await master.line(/deaf is ready/);
  const deaf = await pidIn(master, "deaf");
  const path = dir.write("web.pid", String(master.pid));
  expectResult(await kill(path, "--grace-period", "300ms"), {
    code: 0,
    stderr: /SIGTERM[^]*is still running after 300ms[^]*SIGKILL[^]*was killed/,
  });
  assert(!isRunning(deaf) && !exists(path));
});

Deno.test("kill --group reports what survives its schedule, by PID and name", async () => {
  using dir = new TempDir();
  await using master = await leader(`${DEAF}; trap exit TERM; echo ready; wait`);
  await master.line(/deaf is ready/);
  const deaf = await pidIn(master, "deaf");
  const path = dir.write("web.pid", String(master.pid));
  try {
    expectResult(await kill(path, "--schedule", "TERM/300ms"), {
      code: 1,
      stderr: new RegExp(
        `process group ${master.pid} \\(sh\\) is still running after 300ms: ` +
          `process ${deaf} \\(sh\\).*; ${path} is kept`,
      ),
    });
    assert(isRunning(deaf) && exists(path));
    // The master has exited: the number of the group may be another's by now.
    expectResult(await kill(path), {
      code: 1,
      stderr: `process ${master.pid} is not running, but its process group is, or a later one`,
    });
    assert(isRunning(deaf) && exists(path));
    // It is waited for all the same, since nothing is sent.
    expectResult(
      await sipid("wait-until-gone", "--group", "--pid-file", path, "--timeout", "200ms"),
      { code: 1, stderr: `process group ${master.pid} is still running after 200ms: process ` },
    );
  } finally {
    // All at once: one may exit with another.
    await run("kill", ["-KILL", "--", `-${master.pid}`]);
  }
  expectResult(await sipid("wait-until-gone", "--group", "--pid-file", path), { code: 0 });
  expectResult(await kill(path), { code: 0, stderr: "removed the stale pidfile" });
});

Deno.test("kill --group leaves a process alone that has left the group", async () => {
  using dir = new TempDir();
  await using master = await leader("setsid sleep 600 & echo left $!; echo ready; wait");
  const left = await pidIn(master, "left");
  await until(() => groupOf(left) === left, "it has left the group");
  try {
    const path = dir.write("web.pid", String(master.pid));
    const { ms } = expectResult(await kill(path), { code: 0 });
    assertLess(ms, SLACK_MS);
    assert(isRunning(left));
  } finally {
    Deno.kill(left, "SIGKILL");
  }
});

Deno.test("kill --group does not wait for a zombie", async () => {
  using dir = new TempDir();
  // The parent of the zombie leaves the group and never reaps it.
  const parent = "sleep 600 & echo zombie $!; exec setsid sleep 600";
  await using master = await leader(`sh -c '${parent}' & echo parent $!; echo ready; wait`);
  const [member, left] = [await pidIn(master, "zombie"), await pidIn(master, "parent")];
  await until(() => groupOf(left) === left, "the parent has left the group");
  try {
    const path = dir.write("web.pid", String(master.pid));
    const { ms } = expectResult(await kill(path), { code: 0 });
    assertLess(ms, SLACK_MS);
    assertEquals([groupOf(member), isRunning(member)], [master.pid, false], "it is a zombie");
    assert(!exists(path));
  } finally {
    Deno.kill(left, "SIGKILL");
  }
});

for (const leaderOfStorm of ["stays", "exits"]) {
  Deno.test(`kill --group ends a fork storm whose leader ${leaderOfStorm}, and nothing else`, async () => {
    using dir = new TempDir();
    for (let round = 0; round < 4; round++) {
      await using outside = new Job();
      const over = dir.file("over");
      // Forty thousand generations take two minutes; the storm leaves kill little of a busy machine.
      const script = [`${ROOT}tests/fixtures/fork_storm.pl`, leaderOfStorm, "40000", over];
      await using storm = await Running.start("setsid", ["perl", ...script]);
      try {
        const path = dir.write("web.pid", String(storm.pid));
        expectResult(await kill(path, "--grace-period", `${50 * round}ms`), {
          code: 0,
          stderr: `process group ${storm.pid} (perl) was killed`,
        });
        assertEquals(runningIn(storm.pid), []);
        assert(isRunning(outside.pid) && !exists(path));
        assert(!exists(over), "it was killed while it forked");
      } finally {
        if (runningIn(storm.pid).length > 0) Deno.kill(-storm.pid, "SIGKILL");
      }
    }
  });
}

Deno.test("kill --group does not signal its own group, but the process alone", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  // It handles TERM, so that it can report how the kill went.
  await using master = await leader(
    `trap 'echo TERM' TERM; echo $$ >${path}; sleep 600 & echo sibling $!; echo ready
     ${SIPID} kill --group --pid-file ${path} --schedule TERM/300ms 2>&1; echo status $?; wait`,
  );
  await master.line(/status 1/);
  const sibling = await pidIn(master, "sibling");
  const { seen } = master;
  assert(
    seen.includes("leads the process group that sipid itself is in; only the process itself"),
    seen,
  );
  assert(seen.includes(`sent SIGTERM to process ${master.pid} (sh)`), seen);
  assert(isRunning(sibling), "the rest of the group was not signalled");
  Deno.kill(sibling, "SIGKILL");
});

Deno.test("kill --group of a process that leads no group stops the process alone, and says so", async () => {
  using dir = new TempDir();
  await using master = await leader("sleep 600 & echo member $!; echo ready; wait");
  const member = await pidIn(master, "member");
  const path = dir.write("web.pid", String(member));
  expectResult(await kill(path), {
    code: 0,
    stderr: [
      `warning: process ${member} (sleep) leads no process group; only the process itself is signalled`,
      `sent SIGTERM to process ${member} (sleep)`,
    ],
  });
  assert(!isRunning(member));
});

Deno.test("--group refuses a group with a process that the pidfile's owner may not signal", async () => {
  if (Deno.uid() !== 0) return; // others can only signal what is theirs anyway
  using dir = new TempDir();
  Deno.chownSync(dir.path, NOBODY, NOBODY);
  // nobody leads the group; root's own process is in it.
  const script = `use POSIX; $| = 1;
    $leader = fork // die;
    if (!$leader) { setpgid(0, 0); POSIX::setgid(${NOBODY}); POSIX::setuid(${NOBODY}); exec "sleep", 600 }
    setpgid($leader, $leader);
    $member = fork // die;
    if (!$member) { setpgid(0, $leader) or die $!; exec "sleep", 600 }
    setpgid($member, $leader);
    print "leader $leader\\nmember $member\\nready\\n";
    wait; wait`;
  await using parent = await Running.start("perl", ["-e", script]);
  const [first, member] = [await pidIn(parent, "leader"), await pidIn(parent, "member")];
  try {
    await until(() => groupOf(member) === first, "it is in the group");
    const uid = (): boolean => /^Uid:\s65534/m.test(Deno.readTextFileSync(`/proc/${first}/status`));
    await until(uid, "the leader belongs to nobody");
    const path = dir.write("web.pid", String(first));
    Deno.chownSync(path, NOBODY, NOBODY);
    const refusal = {
      code: 1,
      stderr:
        `is owned by nobody, but process ${member} (sleep) is not; process ${member} (sleep) ` +
        "was not signalled",
    };
    expectResult(await kill(path), refusal);
    expectResult(await kill(path, "--dry-run"), refusal);
    const signal = ["signal", "--group", "--signal", "TERM", "--pid-file", path];
    expectResult(await sipid(...signal), refusal);
    assert(isRunning(first) && isRunning(member));
    // As nobody: the kernel signals the one of the two that it may.
    const args = ["kill", "--group", "--pid-file", path, "--schedule", "CONT/200ms"];
    expectResult(await asNobody(SIPID, args), {
      code: 1,
      stderr: `${first} (sleep) is still running after 200ms; no permission to signal process ` +
        `${member} (sleep); ${path} is kept, so that no second instance starts; run this as root\n`,
    });
    // Without --group, the leader is nobody's own.
    expectResult(await sipid("kill", "--pid-file", path), { code: 0 });
    assert(isRunning(member));
  } finally {
    for (const pid of [first, member]) if (isRunning(pid)) Deno.kill(pid, "SIGKILL");
  }
});

Deno.test("signal --group reaches every process of the group", async () => {
  using dir = new TempDir();
  const member = (name: string): string =>
    `sh -c 'trap "echo ${name} got it" USR1; echo ${name} is up; while :; do sleep 0.05; done' &`;
  await using master = await leader(
    `${member("one")} ${member("two")} trap "echo master got it" USR1
     echo ready; while :; do sleep 0.05; done`,
  );
  await master.line(/one is up/);
  await master.line(/two is up/);
  const path = dir.write("web.pid", String(master.pid));
  expectResult(await sipid("signal", "--group", "--pid-file", path, "--signal", "USR1"), {
    code: 0,
    stderr: `sent SIGUSR1 to process group ${master.pid} (sh)`,
  });
  for (const name of ["one", "two", "master"]) await master.line(new RegExp(`${name} got it`));
  // The sleeps of the loops were ended by it, the shells were not.
  expectResult(await kill(path, "--signal", "KILL"), { code: 0 });
  assertEquals(runningIn(master.pid), []);
});

Deno.test("wait-until-gone --group waits for the workers after the master has exited", async () => {
  using dir = new TempDir();
  const worker =
    `trap "sleep 0.7; exit" USR1; echo working; while :; do sleep 0.05 & wait $!; done`;
  await using master = await leader(
    `sh -c '${worker}' & echo worker $!; trap exit USR1; echo ready; while :; do sleep 0.05; done`,
  );
  await master.line(/working/);
  const pid = await pidIn(master, "worker");
  const path = dir.write("web.pid", String(master.pid));
  // The drain of a service whose master exits at once.
  const flags = ["--pid-file", path, "--group"];
  expectResult(await sipid("signal", "--signal", "USR1", ...flags), { code: 0 });
  await master.status;
  const { ms } = expectResult(await sipid("wait-until-gone", ...flags), {
    code: 0,
    stderr: `process group ${master.pid} has exited`,
  });
  assert(!isRunning(pid));
  assertLess(ms, 700 + SLACK_MS);
  // Nothing was changed.
  assert(exists(path));
  expectResult(await run(SIPID, ["status", "--pid-file", path]), { code: 1 });
});

Deno.test("kill --group knows that a group in a restarted container is not that of the last one's claim", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  // In both, the service is process 500.
  const spawn = "echo 499 > /proc/sys/kernel/ns_last_pid; setsid";
  const first = `${spawn} sleep 600 & until grep -qs sleep /proc/500/comm; do :; done
    ${SIPID} claim --pid 500 --pid-file ${path}`;
  expectResult(await inPidNamespace(dir, first), { code: 0, stderr: "" });
  const second = `${spawn} sh -c 'sleep 600 & exec true' & wait $!
    ${SIPID} kill --group --pid-file ${path}; echo exit $?
    ${SIPID} claim --pid 500 --pid-file ${path}; ${SIPID} kill --group --pid-file ${path}`;
  expectResult(await inPidNamespace(dir, second), {
    code: 1,
    stdout: "exit 0\n",
    stderr: [
      `${path}: process 500 is not running; removed the stale pidfile`,
      // Whereas its own might be.
      "process 500 is not running, but its process group is, or a later one with that number",
    ],
  });
});

/** A group whose leader has exited, with the number in a pidfile without a claim record. */
const LEADERLESS: Record<string, [modified: string, exec: string, isLater: boolean]> = {
  "from before a restart of the container, if nothing in it runs the program": [
    "1 hour ago",
    "--exec /bin/true",
    true,
  ],
  "from before a restart of the container, if one of it runs the program": [
    "1 hour ago",
    "--exec /bin/sleep",
    false,
  ],
  "from before a restart of the container, without --exec": ["1 hour ago", "", false],
  "that was written since": ["now", "--exec /bin/true", false],
};

for (const [what, [modified, exec, isLater]] of Object.entries(LEADERLESS)) {
  const takes = isLater ? "takes a group for a later one" : "does not take a group for a later one";
  Deno.test(`kill --group ${takes} than that of a daemon's pidfile ${what}`, async () => {
    using dir = new TempDir();
    const path = dir.file("web.pid");
    const command = (name: string) => `${SIPID} ${name} --group --pid-file ${path} ${exec}`;
    // As a daemon does that puts itself in the background with two forks.
    const result = await inPidNamespace(
      dir,
      `
      echo 499 > /proc/sys/kernel/ns_last_pid
      setsid sh -c 'sleep 600 & exec true' & wait $!
      until grep -qs sleep /proc/501/comm; do sleep 0.01; done
      printf 500 > ${path}; touch -d '${modified}' ${path}
      status=0; ${command("wait-until-gone --timeout 0s")} || status=$?; echo gone $status
      status=0; ${command("kill")} || status=$?; echo kill $status
      is_running 501 && echo running`,
    );
    expectResult(result, {
      code: 0,
      stdout: isLater ? "gone 0\nkill 0\nrunning\n" : "gone 1\nkill 1\nrunning\n",
      stderr: isLater
        ? `${path}: process 500 is not running; removed the stale pidfile`
        : "process 501 (sleep); nothing was signalled; if they belong to the service, kill them by PID; then remove the pidfile",
    });
    assertEquals(exists(path), !isLater);
  });
}

Deno.test("kill --group judges the group of a claim by no clock", async () => {
  using dir = new TempDir();
  // As if the clock had been set forward since the claim.
  const result = await inPidNamespace(
    dir,
    `
    echo 499 > /proc/sys/kernel/ns_last_pid
    setsid sh -c 'sleep 600 >&2 & exec sleep 600 >&2' &
    until grep -qs sleep /proc/500/comm; do sleep 0.01; done
    sipid claim --pid 500 --pid-file web.pid
    set -- $(stat -c '%.3Y' web.pid | tr -d .) $(($(date +%s) - 3600))
    sed "s/ $1 / \${2}000 /" .web.pid.claim > record; mv record .web.pid.claim
    touch -d @$2 web.pid
    end 500
    status=0; sipid kill --group --pid-file web.pid --exec /bin/true || status=$?; echo kill $status`,
  );
  expectResult(result, { code: 0, stdout: "kill 1\n", stderr: "or a later one with that number" });
});

Deno.test("kill --group does not take a group for gone where the boot id is hidden", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  await using master = await leader("sleep 600 & echo worker $!; trap exit USR1; echo ready; wait");
  const worker = await pidIn(master, "worker");
  try {
    expectResult(await sipid("claim", "--pid", String(master.pid), "--pid-file", path), {
      code: 0,
    });
    master.kill("SIGUSR1");
    await master.status;
    const script =
      `mount -t proc -o subset=pid proc /proc; ${SIPID} kill --group --pid-file ${path}`;
    expectResult(await run("unshare", ["--mount", "sh", "-c", script]), {
      code: 1,
      stderr: `but its process group is, or a later one with that number: process ${worker}`,
    });
    assert(exists(path));
  } finally {
    Deno.kill(worker, "SIGKILL");
  }
});

Deno.test("kill --group does not take a group for gone that hands itself on from process to process", async () => {
  // Several at once: what is read while the machine is busy is what was missed.
  await Promise.all(Array.from({ length: 4 }, killRelay));
});

async function killRelay(): Promise<void> {
  using dir = new TempDir();
  // On TERM the leader leaves a child that ignores it, forks every 20 ms and exits.
  const script = dir.write(
    "relay.pl",
    `use Time::HiRes qw(sleep time);
    $SIG{TERM} = sub {
      exit if fork;
      $SIG{TERM} = "IGNORE";
      for (my $end = time + 8; time < $end; sleep 0.02) {
        exit if fork;
        open my $beat, ">", "${dir.file("beat")}" or die;
        print $beat "$$ " . time;
        close $beat;
      }
      exit;
    };
    $| = 1; print "ready\\n"; sleep 1 while 1;`,
  );
  await using leader = await Running.start("setsid", ["perl", script]);
  const path = dir.write("web.pid", String(leader.pid));
  const kill = ["kill", "--group", "--grace-period", "500ms", "--pid-file", path];
  const { code, stderr } = await sipid(...kill);
  const beat = (): string => readIfExists(dir.file("beat")) ?? "";
  const atReturn = beat();
  if (code === 0) {
    assertMatch(stderr, /sent SIGKILL/);
    await delay(500);
    assertEquals(beat(), atReturn, stderr);
  } else {
    assertMatch(stderr, /is still running|were known have exited|is kept/);
    assert(exists(path));
  }
  // It ends by itself.
  let last = "";
  await until(async () => {
    last = beat();
    await delay(200);
    return last === beat();
  }, "the relay has ended");
}
