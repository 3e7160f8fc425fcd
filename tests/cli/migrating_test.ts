/** docs/migrating.md on `start-stop-daemon --stop`: each line of the table, run with both programs. */
import { assert, assertEquals } from "@std/assert";
import {
  expectResult,
  isRunning,
  type Result,
  ROOT,
  run,
  Running,
  SIPID,
  TempDir,
} from "../support.ts";

const PAGE = Deno.readTextFileSync(`${ROOT}docs/migrating.md`);

Deno.test("docs/migrating.md names every option of start-stop-daemon", async () => {
  const { stdout } = expectResult(await run("start-stop-daemon", ["--help"]), { code: 0 });
  const options = [...stdout.matchAll(/^\s+(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option!);
  assert(options.length > 25, stdout);
  const ignored = ["--help", "--version"];
  const isNamed = (option: string): boolean => new RegExp(`\`[^\`]*${option}(?![a-z-])`).test(PAGE);
  const missing = options.filter((it) => !ignored.includes(it) && !isNamed(it));
  assertEquals(missing, []);
});

Deno.test("no cell of docs/migrating.md is empty", () => {
  const rows = PAGE.split("\n").filter((line) => line.startsWith("|"));
  assert(rows.length > 60);
  assertEquals(rows.filter((row) => /\|\s*\|/.test(row)), []);
});

/** What a program did to a service. */
interface Effect {
  /** The signals that the service caught, in their order. */
  readonly caught: readonly string[];
  readonly isRunning: boolean;
  readonly hasPidfile: boolean;
  readonly succeeded: boolean;
}

/** A shell that prints the signals it gets, and exits on those named. */
function service(path: string, exitsOn: readonly string[]): Promise<Running> {
  const traps = ["HUP", "INT", "QUIT", "TERM", "USR1"]
    .map((name) => `trap 'echo got ${name}${exitsOn.includes(name) ? "; exit" : ""}' ${name}`);
  const script = `${
    traps.join("; ")
  }; trap 'echo end' CONT; echo $$ >${path}; echo ready; while :; do sleep 0.02; done`;
  return Running.start("sh", ["-c", script]);
}

/** Calls a program with a service that has just been started, or with none. */
async function effectOf(
  program: string,
  args: readonly string[],
  exitsOn: readonly string[] | undefined,
): Promise<Effect & { readonly result: Result }> {
  using dir = new TempDir();
  const path = dir.file("web.pid");
  const words = args.map((word) => word.replace("FILE", path));
  if (exitsOn === undefined) {
    const result = await run(program, words);
    return {
      caught: [],
      isRunning: false,
      hasPidfile: false,
      succeeded: result.code === 0,
      result,
    };
  }
  await using job = await service(path, exitsOn);
  const result = await run(program, words);
  // After all other signals, since a shell runs its traps in the order of their numbers.
  if (isRunning(job.pid)) job.kill("SIGCONT");
  const exited = await job.line(/end/).then(() => false, () => true);
  return {
    caught: [...job.seen.matchAll(/got (\w+)/g)].map(([, name]) => name!),
    isRunning: !exited,
    hasPidfile: [...Deno.readDirSync(dir.path)].some(({ name }) => name === "web.pid"),
    succeeded: result.code === 0,
    result,
  };
}

/** One line of the table. */
interface Row {
  /** The words of start-stop-daemon that the page has. */
  readonly theirs: string;
  /** The words of sipid that the page has; `FILE` is the pidfile. */
  readonly ours: string;
  /** The signals that the service exits on; undefined: none is running. */
  readonly exitsOn: readonly string[] | undefined;
  /** What sipid does otherwise, and why. */
  readonly except?: Partial<Effect>;
}

const stays: Partial<Effect> = { hasPidfile: false }; // sipid removes it, as --remove-pidfile does

const ROWS: readonly Row[] = [
  {
    theirs: "--retry TERM/1/KILL/5",
    ours: "kill --pid-file FILE --grace-period 1s",
    exitsOn: ["TERM"],
    except: stays,
  },
  {
    theirs: "--retry TERM/1/KILL/5",
    ours: "kill --pid-file FILE --grace-period 1s",
    exitsOn: [],
    except: stays,
  },
  {
    theirs: "--retry 1",
    ours: "kill --pid-file FILE --schedule TERM/1s/KILL/1s",
    exitsOn: [],
    except: stays,
  },
  {
    theirs: "--retry INT/1/QUIT/1/KILL/5",
    ours: "kill --pid-file FILE --schedule INT/1s/QUIT/1s/KILL/5s",
    exitsOn: ["QUIT"],
    except: stays,
  },
  {
    theirs: "--retry -15/1/-9/5",
    ours: "kill --pid-file FILE --schedule -15/1/-9/5",
    exitsOn: [],
    except: stays,
  },
  {
    theirs: "--retry TERM/1/INT/1",
    ours: "kill --pid-file FILE --schedule TERM/1s/INT/1s",
    exitsOn: [],
  },
  {
    theirs: "--retry 5 --signal INT",
    ours: "kill --pid-file FILE --signal INT --grace-period 5s",
    exitsOn: ["INT"],
    except: stays,
  },
  {
    theirs: "--retry 5 --remove-pidfile",
    ours: "kill --pid-file FILE --grace-period 5s",
    exitsOn: ["TERM"],
  },
  { theirs: "", ours: "signal --signal TERM --pid-file FILE", exitsOn: ["TERM"] },
  { theirs: "--signal HUP", ours: "signal --signal HUP --pid-file FILE", exitsOn: [] },
  { theirs: "--signal 10", ours: "signal --signal 10 --pid-file FILE", exitsOn: [] },
  { theirs: "--test", ours: "kill --pid-file FILE --dry-run", exitsOn: ["TERM"] },
  { theirs: "--oknodo", ours: "kill --pid-file FILE", exitsOn: undefined },
  { theirs: "--signal HUP", ours: "signal --signal HUP --pid-file FILE", exitsOn: undefined },
  {
    theirs: "--oknodo --signal HUP",
    ours: "signal --signal HUP --pid-file FILE --if-running",
    exitsOn: undefined,
  },
];

for (const { theirs, ours, exitsOn, except } of ROWS) {
  const state = exitsOn === undefined ? "of a stopped service" : `exits on: ${exitsOn.join()}`;
  Deno.test(`start-stop-daemon --stop ${theirs} and sipid ${ours}; ${state}`, async () => {
    const words = ["--stop", "--pidfile", "FILE", ...theirs.split(" ").filter((it) => it !== "")];
    const { result: _one, ...expected } = await effectOf("start-stop-daemon", words, exitsOn);
    const { result, ...effect } = await effectOf(SIPID, ours.split(" "), exitsOn);
    assertEquals(effect, { ...expected, ...except }, result.stdout + result.stderr);
  });
}
