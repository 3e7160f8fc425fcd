import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { untilExit, waitForExit } from "../../lib/process/wait_for_exit.ts";
import type { Pid } from "../../lib/process/pid.ts";
import { findProcess, type Process } from "../../lib/process/process.ts";
import { sendSignal } from "../../lib/process/signals.ts";
import { expectResult, fixture, run, Running } from "../support.ts";

/** Milliseconds by which a wait may be late on a busy machine. */
const LATE_MS = 5_000;

function sleep(): Promise<Running> {
  return Running.start("sh", ["-c", "echo ready; exec sleep 600"]);
}

function processOf({ pid }: Running): Process {
  const process = findProcess(pid as Pid);
  assert(process !== undefined);
  return process;
}

Deno.test("waitForExit() returns when the process has exited, and not before the timeout", async () => {
  await using job = await fixture("exits_slowly", "300");
  const process = processOf(job);
  assertEquals(await waitForExit(process, 0), false);
  const begin = performance.now();
  assertEquals(await waitForExit(process, 50), false);
  assert(performance.now() - begin >= 50);
  assertEquals(sendSignal(process, "SIGTERM"), "sent");
  assertEquals(await waitForExit(process, 60_000), true);
  assertLess(performance.now() - begin, 10_000);
  assertEquals(sendSignal(process, "SIGTERM"), "exited");
  assertEquals(await waitForExit(process, 0), true);
});

Deno.test("untilExit() waits for the last thread, though the first one is a zombie", async () => {
  await using job = await fixture("first_thread_exits");
  const process = processOf(job);
  assertEquals(await waitForExit(process, 100), false);
  job.kill("SIGKILL");
  assertEquals(await waitForExit(process, LATE_MS), true);
});

Deno.test("untilExit() returns for a zombie that is never reaped", async () => {
  await using parent = await Running.start("sh", [
    "-c",
    "sleep 600 & echo child $!; echo ready; exec sleep 600",
  ]);
  const pid = Number((await parent.line(/child (\d+)/))[1]);
  const process = findProcess(pid as Pid);
  assert(process !== undefined);
  const exit = untilExit(process, AbortSignal.timeout(LATE_MS));
  Deno.kill(pid, "SIGKILL");
  await exit;
});

Deno.test("untilExit() returns at once for another process that has got the PID", async () => {
  await using job = await sleep();
  const process = processOf(job);
  const earlier = { ...process, startTicks: process.startTicks! - 1 };
  await untilExit(earlier, AbortSignal.timeout(LATE_MS));
});

Deno.test("untilExit() rejects with the reason of its signal, before, while and after", async () => {
  await using job = await sleep();
  const process = processOf(job);
  const reason = new Error("abandoned");
  await assertRejects(() => untilExit(process, AbortSignal.abort(reason)), Error, "abandoned");
  const abandoned = new AbortController();
  const exit = untilExit(process, abandoned.signal);
  await delay(20);
  const begin = performance.now();
  abandoned.abort(reason);
  await assertRejects(() => exit, Error, "abandoned");
  assertLess(performance.now() - begin, LATE_MS);
});

Deno.test("more waits than there are threads for all return", async () => {
  await using job = await sleep();
  const process = processOf(job);
  const waits = Array.from({ length: 100 }, () => waitForExit(process, 60_000));
  await delay(20);
  job.kill("SIGKILL");
  const begin = performance.now();
  assertEquals(await Promise.all(waits), waits.map(() => true));
  assertLess(performance.now() - begin, LATE_MS);
});

/** Runs a script with these names of lib at hand, in a Deno of its own. */
function script(body: string) {
  const at = (name: string) => JSON.stringify(import.meta.resolve(`../../lib/process/${name}.ts`));
  const text = `import { untilExit, waitForExit } from ${at("wait_for_exit")};
    import { findProcess } from ${at("process")};
    ${body}`;
  const options = ["--quiet", "--no-check", "--no-lock", "--config=deno.json", "--allow-all"];
  const url = `data:application/typescript,${encodeURIComponent(text)}`;
  return run(Deno.execPath(), ["run", ...options, url], {
    cwd: new URL("../../", import.meta.url).pathname,
  });
}

Deno.test("where the C library cannot be reached, waits poll", async () => {
  const result = await script(
    `Deno.dlopen = () => {
      throw new Error("libc.so.6: cannot open shared object file");
    };
    const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
    const process = findProcess(child.pid);
    const early = await waitForExit(process, 50);
    const exit = waitForExit(process, ${LATE_MS});
    child.kill();
    console.log(early, await exit);`,
  );
  expectResult(result, { code: 0, stdout: "false true\n" });
});

Deno.test("a wait does not keep the program from exiting", async () => {
  const begin = performance.now();
  const result = await script(
    `const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
    waitForExit(findProcess(child.pid), 600_000);
    setTimeout(() => {
      child.kill();
      Deno.exit(7);
    }, 20);`,
  );
  expectResult(result, { code: 7 });
  assertLess(performance.now() - begin, 60_000);
});

Deno.test("1,000 waits abandoned at random moments leave nothing behind", async () => {
  // In a Deno of its own: other tests have descriptors of the same kinds.
  const result = await script(
    `const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync("/proc/self/fd/" + name)];
      } catch {
        return []; // the one that reads the directory
      }
    }).filter((target) => /pidfd|eventfd/.test(target)).length;
    const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
    const process = findProcess(child.pid);
    await waitForExit(process, 1);
    const before = descriptors();
    let rejected = 0;
    for (let round = 0; round < 1_000; round += 4) {
      await Promise.all(Array.from({ length: 4 }, async () => {
        const abandoned = new AbortController();
        const exit = untilExit(process, abandoned.signal).catch(() => rejected++);
        const moment = Math.random() * 2;
        if (moment > 1) await delay(moment);
        else if (moment > 0.5) await Promise.resolve();
        abandoned.abort();
        await exit;
      }));
    }
    const after = descriptors();
    const exit = waitForExit(process, ${LATE_MS});
    child.kill("SIGKILL");
    console.log(rejected, after - before, await exit);`,
  );
  expectResult(result, { code: 0, stdout: "1000 0 true\n" });
});
