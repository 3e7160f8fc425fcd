/**
 * open(2) and readlink(2) with flags that the runtime does not have, for files alone; what concerns
 * processes and signals is reached by lib/process.
 * Loaded on first use, because reaching glibc costs a millisecond.
 */

// Source: fcntl.h of Linux.
/** For reading. */
export const O_RDONLY = 0;
/** For reading and writing. */
export const O_RDWR = 0o2;
/** A terminal does not become ours. */
export const O_NOCTTY = 0o400;
/** Neither a FIFO nor a lease blocks. */
export const O_NONBLOCK = 0o4000;
/** Not what a symlink leads to: ELOOP, or with `O_PATH` the symlink itself. */
export const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
/** Only to examine it, and as the beginning of a path. */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

const PATH_MAX = 4_096;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;
/** Apart from those above, because each symbol costs 0.1 ms. */
const READLINK = {
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
} as const;
const STRERROR = {
  strerror: { parameters: ["i32"], result: "pointer" },
} as const;

let loaded: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;

function libc(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  // Never unloaded: a pidfile and its record are opened one after the other.
  loaded ??= Deno.dlopen("libc.so.6", SYMBOLS);
  return loaded.symbols;
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** Returns a descriptor, which `closeDescriptor` closes, or the negated errno. */
export function openDescriptor(path: string, flags: number): number {
  const fd = libc().open(cString(path), flags | O_CLOEXEC);
  return fd >= 0 ? fd : -errno();
}

/** Closes what `openDescriptor` returned. */
export function closeDescriptor(fd: number): void {
  libc().close(fd);
}

/**
 * Returns the target of the symlink that a descriptor is open on (O_PATH | O_NOFOLLOW).
 *
 * @throws the errno, as the runtime's own errors give it
 */
export function readSymlink(fd: number): string {
  const library = Deno.dlopen("libc.so.6", READLINK);
  try {
    const target = new Uint8Array(PATH_MAX);
    const length = Number(library.symbols.readlinkat(fd, cString(""), target, BigInt(PATH_MAX)));
    if (length < 0) throw osError(errno());
    return decode(target.subarray(0, length));
  } finally {
    library.close();
  }
}

/** A replacement character could be the name of another file. */
function decode(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error("the target of a symlink on the way is not valid UTF-8");
  }
}

function errno(): number {
  return new Deno.UnsafePointerView(libc().__errno_location()!).getInt32();
}

/** Returns an errno in the words and the form of the runtime's own errors. */
export function osError(errno: number): Error {
  const library = Deno.dlopen("libc.so.6", STRERROR);
  try {
    const words = new Deno.UnsafePointerView(library.symbols.strerror(errno)!).getCString();
    return new Error(`${words} (os error ${errno})`);
  } finally {
    library.close();
  }
}
