/** The part of `parseArgs` that is used: collected strings are lists, and operands follow `--`. */
export function parseArgs(
  args: readonly string[],
  options: {
    readonly boolean: readonly string[];
    readonly string: readonly string[];
    readonly collect: readonly string[];
    readonly "--": true;
  },
): { readonly "--": readonly string[] } & {
  readonly [name: string]: boolean | readonly string[];
};

/** The same for strings alone; words that are not flags come out under `_`. */
export function parseArgs<Name extends string>(
  args: readonly string[],
  options: { readonly string: readonly Name[] },
): { [name in Name]?: string } & { _: (string | number)[] };
