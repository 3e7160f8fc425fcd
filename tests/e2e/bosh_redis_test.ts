/** The example release's redis under Monit, on a copy of this machine, which has redis-server. */
import { assertEquals, assertMatch } from "@std/assert";
import { closedPort } from "../servers.ts";
import { expectResult } from "../support.ts";
import { Stemcell } from "./stemcell.ts";

Deno.test("the redis job: start, post-start, data that survives a stop, a pidfile after a crash", async () => {
  const port = closedPort();
  await using stemcell = await Stemcell.boot({ port }, "redis", "/");
  const redis = async (...args: string[]): Promise<string> => {
    const result = await stemcell.run("redis-cli", "-p", String(port), ...args);
    return expectResult(result, { code: 0 }).stdout.trim();
  };
  await stemcell.tell("start");
  await stemcell.vcap("jobs/redis/bin/post-start");
  assertEquals(await redis("set", "job", "kept"), "OK");

  // A second start meets the claim.
  const before = stemcell.processes("redis-server");
  expectResult(await stemcell.run("/var/vcap/jobs/redis/bin/run"), { code: 1 });
  assertEquals(stemcell.processes("redis-server"), before);

  await stemcell.tell("stop");
  assertEquals(stemcell.processes("redis-server"), []);
  assertMatch(stemcell.read("var/vcap/sys/log/redis/redis.log"), /sent SIGTERM[^]*exited after/);
  await stemcell.tell("start");
  await stemcell.vcap("jobs/redis/bin/post-start");
  assertEquals(await redis("get", "job"), "kept");

  // What a crash leaves, pre-start clears.
  const [pid] = stemcell.processes("redis-server");
  await stemcell.run("monit", "unmonitor", "redis");
  await stemcell.sh(`kill -9 ${pid}`);
  await stemcell.vcap("jobs/redis/bin/pre-start");
  await stemcell.tell("start");
  await stemcell.vcap("jobs/redis/bin/post-start");
  await stemcell.tell("stop");
});
