/** Permission bits of files. Source: inode(7). */

/** Its group may write it. */
export const GROUP_WRITE = 0o020;
/** Every user may write it. */
export const OTHERS_WRITE = 0o002;
/** On a directory: only an entry's owner may rename or remove it. */
export const STICKY = 0o1000;

/** Returns the permission bits in octal, as chmod takes them: `0644`. */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
