import { assert, assertEquals, assertLess } from "@std/assert";
import { waitForExit } from "../../lib/process/wait_for_exit.ts";
import { findProcess, type Pid, send } from "../../lib/process/process.ts";
import { fixture } from "../support.ts";

Deno.test("waitForExit() returns as soon as it is gone, and not before its time is up", async () => {
  await using job = await fixture("slow_to_go", "300");
  const one = findProcess(job.pid as Pid);
  assert(one !== undefined);
  assertEquals(await waitForExit(one, 0), false);
  assertEquals(await waitForExit(one, 50), false);
  assertEquals(send(one, "SIGTERM"), "sent");
  const begin = performance.now();
  assertEquals(await waitForExit(one, 60_000), true);
  assertLess(performance.now() - begin, 10_000);
  assertEquals(send(one, "SIGTERM"), "gone");
});
