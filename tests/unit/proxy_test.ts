/** When pidproxy looks, reads and gives up: each limit, without waiting for it. */
import { assert, assertEquals } from "@std/assert";
import { flush } from "../../lib/cli/output.ts";
import { readPidfile } from "../../lib/pidfile/pidfile.ts";
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess, holdProcess } from "../../lib/process/process.ts";
import { DaemonPidfile } from "../../lib/proxy/daemon_pidfile.ts";
import { Daemons } from "../../lib/proxy/daemons.ts";
import { type Arrival, Delivery } from "../../lib/proxy/delivery.ts";
import { Groups } from "../../lib/proxy/groups.ts";
import { nextLookAt, overAt, type Situation } from "../../lib/proxy/timing.ts";
import { expectResult, ROOT, run, Running, TempDir } from "../support.ts";

/** A command that was started at 0 and is running, without a daemon, signals or flags. */
const RUNNING: Situation = {
  exit: undefined,
  isDaemonRunning: false,
  hadDaemon: false,
  daemonExitedAt: -Infinity,
  isStopRequested: false,
  isDaemonToBeAsked: false,
  waitMs: 0,
  lookingSince: 0,
  isAwaited: false,
  hasArrived: false,
};
/** The same after it has exited with status 0 at 1,000. */
const EXITED: Situation = { ...RUNNING, exit: { code: 0, signal: null, at: 1_000 } };

Deno.test("pidproxy is not over while the command or a daemon is running", () => {
  assertEquals(overAt(RUNNING), Infinity);
  assertEquals(overAt({ ...EXITED, isDaemonRunning: true }), Infinity);
});

Deno.test("pidproxy waits for a daemon after a command that succeeded, as long as --wait says", () => {
  assertEquals(overAt(EXITED), 1_000);
  assertEquals(overAt({ ...EXITED, waitMs: 5_000 }), 6_000);
  const failed = { ...EXITED, exit: { code: 3, signal: null, at: 1_000 }, waitMs: 5_000 };
  assertEquals(overAt(failed), 1_000);
  assertEquals(overAt({ ...EXITED, waitMs: 5_000, isStopRequested: true }), 1_000);
});

Deno.test("pidproxy watches for a daemon to stop for a second, or as long as --wait says", () => {
  const asked = { ...EXITED, isStopRequested: true, isDaemonToBeAsked: true };
  assertEquals(overAt(asked), 2_000);
  assertEquals(overAt({ ...asked, waitMs: 500 }), 2_000);
  assertEquals(overAt({ ...asked, waitMs: 5_000 }), 6_000);
});

Deno.test("pidproxy gives a daemon that has exited 50 ms to be succeeded by another", () => {
  const had = { ...EXITED, hadDaemon: true, waitMs: 5_000 };
  assertEquals(overAt({ ...had, daemonExitedAt: 1_200 }), 1_250);
  assertEquals(overAt({ ...had, daemonExitedAt: 900 }), 1_000);
});

Deno.test("pidproxy looks for a daemon every tenth of the time so far, 10 to 250 ms, for 5 s", () => {
  const looks = [[0, 10], [60, 70], [80, 90], [120, 132], [1_000, 1_100], [2_400, 2_640]];
  for (const [now, next] of [...looks, [2_600, 2_850], [4_999, 5_249], [5_000, Infinity]]) {
    assertEquals(nextLookAt(RUNNING, now!), next, `at ${now}`);
  }
  assertEquals(nextLookAt({ ...RUNNING, lookingSince: 7_000 }, 8_000), 8_100);
});

Deno.test("pidproxy goes on looking while something waits for a daemon", () => {
  for (const awaited of ["isAwaited", "isDaemonToBeAsked"] as const) {
    assertEquals(nextLookAt({ ...RUNNING, [awaited]: true }, 60_000), 60_250);
  }
  assertEquals(nextLookAt({ ...EXITED, waitMs: 300_000 }, 60_000), 60_250);
  // It looks once more when the time is over.
  assertEquals(nextLookAt({ ...EXITED, waitMs: 59_100 }, 60_000), 60_100);
});

Deno.test("pidproxy looks every 10 ms while a signal is not dealt with, else not beside a daemon", () => {
  const running = { ...RUNNING, isDaemonRunning: true };
  assertEquals(nextLookAt(running, 4_000), Infinity);
  assertEquals(nextLookAt({ ...running, hasArrived: true }, 4_000), 4_010);
});

Deno.test("pidproxy does not stop itself while a stop request or SIGCONT waits", async () => {
  await using job = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  using command = holdProcess(findProcess(job.pid as Pid)!)!;
  const pidfile = await DaemonPidfile.remember("p");
  const kill = Deno.kill;
  /** What SIGTSTP leads to if `next` arrives at once, or is reported only a turn later. */
  const killedBy = (next: readonly Deno.Signal[], isLate: boolean): string[] => {
    const killed: string[] = [];
    Deno.kill = (pid, signal) => killed.push(`${pid === Deno.pid ? "self" : "command"} ${signal}`);
    try {
      const arrived: Arrival[] = [{ signal: "SIGTSTP", at: 0 }];
      const more = next.map((signal) => ({ signal, at: 100 }));
      const [daemons, groups] = [new Daemons(() => {}), new Groups("p")];
      const delivery = new Delivery(arrived, command, pidfile, daemons, groups, []);
      if (!isLate) arrived.push(...more);
      delivery.forwardArrived({ kind: "none", reason: "no pidfile" }, true, 200);
      assert(delivery.hasArrived, "it takes another turn");
      if (isLate) arrived.push(...more);
      delivery.forwardArrived({ kind: "none", reason: "no pidfile" }, true, 210);
      return killed;
    } finally {
      Deno.kill = kill;
    }
  };
  for (const isLate of [false, true]) {
    assertEquals(killedBy([], isLate), ["command SIGTSTP", "self SIGSTOP"]);
    assertEquals(killedBy(["SIGHUP"], isLate), ["command SIGTSTP", "self SIGSTOP"]);
    assertEquals(killedBy(["SIGTERM"], isLate), ["command SIGTSTP"]);
    assertEquals(killedBy(["SIGCONT"], isLate), ["command SIGTSTP"]);
  }
  await flush();
});

/** Follows a new group, and calls `use` with it and with the time since when, to a millisecond. */
async function withGroup(use: (groups: Groups, since: number) => void): Promise<void> {
  using dir = new TempDir();
  await using leader = await Running.start("setsid", ["sh", "-c", "echo ready; exec sleep 600"]);
  const path = dir.write("daemon.pid", `${leader.pid}\n`);
  const state = await readPidfile(path);
  assert(state.kind === "pid");
  const groups = new Groups(path);
  const daemon = holdProcess(findProcess(leader.pid as Pid)!)!;
  const since = performance.now();
  groups.follow(daemon, state);
  use(groups, since);
  leader.kill("SIGKILL");
  await leader.status;
  groups.leaderExited(daemon);
  assertEquals(groups.refresh(Infinity), Infinity, "nothing is left to read");
}

/** Milliseconds that `follow` may take on a busy machine. */
const FOLLOW_MS = 1_000;

Deno.test("pidproxy --group reads the members 50 ms after the start, and never sooner", async () => {
  await withGroup((groups, since) => {
    const due = groups.refresh(since);
    assert(due >= since + 50 && due < since + 50 + FOLLOW_MS, `${due - since}`);
    assertEquals(groups.refresh(due - 1), due, "not read before");
    assertEquals(groups.refresh(due), due + 50, "read, and again after as long");
  });
});

Deno.test("pidproxy --group reads the members after twice the time, 5 s at most", async () => {
  await withGroup((groups, since) => {
    const due = groups.refresh(since + 3_000);
    assert(due <= since + 6_000 && due > since + 6_000 - FOLLOW_MS, `${due - since}`);
    assertEquals(groups.refresh(since + 60_000), since + 65_000);
    assertEquals(groups.refresh(since + 86_400_000), since + 86_405_000);
  });
});

Deno.test("pidproxy --group reads the members whenever it is awake, every 50 ms at most", async () => {
  await withGroup((groups, since) => {
    groups.refresh(since + 60_000);
    assertEquals(groups.refresh(since + 60_049), since + 65_000, "read a moment ago");
    assertEquals(groups.refresh(since + 60_051), since + 65_051, "read again");
  });
});

Deno.test("pidproxy --group asks for a second whether a daemon leads a group, every 50 ms", async () => {
  using dir = new TempDir();
  await using member = await Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
  const state = await readPidfile(dir.write("daemon.pid", `${member.pid}\n`));
  assert(state.kind === "pid");
  const groups = new Groups(dir.file("daemon.pid"));
  using daemon = holdProcess(findProcess(member.pid as Pid)!)!;
  const since = performance.now();
  groups.follow(daemon, state);
  const ms = performance.now() - since;
  assertEquals(groups.refresh(since + 999), since + 1_049, "asked, and again 50 ms later");
  assertEquals(groups.refresh(since + ms + 1_001), Infinity, "given up");
  await flush();
});

Deno.test("pidproxy kills at the end of the grace period, whenever the clock is read", async () => {
  using dir = new TempDir();
  const options = ["run", "--no-check", "--quiet", "--allow-all"];
  const script = `${ROOT}tests/unit/proxy_clock.ts`;
  const result = await run(Deno.execPath(), [...options, script, dir.path]);
  expectResult(result, { code: 0, stdout: "20 daemons killed\n" });
});
