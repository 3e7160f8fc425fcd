/**
 * proxy_clock DIRECTORY: stops a daemon that ignores SIGTERM twenty times, with a clock that moves a
 * millisecond each time it is read, so that a grace period ends between any two readings once.
 */
import { deadline } from "@std/async/deadline";
import { PidProxy } from "../../lib/proxy/pid_proxy.ts";
import { print, readIfExists, until } from "../support.ts";

/** Milliseconds after which a grace period counts as missed. */
const TIMEOUT_MS = 10_000;
const ROUNDS = 20;

const [directory] = Deno.args;
const script = 'trap "" TERM; sleep 600 & trap - TERM; echo $! >"$0"; wait';
const now = performance.now.bind(performance);

for (let round = 0; round < ROUNDS; round++) {
  const path = `${directory}/${round}.pid`;
  const proxy = await PidProxy.prepare(path, {
    waitMs: 0,
    stopSignals: [],
    graceMs: 10 + round,
    isGroup: false,
  });
  proxy.start("sh", ["-c", script, path]);
  await until(() => Boolean(readIfExists(path)), "the pidfile is written");
  let read = 0;
  performance.now = () => read++;
  Deno.kill(Deno.pid, "SIGTERM");
  const exit = proxy.forwardUntilExit();
  await deadline(exit, TIMEOUT_MS).catch(() => {
    print(`round ${round}: not killed`);
    Deno.kill(Number(readIfExists(path)), "SIGKILL");
  });
  performance.now = now;
}
print(`${ROUNDS} daemons killed`);
Deno.exit(0);
