/**
 * Durations in Go's notation: "1m30s", "500ms", "1.5h".
 * Source: the documentation of Go's time.ParseDuration.
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3, // micro sign
  "\u03bcs": 1e-3, // Greek letter mu
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
};

/** The longest duration accepted, in milliseconds: the runtime's timers hold up to 2^31 - 1. */
export const MAX_DURATION_MS = 576 * 3600e3;

/**
 * Returns milliseconds, or what is wrong with the text.
 *
 * Units are required; "0" alone is zero, as in Go.
 */
export function parseDuration(text: string): number | string {
  if (text === "0") return 0;
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  const parts = [
    ...text.slice(sign.length).matchAll(
      /(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]*)/gy,
    ),
  ];
  const matched = parts.reduce(
    (length, part) => length + part[0].length,
    sign.length,
  );
  if (parts.length === 0 || matched !== text.length) {
    return "expected a duration such as 20s, 1m30s or 500ms";
  }
  let total = 0;
  for (const [, number, unit] of parts) {
    if (unit === "") {
      return `missing unit, such as in ${number}s or ${number}ms`;
    }
    const scale = UNIT_MS[unit!];
    if (scale === undefined) {
      return `unknown unit "${unit}"; expected ns, us, ms, s, m or h`;
    }
    total += Number(number) * scale;
  }
  if (sign === "-" && total > 0) return "must not be negative";
  if (total > MAX_DURATION_MS) {
    return `must not be longer than ${formatDuration(MAX_DURATION_MS)}`;
  }
  return total;
}

/**
 * Returns a duration as a person would say it: "350ms", "1.2s", "3m12s", "576h".
 *
 * @param ms milliseconds, not negative
 */
export function formatDuration(ms: number): string {
  if (ms > 0 && ms < 1) {
    return ms < 1e-3 ? `${Math.round(ms * 1e6)}ns` : `${Math.round(ms * 1e3)}us`;
  }
  if (Math.round(ms) < 1000) return ms === 0 ? "0s" : `${Math.round(ms)}ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${tenths / 10}s`;
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [
    Math.floor(seconds / 3600),
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (h > 0) {
    return `${h}h${m > 0 || s > 0 ? `${m}m` : ""}${s > 0 ? `${s}s` : ""}`;
  }
  return `${m}m${s > 0 ? `${s}s` : ""}`;
}
