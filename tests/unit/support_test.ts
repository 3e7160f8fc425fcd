import { assert, assertRejects } from "@std/assert";
import { isRunning, Running, TempDir } from "../support.ts";

Deno.test("a program that does not get ready is not left behind", async () => {
  using dir = new TempDir();
  const script = 'echo $$ >"$1"; exec >/dev/null; exec sleep 600';
  const args = ["-c", script, "sh", dir.file("pid")];
  await assertRejects(() => Running.start("sh", args), Error, "stdout ended before /^ready$/m");
  const pid = Number(Deno.readTextFileSync(dir.file("pid")));
  assert(pid > 0);
  assert(!isRunning(pid));
});
