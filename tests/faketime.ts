/** A wall clock that only the program under test sees: libfaketime, of the package faketime. */
import { exists } from "./support.ts";

/** Returns the environment that moves a program's wall clock, and neither its timers nor files. */
export function fakeClock(settings: Record<string, string>): Record<string, string> {
  const library = [...Deno.readDirSync("/usr/lib")]
    .map(({ name }) => `/usr/lib/${name}/faketime/libfaketime.so.1`)
    .find(exists);
  if (library === undefined) throw new Error("libfaketime is not installed");
  return {
    LD_PRELOAD: library,
    NO_FAKE_STAT: "1",
    DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    ...settings,
  };
}
