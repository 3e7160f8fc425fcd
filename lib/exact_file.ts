/**
 * Which file a path leads to, to the last bit of its inode number. The runtime rounds numbers from
 * 2^53 on, which overlayfs (xino), bcachefs and FUSE file systems give: neighbours become equal.
 * Loaded on first use, because reaching glibc costs a millisecond. Neither in lib/process nor in
 * lib/pidfile, because both ask; with its one symbol only, because each costs 0.1 ms.
 */

// Source: fcntl.h and linux/stat.h of Linux; glibc has statx(2) itself only since 2.28.
const SYS_STATX = Deno.build.arch === "aarch64" ? 291n : 332n;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_INO = 0x100;
const STATX_BYTES = 256;
const INODE_OFFSET = 32;
const DEVICE_OFFSET = 136;

const SYMBOLS = {
  syscall: { parameters: ["i64", "i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
} as const;

let loaded: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;

/** Returns whether the inode number is the kernel's, not one that was rounded. */
export function isExact({ ino }: Pick<Deno.FileInfo, "ino">): boolean {
  return Number.isSafeInteger(ino);
}

/** Returns the inode number of what a path leads to, in decimal. */
export function inodeOf(path: string, info: Pick<Deno.FileInfo, "ino">): string {
  const exact = isExact(info) ? undefined : exactFile(path);
  return exact?.slice(exact.indexOf(" ") + 1) ?? String(info.ino);
}

/**
 * Returns device and inode of what a path leads to, to be compared as a whole; with `nofollow`, of
 * a symlink itself. Undefined if there is no such file, or the kernel has no statx(2).
 */
export function exactFile(path: string, { nofollow = false } = {}): string | undefined {
  loaded ??= Deno.dlopen("libc.so.6", SYMBOLS);
  const name = new TextEncoder().encode(`${path}\0`);
  const buffer = new Uint8Array(STATX_BYTES);
  const flags = nofollow ? AT_SYMLINK_NOFOLLOW : 0;
  if (loaded.symbols.syscall(SYS_STATX, AT_FDCWD, name, flags, STATX_INO, buffer) !== 0) return;
  const view = new DataView(buffer.buffer);
  return `${view.getBigUint64(DEVICE_OFFSET, true)} ${view.getBigUint64(INODE_OFFSET, true)}`;
}
