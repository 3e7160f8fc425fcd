/**
 * The part of `parseArgs` used here: every flag is a string, the words that are no flags come
 * out under `_`. `unknown` is called for each flag that `string` does not name.
 */
export function parseArgs<Name extends string>(
  args: readonly string[],
  options: { string: readonly Name[]; unknown?: (arg: string) => boolean },
): { [name in Name]?: string } & { _: (string | number)[] };
