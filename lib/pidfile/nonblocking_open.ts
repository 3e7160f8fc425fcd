/**
 * open(2) that neither blocks nor follows a symlink, for files in other users' hands.
 *
 * The runtime has no O_NONBLOCK, and its asynchronous open runs on the main thread as well.
 */

// Source: fcntl.h of Linux.
const O_RDONLY = 0;
const O_RDWR = 0o2;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
const O_CLOEXEC = 0o2000000;

/** The file was replaced by a symlink, or by a socket or device that nothing is connected to. */
const REPLACED = [40, 6]; // ELOOP, ENXIO
const EWOULDBLOCK = 11;
const ENOENT = 2;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;
/** Apart from those above, because each symbol costs every open 0.1 ms. */
const ERROR_SYMBOLS = {
  strerror: { parameters: ["i32"], result: "pointer" },
} as const;

/**
 * Opens a file for reading, with `write` for writing too.
 *
 * @returns `blocked` while a lease (F_SETLEASE) would block it, `missing` if it does not exist or
 * is something else by now
 * @throws any other errno, in the words and the form of the runtime's own errors
 */
export function openNonblocking(
  path: string,
  write: boolean,
): Deno.FsFile | "blocked" | "missing" {
  const libc = Deno.dlopen("libc.so.6", SYMBOLS);
  try {
    return open(libc.symbols, path, write);
  } finally {
    libc.close();
  }
}

function open(
  libc: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"],
  path: string,
  write: boolean,
): Deno.FsFile | "blocked" | "missing" {
  const access = write ? O_RDWR : O_RDONLY;
  const flags = access | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  const fd = libc.open(new TextEncoder().encode(`${path}\0`), flags);
  if (fd < 0) {
    const errno = new Deno.UnsafePointerView(libc.__errno_location()!).getInt32();
    if (errno === EWOULDBLOCK) return "blocked";
    if (errno === ENOENT || REPLACED.includes(errno)) return "missing";
    throw new Error(`${wordsOf(errno)} (os error ${errno})`);
  }
  try {
    // As long as the descriptor is open, there can be no lease that blocks this.
    const file = `/proc/self/fd/${fd}`;
    return Deno.statSync(file).isFile ? Deno.openSync(file, { read: true, write }) : "missing";
  } finally {
    libc.close(fd);
  }
}

function wordsOf(errno: number): string {
  const libc = Deno.dlopen("libc.so.6", ERROR_SYMBOLS);
  try {
    return new Deno.UnsafePointerView(libc.symbols.strerror(errno)!).getCString();
  } finally {
    libc.close();
  }
}
