/** Which process a pidfile means: each row of the table in docs/reliability.md, for each command. */
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { inPidNamespace } from "../namespaces.ts";
import { traced } from "../strace.ts";
import {
  asNobody,
  exists,
  expectResult,
  isRunning,
  Job,
  readIfExists,
  run,
  Running,
  SIPID,
  sipid,
  TempDir,
  until,
} from "../support.ts";

const STALE = `
claim: exit 0, running
kill: exit 0, running
status: exit 1, running, named
wait: exit 1, running, named
`;
const NOT_RUNNING = STALE.replaceAll(", running", "");
const OWN = `
claim: exit 1, running, named
kill: exit 0
status: exit 0, running, named
wait: exit 1, running, named
`;
const UNCLEAR = `
claim: exit 1, running, named
kill: exit 1, running, named
status: exit 4, running, named
wait: exit 1, running, named
`;

/** One row: what the situation is, how it is made, and what comes of it. */
interface Row {
  readonly situation: string;
  /** A script that writes web.pid and sets `pid`. */
  readonly arrange: string;
  /** Options of each command. */
  readonly options?: string;
  readonly seen: string;
  /** What claim, kill, status and the wait report, in this order. */
  readonly reports?: readonly [claim: RegExp, kill: RegExp, status: RegExp, wait: RegExp];
}

const CLAIM = "sipid claim --pid-file web.pid --pid";
/** A pidfile from before the process was started, as a daemon writes it. */
const OLD = `spawn; printf %s $pid > web.pid; touch -d '1 hour ago' web.pid`;
/** A daemon wrote its PID into its claimed pidfile, and exited; another process has the PID now. */
const REWRITTEN = `spawn; ${CLAIM} $pid; printf %s $pid > web.pid; touch -d '1 hour ago' web.pid
  end $pid; recycle $pid`;
/** The same, and a restart of the container or a reboot in between. */
const RESTARTED =
  `${REWRITTEN}; sed -i "s/[0-9a-f-]\\{36\\}/$(cat /proc/sys/kernel/random/uuid)/" .web.pid.claim`;
/** Moves the time of a claim into the past, as it is after a reboot. */
const AN_HOUR_AGO = `hour_ago=$(($(date +%s) - 3600)); touch -d @$hour_ago web.pid
  sed -i "s/ [0-9]\\{13\\} / \${hour_ago}000 /" .web.pid.claim`;
const BIND_BOOT_ID = `umount -q /proc/sys/kernel/random/boot_id || :
  cat /proc/sys/kernel/random/uuid > boot; mount --bind boot /proc/sys/kernel/random/boot_id`;
const NEW = `spawn; printf %s $pid > web.pid`;
const WATCHED = /healthcheck unhealthy/;
const NEEDS_STOP = /already exists: sleep, running since .*; stop it first: sipid kill/;
const CLOCK: Row["reports"] = [
  /already exists: .*; but it started at .*, after .* or the clock was set; --exec PATH settles it/,
  /its PID was probably recycled, or the clock was set; nothing was signalled; --exec PATH settles it/,
  /^unknown: .*its PID was probably recycled, or the clock was set; --exec PATH settles it/,
  /warning: .*its PID was probably recycled, or the clock was set[^]*healthcheck unhealthy/,
];
const COPIED: Row["reports"] = [
  /already exists: .*; but the claim record names another process with this PID, and the pidfile was modified, replaced or copied after that claim; if/,
  /copied after that claim; nothing was signalled; if the service is not running, remove the pidfile; if that process is the service, remove the claim record$/m,
  /^unknown: .*the claim record names another process with this PID/,
  /warning: .*the claim record names another process[^]*healthcheck unhealthy/,
];
const RUNS_ANOTHER: Row["reports"] = [
  /was stale \(process \d+ \(sleep\) runs \S+\/sleep, not \/bin\/true\); claimed/,
  /runs \S+\/sleep, not \/bin\/true, and was not signalled; removed the stale pidfile/,
  /^dead: process \d+ \(sleep\) runs \S+\/sleep, not \/bin\/true; stale/,
  /to be claimed: process \d+ \(sleep\) runs \S+\/sleep, not \/bin\/true\n/,
];

const ROWS: readonly Row[] = [
  {
    situation: "no such process",
    arrange: "spawn; printf %s $pid > web.pid; end $pid",
    seen: NOT_RUNNING,
    reports: [
      /^$/,
      /process \d+ is not running; removed/,
      /dead: process \d+ is/,
      /is not running/,
    ],
  },
  {
    situation: "a zombie",
    // Its parent is no shell, so that nothing reaps it.
    arrange:
      `sh -c 'until grep -q sleep /proc/$$/comm; do sleep 0.01; done & echo $! >child; exec sleep 600' &
              until pid=$(cat child 2>&-) && grep -qs 'State:.Z' /proc/$pid/status; do sleep 0.01; done
              printf %s $pid > web.pid; rm child`,
    seen: NOT_RUNNING,
  },
  {
    situation: "a thread of another process",
    arrange: `$SIPID wait-until-healthy --url http://127.0.0.1:2/ 2>&- & other=$!
              until pid=$(ls /proc/$other/task | grep -vxm 1 $other); do sleep 0.01; done
              printf %s $pid > web.pid`,
    seen: STALE,
    reports: [
      /^$/,
      /process \d+ is not running; removed/,
      /dead: process \d+ is/,
      /is not running/,
    ],
  },
  {
    situation: "a claimed process that has become another program",
    arrange: `rm -f go; sh -c 'until [ -e go ]; do sleep 0.01; done; exec sleep 600' & pid=$!
              ${CLAIM} $pid; : > go; until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done`,
    seen: OWN,
    reports: [NEEDS_STOP, /process \d+ \(sleep\) exited/, /^running \d+ \(sleep\)/, WATCHED],
  },
  {
    situation: "a claimed process that does not match --exec",
    arrange: `spawn; ${CLAIM} $pid --exec /bin/true`,
    options: "--exec /bin/true",
    seen: OWN,
    reports: [NEEDS_STOP, /process \d+ \(sleep\) exited/, /^running \d+ \(sleep\)/, WATCHED],
  },
  {
    situation: "a claimed process and a pidfile that names no program at --exec",
    arrange: `spawn; ${CLAIM} $pid`,
    options: "--exec /missing",
    seen: OWN,
  },
  {
    situation: "another process with the PID of a claimed one",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid`,
    seen: STALE,
    reports: [
      /was stale \(process \d+ \(sleep\) is not the one that was claimed\); claimed for process 1/,
      /\(sleep\) is not the one that was claimed, and was not signalled; removed/,
      /^dead: process \d+ \(sleep\) is not the one that was claimed; stale pidfile/,
      /to be claimed: process \d+ \(sleep\) is not the one that was claimed\n/,
    ],
  },
  {
    situation: "another process that runs the program at --exec, with the PID of a claimed one",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid`,
    options: "--exec /bin/sleep",
    seen: STALE,
  },
  {
    situation: "the process that got the PID of a claim for a process that had exited",
    arrange: `spawn; end $pid; ${CLAIM} $pid; recycle $pid`,
    seen: STALE,
  },
  {
    situation: "a claim from another boot, with the same PID and start",
    arrange:
      `spawn; ${CLAIM} $pid; sed -i "s/[0-9a-f-]\\{36\\}/$(cat /proc/sys/kernel/random/uuid)/" .web.pid.claim
       ${AN_HOUR_AGO}`,
    seen: STALE,
    reports: [
      /is not the one that was claimed, which ran before a reboot\); claimed/,
      /is not the one that was claimed, which ran before a reboot, and was not signalled; rem/,
      /^dead: process \d+ \(sleep\) is not the one that was claimed, which ran before a reboot; stale/,
      /is not the one that was claimed, which ran before a reboot\n/,
    ],
  },
  {
    situation: "a claim in the next boot",
    arrange: `umount -q /proc/sys/kernel/random/boot_id || :
              spawn; ${CLAIM} $pid; ${AN_HOUR_AGO}; ${BIND_BOOT_ID}`,
    seen: STALE,
  },
  {
    // As in a container of systemd-nspawn, of a service with a /proc of its own.
    situation: "a claim made where a file that is bound over the boot id is not seen",
    arrange: `${BIND_BOOT_ID}
              spawn; unshare --mount sh -c 'mount -t proc proc /proc
                "$SIPID" claim --pid '$pid' --pid-file web.pid'`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but it started when the claimed process did, though \/proc shows another boot id, so it cannot be compared with the claim record; run this where \/proc shows that of the claim; if the service is not running, remove the pidfile\n$/,
      /it started when the claimed process did, though .*; nothing was signalled; run this where/,
      /^unknown: .*it started when the claimed process did/,
      /warning: .*it started when the claimed process did[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "a claim where the boot id is hidden",
    arrange: `umount -q /proc/sys/kernel/random || :
              spawn; ${CLAIM} $pid; mount -t tmpfs tmpfs /proc/sys/kernel/random`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but the machine's boot id is hidden, so it cannot be compared with the/,
      /the machine's boot id is hidden, .*; nothing was signalled; run this where \/proc\/sys\/kernel/,
      /^unknown: .*the machine's boot id is hidden/,
      /warning: .*the machine's boot id is hidden[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "no record, running when the pidfile was modified",
    arrange: NEW,
    seen: OWN,
    reports: [NEEDS_STOP, /process \d+ \(sleep\) exited/, /^running \d+ \(sleep\)/, WATCHED],
  },
  {
    situation: "no record, running when the pidfile was modified, --exec matches",
    arrange: NEW,
    options: "--exec /bin/sleep",
    seen: OWN,
  },
  {
    situation: "no record, running when the pidfile was modified, --exec names another program",
    arrange: NEW,
    options: "--exec /bin/true",
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but it runs \S+\/sleep, not \/bin\/true, although it was running when/,
      /runs \S+\/sleep, not \/bin\/true, although it was running when the pidfile was last modified at .*; nothing was signalled; leave out --exec if it is the service; otherwise remove the pidfile/,
      /^unknown: .*runs \S+\/sleep, not \/bin\/true/,
      /warning: .*runs \S+\/sleep, not \/bin\/true[^]*healthcheck unhealthy/,
    ],
  },
  {
    // Clock ticks and the kernel's file times are not exact; more than a second is another row.
    situation: "no record, started less than a second after the pidfile was modified",
    arrange: `${NEW}; touch -d '0.7 seconds ago' web.pid`,
    seen: OWN,
  },
  {
    situation: "no record, started later, --exec matches",
    arrange: OLD,
    options: "--exec /bin/sleep",
    seen: OWN,
    reports: [NEEDS_STOP, /process \d+ \(sleep\) exited/, /^running \d+ \(sleep\)/, WATCHED],
  },
  {
    situation: "no record, started later, --exec names another program",
    arrange: OLD,
    options: "--exec /bin/true",
    seen: STALE,
    reports: RUNS_ANOTHER,
  },
  {
    situation: "no record, started later, no --exec",
    arrange: OLD,
    seen: UNCLEAR,
    reports: CLOCK,
  },
  {
    situation: "the record of an earlier content, and a PID that a daemon wrote",
    arrange: `spawn; ${CLAIM} $pid; end $pid; spawn; printf %s $pid > web.pid`,
    seen: OWN,
  },
  {
    situation: "a claimed process whose pidfile was touched",
    arrange: `spawn; ${CLAIM} $pid; touch -d '1 hour ago' web.pid`,
    seen: OWN,
  },
  {
    situation: "another process with the PID of a claimed one, and a pidfile that was touched",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid; modify web.pid`,
    seen: UNCLEAR,
    reports: COPIED,
  },
  {
    situation: "another process with the PID of a claimed one, which it wrote in the same second",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
      time=$(stat -c %y web.pid); echo $pid > web.pid; touch -d "$time" web.pid`,
    seen: UNCLEAR,
    reports: COPIED,
  },
  {
    situation: "another process, a claimed pidfile that its daemon wrote later, no --exec",
    arrange: REWRITTEN,
    seen: UNCLEAR,
    reports: [
      /already exists: .*copied after that claim; if the service is not running, remove the pidfile, or give --exec PATH\n$/,
      /copied after that claim; nothing was signalled; if the service .*, or give --exec PATH\n$/,
      /^unknown: .*copied after that claim; .*, or give --exec PATH/,
      /warning: .*copied after that claim; .*, or give --exec PATH\n[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "another process, a claimed pidfile that its daemon wrote later, another --exec",
    arrange: REWRITTEN,
    options: "--exec /bin/true",
    seen: STALE,
    reports: RUNS_ANOTHER,
  },
  {
    situation: "another process, a claimed pidfile that its daemon wrote later, its own --exec",
    arrange: REWRITTEN,
    options: "--exec /bin/sleep",
    seen: UNCLEAR,
    reports: [
      /copied after that claim; if the service is not running, remove the pidfile; if that process is the service, remove the claim record\n$/,
      /nothing was signalled; if the service is not running, remove the pidfile; if .*\n$/,
      /^unknown: .*copied after that claim/,
      /warning: .*copied after that claim; .*remove the claim record\n[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "another process, a claimed pidfile that its daemon wrote later, and a restart",
    arrange: RESTARTED,
    seen: STALE,
    reports: [
      /was stale \(process \d+ \(sleep\) is not the one that was claimed, which ran before a reboot\)/,
      /is not the one that was claimed, which ran before a reboot, and was not signalled; rem/,
      /^dead: process \d+ \(sleep\) is not the one that was claimed, which ran before a reboot; stale/,
      /is not the one that was claimed, which ran before a reboot\n/,
    ],
  },
  {
    situation: "another process, its own --exec, a claimed pidfile written later, and a restart",
    arrange: RESTARTED,
    options: "--exec /bin/sleep",
    seen: UNCLEAR,
    reports: [
      /copied after that claim; if the service is not running, remove the pidfile; if that process/,
      /nothing was signalled; if the service is not running, remove the pidfile; if .*\n$/,
      /^unknown: .*copied after that claim/,
      /warning: .*copied after that claim; .*remove the claim record\n[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "a claim before a restart, and a daemon that wrote its PID, the same, since",
    arrange: `${RESTARTED}; touch web.pid`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*copied after that claim; if the service is not running, remove the pid/,
      /copied after that claim; nothing was signalled/,
      /^unknown: .*copied after that claim/,
      /warning: .*copied after that claim[^]*healthcheck unhealthy/,
    ],
  },
  {
    // As the kubelet leaves a volume of a pod with fsGroup, each time the pod is started.
    situation: "another process with the PID of a claimed one, and chmod -R g+w",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid; chmod g+w web.pid .web.pid.claim`,
    seen: STALE,
  },
  {
    situation: "another process with the PID of a claimed one, and a record that more can write",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
              chmod g+w web.pid; chmod a+w .web.pid.claim; touch -d '1 hour ago' web.pid`,
    seen: UNCLEAR,
    reports: CLOCK,
  },
  {
    // Only root can give a file to another group.
    situation: "another process with the PID of a claimed one, and a record that others can write",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
              chmod g+w web.pid .web.pid.claim; touch -d '1 hour ago' web.pid
              chgrp nogroup .web.pid.claim 2>/dev/null || chmod g-w web.pid`,
    seen: UNCLEAR,
    reports: CLOCK,
  },
  {
    situation: "another process with the PID of a claimed one, and copies of pidfile and record",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
              mkdir -p copy; cp -a web.pid .web.pid.claim copy; rm web.pid .web.pid.claim
              mv copy/web.pid copy/.web.pid.claim .`,
    seen: STALE,
  },
  {
    situation: "another process with the PID of a claimed one, and a copy with a time of its own",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
              cp web.pid copy; mv copy web.pid`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but the claim record names another process with this PID, and/,
      /copied after that claim; nothing was signalled/,
      /^unknown: .*copied after that claim; if the service/,
      /warning: .*copied after that claim; if the service[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "another process with the PID of a claimed one, and copies in an archive",
    arrange: `spawn; ${CLAIM} $pid; end $pid; recycle $pid
              tar -c web.pid .web.pid.claim > archive; mv web.pid old
              tar -x < archive; rm old`,
    seen: STALE,
  },
  {
    // Only root can give a file away.
    situation: "another process with the PID of a claimed one, and a pidfile of another user",
    arrange: `spawn; ${CLAIM} $pid; chown nobody web.pid 2>/dev/null || :; end $pid; recycle $pid`,
    seen: STALE,
  },
  {
    situation: "a claimed process, and copies of pidfile and record in an archive",
    arrange: `spawn; ${CLAIM} $pid
              tar -c web.pid .web.pid.claim > archive; mv web.pid old; tar -x < archive; rm old`,
    seen: OWN,
  },
  {
    situation: "a claimed process, and copies of pidfile and record in another directory",
    arrange: `spawn; mkdir -p original; cd original; ${CLAIM} $pid; cd ..
              cp -a original/web.pid original/.web.pid.claim .; rm -r original`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but it was claimed as \/\S+\/original\/web.pid, and the pidfile was copied or moved here; stop it by that path, or remove this pidfile\n$/,
      /it was claimed as \/\S+\/original\/web.pid, and the pidfile was copied or moved here; nothing was signalled; stop it by that path, or remove this pidfile\n$/,
      /^unknown: .*it was claimed as \/\S+\/original\/web.pid, and the pidfile was copied or moved here/,
      /warning: .*the pidfile was copied or moved here; stop it by that path[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "a process that was claimed by another path of the same directory",
    arrange: `mkdir -p alias; mountpoint -q alias || mount --bind . alias
              spawn; cd alias; ${CLAIM} $pid; cd ..`,
    seen: OWN,
  },
  {
    situation: "no record, and a pidfile that was modified in the future",
    arrange: `${NEW}; touch -d '1 hour' web.pid`,
    seen: UNCLEAR,
    reports: [
      /already exists: .*; but the pidfile was last modified at .*, which is in the future, so/,
      /in the future, so that its time proves nothing; nothing was signalled; --exec PATH settles/,
      /^unknown: .*in the future, so that its time proves nothing/,
      /warning: .*in the future, so that its time proves nothing[^]*healthcheck unhealthy/,
    ],
  },
  {
    situation: "no record, and a pidfile that was modified in the future, --exec matches",
    arrange: `${NEW}; touch -d '1 hour' web.pid`,
    options: "--exec /bin/sleep",
    seen: OWN,
  },
  {
    situation:
      "no record, and a pidfile that was modified in the future, --exec names another program",
    arrange: `${NEW}; touch -d '1 hour' web.pid`,
    options: "--exec /bin/true",
    seen: UNCLEAR,
  },
];

for (const { situation, arrange, options = "", seen, reports } of ROWS) {
  Deno.test(`claim, kill, status and wait-until-healthy judge ${situation}`, async () => {
    using dir = new TempDir();
    const url = "--url http://127.0.0.1:2/ --timeout 300ms --polling-frequency 100ms";
    const commands = {
      claim: "sipid claim --pid 1",
      kill: "sipid kill",
      status: "sipid status",
      wait: `sipid wait-until-healthy ${url}`,
    };
    const script = Object.entries(commands).map(([name, command]) => `
      rm -f web.pid .web.pid.claim; ${arrange}
      status=0; ${command} --pid-file web.pid ${options} >${name}.log 2>&1 || status=$?
      seen ${name} $status`);
    const { stdout, stderr } = await inPidNamespace(dir, script.join("\n"));
    const logs = Object.keys(commands).map((name) =>
      Deno.readTextFileSync(dir.file(`${name}.log`))
    );
    assertEquals(`\n${stdout}`, seen, logs.join("") + stderr);
    reports?.forEach((report, at) => assertMatch(logs[at]!, report));
    const isWarned = /warning:/.test(logs[3]!);
    assertEquals(isWarned, seen === UNCLEAR, logs[3]);
  });
}

Deno.test("a claim counts in its directory after that was copied and put back", async () => {
  using dir = new TempDir();
  const script = `
    spawn; mkdir run; sipid claim --pid $pid --pid-file run/web.pid
    cp -a run restored; rm -r run; mv restored run
    sipid kill --pid-file run/web.pid; is_running $pid || echo stopped`;
  assertEquals((await inPidNamespace(dir, script)).stdout, "stopped\n");
});

// What has the size of the copy and its time, with rsync in whole seconds, counts as copied.
for (const copy of ["rsync -a", "cp -au"]) {
  Deno.test(`a claim is stale after a reboot also in a backup that ${copy} has brought up to date`, async () => {
    using dir = new TempDir();
    const script = `
    echo 1000 > /proc/sys/kernel/ns_last_pid; mkdir run
    spawn; sipid claim --pid $pid --pid-file run/web.pid; ${copy} run/. backup
    stat -c %s run/.web.pid.claim; end $pid
    until [ $(date +%s) != $(stat -c %Y run/web.pid) ]; do sleep 0.01; done
    spawn; sipid claim --pid $pid --pid-file run/web.pid; ${copy} run/. backup
    stat -c %s run/.web.pid.claim; end $pid; recycle $pid
    rm -r run; ${BIND_BOOT_ID}; ${copy} backup/. run
    sipid status --pid-file run/web.pid || echo $?`;
    const { stdout, stderr } = await inPidNamespace(dir, script);
    const [size, other, ...status] = stdout.split("\n");
    assertEquals(size, other, "the records have the same size");
    assertMatch(status.join("\n"), /^dead: .* is not the one that was claimed, .*\n1\n$/, stderr);
  });
}

// The number of a copied installation's process is that of the original's, which runs.
Deno.test("a running installation that is copied twice is told from its copy", async () => {
  using dir = new TempDir();
  const script = `
    echo 1000 > /proc/sys/kernel/ns_last_pid; mkdir blue
    spawn; sipid claim --pid $pid --pid-file blue/web.pid; rsync -a blue/ green; end $pid
    until [ $(date +%s) != $(stat -c %Y blue/web.pid) ]; do sleep 0.01; done
    spawn; sipid claim --pid $pid --pid-file blue/web.pid; rsync -a blue/ green
    sipid kill --pid-file green/web.pid || echo refused; is_running $pid && echo running`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, "refused\nrunning\n", stderr);
  assertMatch(stderr, /it was claimed as \S+\/blue\/web\.pid/);
});

Deno.test("claim names what is unclear also where the pidfile names the process itself", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const inAnHour = Date.now() / 1000 + 3_600;
  Deno.utimeSync(path, inAnHour, inAnHour);
  expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), {
    code: 1,
    stderr: "already exists: ",
  });
});

Deno.test("claims of NAME and NAME.claim do not mix, whenever they come", async () => {
  using dir = new TempDir();
  const script = `
    spawn; strace -f -o log -e trace=utimensat -e inject=utimensat:signal=STOP:when=1 \\
      "$SIPID" claim --pid $pid --pid-file web & tracer=$!
    until grep -qs 'stopped by SIGSTOP' log; do sleep 0.01; done
    sipid claim --pid $pid --pid-file web.claim
    kill -CONT $(sed -n 's/^\\([0-9]*\\) .*stopped by.*/\\1/p' log | head -1); wait $tracer; rm log
    # By the records: /bin/true would not match.
    for name in web web.claim; do sipid status --pid-file $name --exec /bin/true >&2; done; ls -A`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, ".web.claim\n.web.claim.claim\nweb\nweb.claim\n", stderr);
});

Deno.test("a claim counts by its path after its directory was moved to a disk behind a symlink", async () => {
  using dir = new TempDir();
  const script = `
    spawn; mkdir run; sipid claim --pid $pid --pid-file run/web.pid
    cp -a run disk; rm -r run; ln -s disk run
    sipid kill --pid-file disk/web.pid || echo refused
    sipid kill --pid-file ./run//web.pid; is_running $pid || echo stopped`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, "refused\nstopped\n", stderr);
});

Deno.test("a copied claim is unclear where both directories have the same inode number", async () => {
  using dir = new TempDir();
  const script = `
    for it in original copy; do mkdir $it; mount -t tmpfs -o mode=755 tmpfs $it; done
    [ $(stat -c %i original) = $(stat -c %i copy) ]
    spawn; sipid claim --pid $pid --pid-file original/web.pid; cp -a original/. copy
    sipid kill --pid-file copy/web.pid || echo refused; is_running $pid && echo running`;
  const { stdout, stderr } = await inPidNamespace(dir, script);
  assertEquals(stdout, "refused\nrunning\n", stderr);
});

Deno.test("a claim made in another PID namespace is left to that namespace while it exists", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  // Its PIDs are small numbers, which mean other processes here.
  await using container = await Running.start("unshare", [
    ...["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c"],
    `sleep 600 & ${SIPID} claim --pid $! --pid-file ${path} && echo ready; wait`,
  ]);
  const before = Deno.readTextFileSync(path);
  const reason =
    "it was claimed in another PID namespace, such as a container's, which still exists";
  const hint = "run this in that namespace";
  const all: [number, string[]][] = [
    [1, ["kill"]],
    [1, ["claim", "--pid", String(Deno.pid)]],
    [1, ["wait-until-gone", "--timeout", "0s"]],
    [1, ["signal", "--signal", "HUP"]],
    [1, ["wait-until-healthy", "--url", "tcp://127.0.0.1:2"]],
  ];
  for (const [code, args] of all) {
    const stderr = [reason, hint];
    expectResult(await sipid(...args, "--pid-file", path), { code, stderr });
  }
  const status = await sipid("status", "--pid-file", path);
  expectResult(status, { code: 4, stdout: new RegExp(`${reason}; ${hint}\n$`) });
  // An ordinary user is not shown the namespaces of others.
  Deno.chmodSync(dir.path, 0o755);
  for (
    const [code, ...args] of [[4, "status"], [1, "wait-until-gone", "--timeout", "0s"]] as const
  ) {
    const seen = await asNobody(SIPID, [...args, "--pid-file", path]);
    assertEquals(seen.code, code);
    assertMatch(seen.stdout + seen.stderr, new RegExp(reason));
  }
  // Of a process that /proc does not show here, a claim says no more than that.
  const refused = await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path);
  expectResult(refused, { code: 1, stderr: `(${path}) already exists: ${reason}; ${hint}\n` });
  assertEquals(Deno.readTextFileSync(path), before);

  // Once the namespace has gone, so has the process.
  container.kill("SIGKILL");
  const claim = ["claim", "--pid", String(Deno.pid), "--pid-file", path];
  await until(async () => (await sipid(...claim)).code === 0, "the claim succeeds");
  assertEquals(Deno.readTextFileSync(path), String(Deno.pid));
});

Deno.test("a claim made below a boot id of its own is left to its PID namespace while its process runs", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const boot = dir.write("boot", crypto.randomUUID());
  // As systemd-nspawn and LXC start a container.
  await using container = await Running.start("unshare", [
    ...["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c"],
    `mount --bind ${boot} /proc/sys/kernel/random/boot_id
     sleep 600 & ${SIPID} claim --pid $! --pid-file ${path} && echo ready; wait`,
  ]);
  const stderr =
    "it was claimed in another PID namespace, such as a container's, which still exists";
  const kill = ["kill", "--pid-file", path];
  expectResult(await sipid(...kill), { code: 1, stderr });
  expectResult(await sipid("claim", "--pid", "1", "--pid-file", path), { code: 1, stderr });
  container.kill("SIGKILL");
  await until(async () => (await sipid(...kill)).code === 0, "the pidfile is stale");
  assertEquals(readIfExists(path), undefined);
});

/** Where a container hides what other users run: when the pidfile was written, and what helps. */
const HIDDEN_PROGRAMS: Record<string, [modified: string, fact: string, hint: string]> = {
  "was running when the pidfile was modified": [
    "now",
    "what it runs is hidden",
    "leave out --exec, or run this as root, in a container with CAP_SYS_PTRACE",
  ],
  "started later": [
    "1 hour ago",
    "its PID was probably recycled, or the clock was set, and what it runs is hidden",
    "if the service is not running, remove the pidfile, or run this as root, in a container with CAP_SYS_PTRACE",
  ],
  "started before the pidfile's time, which is in the future": [
    "tomorrow",
    "which is in the future, so that its time proves nothing, and what it runs is hidden",
    "if the service is not running, remove the pidfile, or run this as root, in a container with CAP_SYS_PTRACE",
  ],
};

for (const [what, [modified, fact, hint]] of Object.entries(HIDDEN_PROGRAMS)) {
  Deno.test(`the hint helps where the program of a process is hidden that ${what}`, async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `
      setpriv --reuid=65533 --regid=65533 --clear-groups sleep 600 >&2 & pid=$!
      until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
      printf %s $pid > web.pid; touch -d '${modified}' web.pid
      inContainer() { setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$SIPID" "$@"; }
      status=0; inContainer kill --pid-file web.pid --exec /bin/true || status=$?
      seen kill $status
      status=0; inContainer claim --pid $$ --pid-file web.pid --exec /bin/true || status=$?
      seen claim $status`,
    );
    assertEquals(
      stdout,
      "kill: exit 1, running, named\nclaim: exit 1, running, named\n",
      stderr,
    );
    assertMatch(stderr, new RegExp(`${fact}; nothing was signalled; ${hint}\n`));
    assertMatch(stderr, new RegExp(`but .*${fact}; ${hint}\n`));
  });
}

Deno.test("a pidfile that its daemon wrote after the claim is stale after a restart of the container", async () => {
  using dir = new TempDir();
  // In both, the service is process 500, and in the second another one too.
  const first = `
    echo 499 > /proc/sys/kernel/ns_last_pid; spawn; sipid claim --pid $pid --pid-file web.pid
    printf %s $pid > web.pid; touch -d '1 hour ago' web.pid; echo $pid`;
  expectResult(await inPidNamespace(dir, first), { code: 0, stdout: "500\n" });
  const second = `
    echo 499 > /proc/sys/kernel/ns_last_pid; spawn; status=0
    sipid claim --pid $$ --pid-file web.pid || status=$?; echo $pid $status`;
  expectResult(await inPidNamespace(dir, second), {
    code: 0,
    stdout: "500 0\n",
    stderr: "was stale (process 500 (sleep) is not the one that was claimed); claimed",
  });
});

Deno.test("a process whose program is hidden claims the pidfile that a restarted container kept", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    setpriv --reuid=65533 --regid=65533 --clear-groups sleep 600 >&2 & pid=$!
    until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
    printf %s $pid > web.pid; touch -d '1 hour ago' web.pid
    status=0
    setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \
      "$SIPID" claim --pid $pid --pid-file web.pid --exec /bin/true || status=$?
    seen claim $status`,
  );
  assertEquals(stdout, "claim: exit 0, running, named\n", stderr);
});

/** Where a command cannot see whether another PID namespace still exists: how that is mounted. */
const BLIND: Record<string, [mount: string, user: number, fact: string, hint: string]> = {
  "the boot id is hidden": [
    "mount -t proc -o subset=pid proc /proc",
    0,
    "and the machine's boot id is hidden, so that it may be running there",
    "run this where /proc/sys/kernel/random/boot_id can be read",
  ],
  "/proc hides the processes of other users": [
    "mount -t proc -o hidepid=2 proc /proc",
    65_534,
    "and /proc hides whether that still exists",
    "run this as root",
  ],
};

for (const [what, [mount, user, fact, hint]] of Object.entries(BLIND)) {
  Deno.test(`a claim made in another PID namespace is left to it where ${what}`, async () => {
    using dir = new TempDir();
    Deno.chmodSync(dir.path, 0o755);
    const path = dir.file("web.pid");
    // A PID that no process has here.
    const far = "echo $(($(cat /proc/sys/kernel/pid_max) - 9)) > /proc/sys/kernel/ns_last_pid";
    await using _container = await Running.start("unshare", [
      ...["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c"],
      `${far}; sleep 600 & ${SIPID} claim --pid $! --pid-file ${path} && echo ready; wait`,
    ]);
    const before = Deno.readTextFileSync(path);
    const script = `${mount}; exec setpriv --reuid ${user} --regid ${user} --clear-groups "$@"`;
    const blind = (...args: string[]) =>
      run("unshare", ["--mount", "sh", "-c", script, "sh", SIPID, ...args, "--pid-file", path]);
    const reason = `it was claimed in another PID namespace, such as a container's, ${fact}`;
    const stderr = [reason, hint];
    expectResult(await blind("kill"), { code: 1, stderr });
    expectResult(await blind("wait-until-gone", "--timeout", "0s"), { code: 1, stderr });
    expectResult(await blind("status"), { code: 4, stdout: new RegExp(`${reason}; ${hint}\n$`) });
    if (user === 0) expectResult(await blind("claim", "--pid", "1"), { code: 1, stderr });
    assertEquals(Deno.readTextFileSync(path), before);
  });
}

Deno.test("a process is dated by sipid's own start where /proc/uptime cannot be read", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  // As in a container whose lxcfs has crashed.
  const inject = ["-P", "/proc/uptime", "-e", "inject=openat:error=ENOTCONN"];
  const status = await traced(dir, inject, ["status", "--pid-file", path]);
  assertMatch(status.log, /uptime".*INJECTED/);
  expectResult(status.result, { code: 0, stdout: /^running \d+ \(sleep\), up / });
  const kill = await traced(dir, inject, ["kill", "--pid-file", path]);
  expectResult(kill.result, { code: 0, stderr: "sent SIGTERM" });
});

Deno.test("a descriptor that kill inherits, as of a log on a file server, is not examined", async () => {
  using dir = new TempDir();
  await using job = new Job();
  const path = dir.write("web.pid", String(job.pid));
  const [log, trace] = [dir.write("service.log", ""), dir.file("trace")];
  const command = ["-e", "trace=statx", "-o", trace, SIPID, "kill", "--pid-file", path];
  const result = await run("sh", ["-c", `exec strace -f "$@" 9<>${log}`, "sh", ...command]);
  expectResult(result, { code: 0, stderr: "sent SIGTERM" });
  const calls = Deno.readTextFileSync(trace);
  assertMatch(calls, /"\/proc\/self\/fd\/\d+"/);
  assertNotMatch(calls, /"\/proc\/self\/fd\/9"/);
});

Deno.test("a claim of a PID namespace that has ended does not mean a process of the same number and start", async () => {
  for (const boot of ["", "; s/ [0-9a-f-]{36} / 00000000-0000-0000-0000-000000000000 /"]) {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.file("web.pid");
    await sipid("claim", "--pid", String(job.pid), "--pid-file", path);
    // As if it had been claimed there: 1 is the number of no namespace.
    const namespace = String.raw`s/^(\S+ \S+ \S+) \S+/\1 1/`;
    await run("sed", ["-i", "-E", namespace + boot, dir.file(".web.pid.claim")]);
    expectResult(await sipid("kill", "--pid-file", path), {
      code: 0,
      stderr: "is not the one that was claimed",
    });
    assert(isRunning(job.pid));
    assertEquals(exists(path), false);
  }
});

Deno.test("a claim of a PID namespace whose first process is a zombie is stale", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  // sleep(1) does not reap the namespace's first process.
  const script = `
    sh -c 'mount -t proc proc /proc; ${SIPID} claim --pid 1 --pid-file ${path}; echo ready' &
    exec sleep 600`;
  const options = ["--mount", "--pid", "sh", "-c"];
  await using parent = await Running.start("unshare", [...options, script]);
  const child = () => readIfExists(`/proc/${parent.pid}/task/${parent.pid}/children`)!.trim();
  await until(() => / Z /.test(readIfExists(`/proc/${child()}/stat`)!), "it is a zombie");
  const claim = await sipid("claim", "--pid", String(Deno.pid), "--pid-file", path);
  expectResult(claim, { code: 0, stderr: "is not the one that was claimed" });
});

Deno.test("a claim made in the machine's own PID namespace is left to it in a container", async () => {
  // Only the machine itself can tell that it is not a container.
  const isMachine = Deno.readLinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const pid = String(Deno.pid);
  expectResult(await sipid("claim", "--pid", pid, "--pid-file", path), { code: 0 });
  const script = `${SIPID} kill --pid-file ${path}`;
  const result = await run("unshare", ["--pid", "--fork", "--mount-proc", "sh", "-c", script]);
  expectResult(result, {
    code: isMachine ? 1 : 0,
    stderr: isMachine
      ? [
        "it was claimed on the machine, outside of this container; nothing was signalled; " +
        "run this on the machine\n",
      ]
      : "removed the stale pidfile",
  });
});

/** Words before a command that give it a time namespace, as a restored container has one. */
function inTime(seconds: number): string[] {
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  return ["unshare", ...user, "--time", "--boottime", String(seconds), "--fork", "--"];
}

for (const seconds of [1_000_000, 7]) {
  Deno.test(`a claim means the same process in a time namespace ${seconds} s ahead, and from there`, async () => {
    using dir = new TempDir();
    const path = dir.file("web.pid");
    await using job = new Job();
    const claim = [SIPID, "claim", "--pid", String(job.pid), "--pid-file", path];
    const status = [SIPID, "status", "--pid-file", path, "--exec", "/bin/true"];
    const orders = [
      [claim, [...inTime(seconds), ...status]],
      [[...inTime(seconds), ...claim], status],
    ];
    for (const [first = [], second = []] of orders) {
      expectResult(await run(first[0]!, first.slice(1)), { code: 0, stderr: "" });
      // By the record: /bin/true would not match.
      expectResult(await run(second[0]!, second.slice(1)), { code: 0, stdout: /^running/ });
      Deno.removeSync(path);
    }
  });
}

Deno.test("a process whose start is the claimed one's only by a time namespace's clock is another", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  await using job = new Job();
  const ticks = Number(
    Deno.readTextFileSync(`/proc/${job.pid}/stat`).split(") ")[1]!.split(" ")[19],
  );
  expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), { code: 0 });
  // What is recorded started 7 s later, which a namespace 7 s ahead makes look the same.
  const record = dir.file(".web.pid.claim");
  const text = Deno.readTextFileSync(record).replace(` ${ticks} `, ` ${ticks + 700} `);
  Deno.writeTextFileSync(record, text);
  const [program = "", ...words] = inTime(7);
  expectResult(await run(program, [...words, SIPID, "kill", "--pid-file", path]), {
    code: 0,
    stderr: "is not the one that was claimed, and was not signalled",
  });
  assertEquals(isRunning(job.pid), true);
});

Deno.test("between time namespaces that differ by a fraction of a tick a claim is unclear", async () => {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  await using job = new Job();
  expectResult(await sipid("claim", "--pid", String(job.pid), "--pid-file", path), { code: 0 });
  // CRIU sets nanoseconds, unshare(1) only seconds: the claim is made to come from such a clock.
  const record = dir.file(".web.pid.claim");
  const text = Deno.readTextFileSync(record).replace(/^(\d+ \d+) /, "$1.25 ");
  Deno.writeTextFileSync(record, text);
  expectResult(await sipid("kill", "--pid-file", path), {
    code: 1,
    stderr: "its start was read in another time namespace, whose clock is set to a fraction of a " +
      "tick, so it cannot be compared with the claim record; nothing was signalled; " +
      "run this in the time namespace of the claim",
  });
  assertEquals(isRunning(job.pid), true);
});

/** A stale pidfile, whose PID another process of the same program has by now. */
const RECYCLED = `
  spawn; first=$pid
  sipid claim --pid $pid --pid-file web.pid; end $pid; recycle $first; unrelated=$pid
  # Runs sipid until its first call of statx(2) or unlink(2) on the record, and stops it there.
  stop_at() {
    call=$1; shift
    strace -f -o log -P "$PWD/.web.pid.claim" -e inject=$call:signal=STOP:when=1 \\
      "$SIPID" "$@" --pid-file web.pid --exec /bin/sleep >&2 & tracer=$!
    until grep -q 'stopped by SIGSTOP' log; do sleep 0.01; done
  }
  continue_it() { kill -CONT $(sed -n 's/^\\([0-9]*\\) .*stopped by.*/\\1/p' log | head -1); wait $tracer; }`;
const MIDWAY: Record<string, { script: string; code: number }> = {
  // kill has read the PID and not yet the record.
  "a claim replaces": {
    script: `
      stop_at statx kill
      spawn; sipid claim --pid $pid --pid-file web.pid --exec /bin/sleep
      status=0; continue_it || status=$?`,
    code: 0,
  },
  // The same, and the service has removed its pidfile as it exited.
  "a claim writes anew": {
    script: `
      stop_at statx kill
      rm web.pid; spawn; sipid claim --pid $pid --pid-file web.pid --exec /bin/sleep
      status=0; continue_it || status=$?`,
    code: 0,
  },
  // One kill has removed the record and not yet the pidfile, which is empty, and locked.
  "a kill removes": {
    script: `
      stop_at unlink kill
      status=0; sipid kill --pid-file web.pid --exec /bin/sleep || status=$?
      continue_it`,
    code: 1,
  },
};
for (const [what, { script, code }] of Object.entries(MIDWAY)) {
  Deno.test(`kill signals no unrelated process while ${what} the claim record`, async () => {
    using dir = new TempDir();
    const { stdout, stderr } = await inPidNamespace(
      dir,
      `${RECYCLED}\n${script}\npid=$unrelated; seen kill $status`,
    );
    assertEquals(stdout, `kill: exit ${code}, running\n`, stderr);
  });
}

Deno.test("claim does not record the process that got the PID of the one it was given", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `spawn; given=$pid
    strace -f -o log -e trace=flock -e inject=flock:signal=STOP:when=1 \\
      "$SIPID" claim --pid $given --pid-file web.pid >&2 & tracer=$!
    until grep -qs 'stopped by SIGSTOP' log; do sleep 0.01; done
    end $given; recycle $given
    kill -CONT $(sed -n 's/^\\([0-9]*\\) .*stopped by.*/\\1/p' log | head -1); wait $tracer
    status=0; sipid kill --pid-file web.pid || status=$?
    seen kill $status`,
  );
  assertEquals(stdout, "kill: exit 0, running\n", stderr);
  assertMatch(stderr, /process \d+ is not running; claim the PID of one that is, such as \$\$/);
});

/** What others do while a claim is about to put its files in place, its status, and that of status. */
const MEANWHILE: Record<string, { script: string; seen: string }> = {
  "another start removes and claims": {
    script: "rm -f web.pid; spawn; sipid claim --pid $pid --pid-file web.pid",
    seen: "claim: exit 1\nstatus: exit 0\n.web.pid.claim\nweb.pid\n",
  },
  "another directory takes away": {
    script: "cd ..; rm -r run; mkdir run; cd run",
    seen: "claim: exit 1\nstatus: exit 3\n",
  },
  "somebody removes": {
    script: "rm -f web.pid",
    seen: "claim: exit 0\nstatus: exit 0\n.web.pid.claim\nweb.pid\n",
  },
};
for (const [what, { script, seen }] of Object.entries(MEANWHILE)) {
  for (const [which, before] of [["new", ":"], ["stale", "echo 2147483647 > web.pid"]]) {
    Deno.test(`claim succeeds only with its pidfile in place: ${what} a ${which} one`, async () => {
      using dir = new TempDir();
      const { stdout, stderr } = await inPidNamespace(
        dir,
        `spawn; mkdir run; cd run; ${before}
        strace -f -o ../log -e trace=utimensat -e inject=utimensat:signal=STOP:when=1 \
          "$SIPID" claim --pid $pid --pid-file "$PWD/web.pid" >&2 & tracer=$!
        until grep -qs 'stopped by SIGSTOP' ../log; do sleep 0.01; done
        ${script}
        kill -CONT $(sed -n 's/^\\([0-9]*\\) .*stopped by.*/\\1/p' ../log | head -1)
        status=0; wait $tracer || status=$?; echo "claim: exit $status"
        # By the record: /bin/true would not match.
        status=0; sipid status --pid-file web.pid --exec /bin/true >&2 || status=$?
        echo "status: exit $status"; ls -A`,
      );
      assertEquals(stdout, seen, stderr);
      const message = "web.pid: was removed or replaced while it was being claimed; claim it again";
      assertEquals(stderr.includes(message), seen.startsWith("claim: exit 1"), stderr);
    });
  }
}

/** Where sipid stands still, as in a paused container, while it reads when a process started. */
const PAUSES = ["/proc/uptime", "/proc/self/task"];
for (const file of PAUSES) {
  const pause = ["-P", file, "-e", "inject=openat:delay_enter=2s:when=1"];

  Deno.test(`a pause before ${file} is read makes no process older`, async () => {
    using dir = new TempDir();
    await using unrelated = new Job();
    const path = dir.write("web.pid", String(unrelated.pid));
    const before = Date.now() / 1000 - 1.5;
    Deno.utimeSync(path, before, before);
    const { result, log } = await traced(dir, pause, ["kill", "--pid-file", path]);
    expectResult(result, { code: 1, stderr: "its PID was probably recycled" });
    assertMatch(log, /DELAYED/);
    assertEquals(isRunning(unrelated.pid), true);
  });

  Deno.test(`a pause before ${file} is read makes no process younger`, async () => {
    using dir = new TempDir();
    await using job = new Job();
    const path = dir.write("web.pid", String(job.pid));
    const args = ["kill", "--pid-file", path, "--exec", "/bin/true"];
    const { result, log } = await traced(dir, pause, args);
    expectResult(result, { code: 1, stderr: "although it was running when the pidfile was last" });
    assertMatch(log, /DELAYED/);
    assertEquals(readIfExists(path), String(job.pid));
  });
}
