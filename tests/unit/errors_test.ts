import { assertEquals } from "@std/assert";
import { CommandError, errnoOf, inWords, toCommandError } from "../../lib/errors.ts";
import { TempDir } from "../support.ts";

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

Deno.test("inWords() gives the fact alone", () => {
  using dir = new TempDir();
  assertEquals(inWords(thrown(() => Deno.openSync(dir.file("x")))), "no such file or directory");
  assertEquals(inWords(thrown(() => Deno.mkdirSync(dir.path))), "file exists");
  assertEquals(inWords(thrown(() => Deno.kill(2147483647, "SIGTERM"))), "no such process");
  assertEquals(inWords("just words"), "just words");
});

Deno.test("errnoOf() finds the errno wherever the runtime put it", async () => {
  using dir = new TempDir();
  assertEquals(errnoOf(thrown(() => Deno.openSync(dir.file("x")))), "ENOENT");
  assertEquals(errnoOf(thrown(() => Deno.kill(2147483647, "SIGTERM"))), "ESRCH");
  assertEquals(errnoOf(new TypeError("else")), undefined);
  // A process that goes between the opening and the reading.
  const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
  using stat = Deno.openSync(`/proc/${child.pid}/stat`);
  child.kill("SIGKILL");
  await child.status;
  const gone = thrown(() => stat.readSync(new Uint8Array(1)));
  assertEquals([errnoOf(gone), inWords(gone)], ["ESRCH", "no such process"]);
});

Deno.test("toCommandError() says what, why and the way out, and keeps a refusal as it is", () => {
  const full = thrown(() => {
    using file = Deno.openSync("/dev/full", { write: true });
    file.writeSync(new Uint8Array(1));
  });
  assertEquals(
    toCommandError("cannot write web.pid", full).message,
    "cannot write web.pid: no space left on device; free some space and try again",
  );
  const refusal = new CommandError("no");
  assertEquals(toCommandError("cannot do it", refusal), refusal);
});
