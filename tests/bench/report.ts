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
      spread(sipid!),
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

const COLOURS = ["#2563eb", "#94a3b8", "#f59e0b", "#10b981"];

/** Returns an SVG chart of the medians; each measurement has its own scale. */
export function chart(measurements: readonly Measurement[]): string {
  const shown = measurements.filter(({ series }) => Object.keys(series).length > 1);
  const [left, width, line] = [250, 360, 16];
  let y = 14;
  const parts: string[] = [];
  for (const { what, unit, series } of shown) {
    parts.push(`<text x="8" y="${y + 4}" font-weight="bold">${escaped(what)}</text>`);
    y += line + 2;
    const entries = Object.entries(series).map(([name, numbers]) =>
      [name, median(numbers)] as const
    );
    const most = Math.max(...entries.map(([, value]) => value)) || 1;
    for (const [k, [name, value]] of entries.entries()) {
      const length = Math.max(1, value / most * width);
      parts.push(
        `<text x="${left - 6}" y="${y + 4}" text-anchor="end">${escaped(name)}</text>`,
        `<rect x="${left}" y="${y - 7}" width="${length.toFixed(1)}" height="12" ` +
          `fill="${COLOURS[k % COLOURS.length]}"/>`,
        `<text x="${(left + length + 5).toFixed(1)}" y="${y + 4}">${figure(value)} ${unit}</text>`,
      );
      y += line;
    }
    y += 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${y}" ` +
    `viewBox="0 0 720 ${y}" font-family="sans-serif" font-size="12">\n` +
    `<rect width="720" height="${y}" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`;
}
