/** What quotes docs/bench/results.json: the table and the chart beside it, and figures in prose. */
import { type Measurement, median } from "../tests/bench/bench.ts";
import { chart, table } from "../tests/bench/report.ts";
import { fromFileUrl } from "./paths.ts";

const BENCH = fromFileUrl("../docs/bench/");
const README = fromFileUrl("../README.md");
const MIGRATING = fromFileUrl("../docs/migrating.md");
const TABLE = /(?<=<!-- table: generated with make bench -->\n)[^]*(?=<!-- end of the table -->)/;

/** A median in prose: where it stands, and what it is the median of. */
interface Quote {
  readonly path: string;
  readonly place: RegExp;
  readonly what: string;
  readonly of: string;
  /** How many digits it has after the point. */
  readonly digits?: number;
}

const SIZE = "size of the binary";
const CLAIM = "claim, no pidfile, wall clock";
const MEMORY = "pidproxy, resident memory while it waits for a daemon";
const QUOTES: readonly Quote[] = [
  { path: README, place: /\d+(?= MiB\*\* on disk)/, what: SIZE, of: "sipid" },
  { path: README, place: /\d+(?= ms\*\* for a claim)/, what: CLAIM, of: "sipid" },
  {
    path: README,
    place: /(?<=for a claim \(start-stop-daemon: )[\d.]+(?= ms)/,
    what: CLAIM,
    of: "start-stop-daemon",
    digits: 1,
  },
  { path: README, place: /\d+(?= MiB\*\* resident)/, what: MEMORY, of: "sipid" },
  {
    path: README,
    place: /(?<=memory \()\d+(?= MiB\))/,
    what: MEMORY,
    of: "Supervisor's pidproxy",
  },
  { path: MIGRATING, place: /\d+(?= ms \(_m_\): a whole runtime)/, what: CLAIM, of: "sipid" },
];

/** Returns the files that quote the measurements, and what they have to contain. */
export function measured(): [path: string, text: string][] {
  const results = JSON.parse(Deno.readTextFileSync(`${BENCH}results.json`));
  const measurements: Measurement[] = results.measurements;
  const page = replaced(`${BENCH}README.md`, [[TABLE, `\n${table(measurements)}\n`]]);
  const prose = [README, MIGRATING].map((path) => {
    const quotes = QUOTES.filter((quote) => quote.path === path);
    const changes = quotes.map((quote) => [quote.place, figure(quote, measurements)] as const);
    return [path, replaced(path, changes)] satisfies [string, string];
  });
  return [[`${BENCH}README.md`, page], [`${BENCH}chart.svg`, chart(measurements)], ...prose];
}

function figure({ what, of, digits = 0 }: Quote, measurements: readonly Measurement[]): string {
  const numbers = measurements.find((one) => one.what === what)?.series[of];
  if (numbers === undefined) throw new Error(`results.json lacks ${of} of "${what}"`);
  return median(numbers).toFixed(digits);
}

/** Returns the text of a file with what stands in these places replaced. */
function replaced(path: string, changes: readonly (readonly [RegExp, string])[]): string {
  return changes.reduce((text, [place, part]) => {
    if (!place.test(text)) throw new Error(`${path} has no place for ${place}`);
    return text.replace(place, () => part);
  }, Deno.readTextFileSync(path));
}
