/** PIDs as numbers that were checked once. */

/** A number that can be a PID: 1 to 2147483647. Only `parsePid` makes one. */
export type Pid = number & { readonly parsed: unique symbol };

const MAX_PID = 2_147_483_647;

/**
 * Parses a PID in plain decimal: no sign, no leading zero, no white space, nothing else.
 *
 * 0 and negative numbers name process groups in kill(2), so they are not PIDs.
 */
export function parsePid(text: string): Pid | undefined {
  if (!/^[1-9][0-9]{0,9}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= MAX_PID ? number as Pid : undefined;
}
