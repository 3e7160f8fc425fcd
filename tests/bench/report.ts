/** The table and the chart of the measurements. */
import { type Measurement, median, quantile } from "./bench.ts";

/** Formats a number with three significant digits. */
function figure(value: number): string {
  if (value === 0) return "0";
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** Formats the median and the middle half. */
function spread(numbers: readonly number[]): string {
  if (numbers.length < 3) return figure(median(numbers));
  const [low, high] = [quantile(numbers, 0.25), quantile(numbers, 0.75)].map(figure);
  return `${figure(median(numbers))} (${low}–${high})`;
}

/** Returns the measurements as a Markdown table. */
export function table(measurements: readonly Measurement[]): string {
  const rows = measurements.map(({ what, unit, series, target }) => {
    const { sipid, ...peers } = series;
    const compared = Object.entries(peers).map(([name, numbers]) => `${name} ${spread(numbers)}`);
    const result = target === undefined
      ? ""
      : `${target.text}: ${figure(target.value)}${target.value <= target.limit ? "" : ", missed"}`;
    return [
      `${what}${unit === "" ? "" : ` (${unit})`}`,
      sipid === undefined ? "" : spread(sipid),
      result,
      compared.join("; "),
    ];
  });
  rows.unshift(["what", "sipid", "target", "compared with"]);
  const widths = rows[0]!.map((_, k) => Math.max(...rows.map((row) => row[k]!.length)));
  const lines = rows.map((row) =>
    `| ${row.map((cell, k) => cell.padEnd(widths[k]!)).join(" | ")} |`
  );
  lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const COLOURS = { sipid: "#2563eb", other: "#94a3b8" };
const COLUMN = { width: 470, label: 165, bar: 215 };
const LINE = 15;

/** Draws one measurement; returns its parts and the y below it. */
function group({ chart, unit, series }: Measurement, x: number, top: number): [string[], number] {
  const parts = [`<text x="${x}" y="${top}" font-weight="bold">${escaped(chart!)}</text>`];
  const entries = Object.entries(series).map(([name, numbers]) => [name, median(numbers)] as const);
  const most = Math.max(...entries.map(([, value]) => value)) || 1;
  let y = top + LINE + 2;
  for (const [name, value] of entries) {
    const length = Math.max(1, value / most * COLUMN.bar);
    const left = x + COLUMN.label;
    const colour = name === "sipid" ? COLOURS.sipid : COLOURS.other;
    parts.push(
      `<text x="${left - 6}" y="${y}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${left}" y="${y - 10}" width="${length.toFixed(1)}" height="11" fill="${colour}"/>`,
      `<text x="${(left + length + 5).toFixed(1)}" y="${y}">${figure(value)} ${unit}</text>`,
    );
    y += LINE;
  }
  return [parts, y + 12];
}

/** Returns an SVG chart of the medians in two columns; each measurement has its own scale. */
export function chart(measurements: readonly Measurement[]): string {
  const shown = measurements.filter(({ chart }) => chart !== undefined);
  const parts: string[] = [];
  let height = 0;
  const half = Math.ceil(shown.length / 2);
  for (const [column, groups] of [shown.slice(0, half), shown.slice(half)].entries()) {
    let y = 20;
    for (const one of groups) {
      const [drawn, below] = group(one, 12 + column * COLUMN.width, y);
      parts.push(...drawn);
      y = below;
    }
    height = Math.max(height, y);
  }
  const width = 2 * COLUMN.width;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">\n` +
    `<rect width="${width}" height="${height}" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`;
}
