// @ts-types="../../toolchain/std/assert.d.ts"
import { assertEquals } from "@std/assert";
import { sipid, TempDir } from "../support.ts";

Deno.test("claim writes the digits of the PID and nothing else", async () => {
  using dir = new TempDir();
  const path = dir.file("run/web/web.pid");
  const { code, stdout, stderr } = await sipid(
    "claim",
    "--pid",
    "17",
    "--pid-file",
    path,
  );
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  assertEquals(Deno.readTextFileSync(path), "17");
});
