import { assertEquals } from "@std/assert";
import { CommandError, errnoOf, errorText, toCommandError } from "../../lib/errors.ts";
import { TempDir } from "../support.ts";

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

Deno.test("errorText() gives the fact without errno and path", () => {
  using dir = new TempDir();
  assertEquals(errorText(thrown(() => Deno.openSync(dir.file("x")))), "no such file or directory");
  assertEquals(errorText(thrown(() => Deno.mkdirSync(dir.path))), "file exists");
  assertEquals(errorText(thrown(() => Deno.kill(2147483647, "SIGTERM"))), "no such process");
  assertEquals(errorText("just words"), "just words");
});

Deno.test("errnoOf() finds the errno in a code, a message or a number", async () => {
  using dir = new TempDir();
  assertEquals(errnoOf(thrown(() => Deno.openSync(dir.file("x")))), "ENOENT");
  assertEquals(errnoOf(thrown(() => Deno.kill(2147483647, "SIGTERM"))), "ESRCH");
  assertEquals(errnoOf(new TypeError("else")), undefined);
  // A process that exits between open and read.
  const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
  using stat = Deno.openSync(`/proc/${child.pid}/stat`);
  child.kill("SIGKILL");
  await child.status;
  const exited = thrown(() => stat.readSync(new Uint8Array(1)));
  assertEquals([errnoOf(exited), errorText(exited)], ["ESRCH", "no such process"]);
});

Deno.test("toCommandError() says what failed, why, and what to do; it keeps a CommandError as it is", () => {
  const full = thrown(() => {
    using file = Deno.openSync("/dev/full", { write: true });
    file.writeSync(new Uint8Array(1));
  });
  assertEquals(
    toCommandError("cannot write web.pid", full).message,
    "cannot write web.pid: no space left on device; free some space and retry",
  );
  const refused = new CommandError("no");
  assertEquals(toCommandError("cannot do it", refused), refused);
});
