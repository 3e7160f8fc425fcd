/** Other people's text in messages: escaped, and quoted where a shell needs it. */

/**
 * Characters that end a line, control a terminal or reverse the order of what it shows.
 * Sources: the categories Cc, Zl and Zp of Unicode, and the bidirectional controls of UAX #9.
 */
export const UNPRINTABLE =
  // deno-lint-ignore no-control-regex -- the control characters are the point
  /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Returns a text with its unprintable characters as `\xNN` or `\uNNNN`: the names of files and
 * processes must neither forge a line of a log nor control a terminal.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const hex = character.charCodeAt(0).toString(16);
    return character < "\x80" ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`;
  });
}

/**
 * Returns `text` as one word of a shell's command line: as it is where no shell would change it,
 * otherwise in single quotes; with control characters in it as `$'…'`, which bash and zsh read.
 */
export function shellQuote(text: string): string {
  if (/^[\w@%+:,./-][\w@%+:,./=-]*$/.test(text)) return text;
  if (text.search(UNPRINTABLE) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${printable(text.replace(/[\\']/g, "\\$&"))}'`;
}
