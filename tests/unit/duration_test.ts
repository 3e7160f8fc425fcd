import { assertEquals, assertMatch } from "@std/assert";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../../lib/duration.ts";

const GOOD: [string, number][] = [
  ["1m", 60_000],
  ["1h30m", 5_400_000],
  ["1.5s", 1_500],
  [".5s", 500],
  ["1.s", 1_000],
  ["500ms", 500],
  ["100us", 0.1],
  ["100\u00b5s", 0.1],
  ["100\u03bcs", 0.1],
  ["5ns", 5 * 1e-6],
  ["1h2m3s4ms", 3_723_004],
  ["1s1s", 2_000],
  ["0", 0],
  ["0s", 0],
  ["-0s", 0],
  ["+5s", 5_000],
  ["576h", MAX_DURATION_MS],
];
Deno.test("parseDuration() reads what Go's time.ParseDuration reads, in milliseconds", () => {
  for (const [text, ms] of GOOD) assertEquals(parseDuration(text), ms, text);
});

const BAD: [string, RegExp][] = [
  ["", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["s", /^expected a duration such as 20s, 1m30s or 500ms$/],
  [".s", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["5 s", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["s5", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["1s ", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["--5s", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["Infinity", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["0x5s", /^unknown unit "x"; expected ns, us, ms, s, m or h$/],
  ["5", /^missing unit, such as in 5s or 5ms$/],
  ["1h30", /^missing unit, such as in 30s or 30ms$/],
  ["5d", /^unknown unit "d"; /],
  ["5S", /^expected a duration such as 20s, 1m30s or 500ms$/],
  ["-5s", /^must not be negative$/],
  ["577h", /^must not be longer than 576h$/],
  ["9".repeat(400) + "s", /^must not be longer than 576h$/],
];
Deno.test("parseDuration() says what is wrong with anything else", () => {
  for (const [text, message] of BAD) assertMatch(String(parseDuration(text)), message, text);
});

Deno.test("formatDuration() rounds as a person would", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.000005, "5ns"],
    [0.1, "100us"],
    [0.4, "400us"],
    [1, "1ms"],
    [350.4, "350ms"],
    [999.4, "999ms"],
    [999.6, "1s"],
    [1_234, "1.2s"],
    [20_000, "20s"],
    [59_949, "59.9s"],
    [59_951, "1m"],
    [90_000, "1m30s"],
    [192_000, "3m12s"],
    [3_600_000, "1h"],
    [3_605_000, "1h0m5s"],
    [5_400_000, "1h30m"],
    [MAX_DURATION_MS, "576h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});

Deno.test("formatDuration() writes what parseDuration() reads", () => {
  for (let ms = 1; ms < MAX_DURATION_MS; ms = Math.ceil(ms * 1.37)) {
    const again = Number(parseDuration(formatDuration(ms)));
    const exactTo = ms < 1_000 ? 1 : ms < 60_000 ? 50 : 500;
    assertEquals(Math.abs(again - ms) <= exactTo, true, `${ms} -> ${formatDuration(ms)}`);
  }
});
