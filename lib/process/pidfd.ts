/**
 * A descriptor that becomes readable when its process exits: pidfd_open(2), in Linux since 5.3.
 * Loaded on first use, because reaching glibc costs a millisecond and 2 MiB.
 */
import type { Pid } from "./pid.ts";

const SYS_PIDFD_OPEN = 434n; // the same on every architecture
const EFD_CLOEXEC = 0o2000000;
const POLLIN = 1;
/** Bytes of struct pollfd: int fd, short events, short revents. */
const POLLFD_BYTES = 8;
const NO_TIMEOUT = -1;
/**
 * Each wait blocks a thread of the runtime's pool, which has 32 and needs them for locks and name
 * lookups too.
 */
const MAX_OPEN = 8;

const SYMBOLS = {
  syscall: { parameters: ["i64", "i32", "u32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  eventfd_write: { parameters: ["i32", "u64"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const;
type Libc = Deno.DynamicLibrary<typeof SYMBOLS>;

/** The waits that have a descriptor open. */
let open = 0;
let library: Libc | undefined;
/** How often the library is in use; it is closed after the last. */
let users = 0;

/**
 * Reaches glibc, where that can be done, and keeps it until disposed. Called before a signal is
 * sent, it does not delay the wait for a process that exits at once.
 */
export function preparePidfd(): Disposable {
  const isUsed = use() !== undefined;
  return { [Symbol.dispose]: () => isUsed ? release() : undefined };
}

function use(): Libc | undefined {
  try {
    library ??= Deno.dlopen("libc.so.6", SYMBOLS);
    users++;
    return library;
  } catch {
    return undefined; // the caller polls, whatever the reason
  }
}

function release(): void {
  if (--users > 0) return;
  library?.close();
  library = undefined;
}

/**
 * Opens a descriptor of the process that has this PID now; undefined where there is none, or where
 * the kernel, a seccomp filter, a limit or the C library stands in the way.
 */
export function openPidfd(pid: Pid): Pidfd | undefined {
  if (open >= MAX_OPEN) return undefined;
  const libc = use();
  if (libc === undefined) return undefined;
  const fd = libc.symbols.syscall(SYS_PIDFD_OPEN, pid, 0);
  const wakeup = fd < 0 ? -1 : libc.symbols.eventfd(0, EFD_CLOEXEC);
  const pidfd = new Pidfd(libc, fd, wakeup);
  if (wakeup >= 0) return pidfd;
  pidfd[Symbol.dispose]();
  return undefined;
}

/** Refers to one process for as long as it is open, whoever gets the PID later. */
export class Pidfd implements Disposable {
  readonly #libc: Libc;
  readonly #fd: number;
  /** An eventfd(2), polled with the process: writing to it ends the poll. */
  readonly #wakeup: number;

  /** Takes over the library and both descriptors, of which one that is -1 was never opened. */
  constructor(libc: Libc, fd: number, wakeup: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#wakeup = wakeup;
    open++;
  }

  /**
   * Waits until the process has exited: until it is a zombie or reaped, with all its threads.
   *
   * @returns false where poll(2) fails, as when a signal interrupts it: ask again
   * @throws the reason of `signal`, once that is aborted
   */
  async exited(signal: AbortSignal): Promise<boolean> {
    const buffer = new ArrayBuffer(2 * POLLFD_BYTES);
    const fds = new Int32Array(buffer);
    const events = new Int16Array(buffer);
    [fds[0], fds[2]] = [this.#fd, this.#wakeup];
    events[2] = events[6] = POLLIN;
    const wake = (): void => void this.#libc.symbols.eventfd_write(this.#wakeup, 1n);
    signal.addEventListener("abort", wake);
    try {
      signal.throwIfAborted();
      // On a thread of the runtime; the descriptors stay open until it has returned.
      const ready = await this.#libc.symbols.poll(buffer, 2n, NO_TIMEOUT);
      signal.throwIfAborted();
      return ready > 0 && (events[3]! & POLLIN) !== 0;
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  /** Closes the descriptors, once no wait on them is left. */
  [Symbol.dispose](): void {
    for (const fd of [this.#fd, this.#wakeup]) if (fd >= 0) this.#libc.symbols.close(fd);
    release();
    open--;
  }
}
