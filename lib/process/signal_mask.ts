/** The signals that are blocked because a parent had blocked them. */
import { readProc } from "./proc.ts";

// Sources: signal.h of Linux; glibc's sigset_t.
const SIG_SETMASK = 2;
const SIGSET_BYTES = 128;

const SYMBOLS = {
  pthread_sigmask: { parameters: ["i32", "buffer", "pointer"], result: "i32" },
} as const;

/**
 * Unblocks all signals, for this program and what it starts: a blocked one stays pending for ever.
 * glibc is only reached where one is blocked, because that costs a millisecond.
 */
export function unblockSignals(): void {
  if (!/^SigBlk:\s*0*[1-9a-f]/m.test(readProc("thread-self/status") ?? "")) return;
  const library = Deno.dlopen("libc.so.6", SYMBOLS);
  try {
    library.symbols.pthread_sigmask(SIG_SETMASK, new Uint8Array(SIGSET_BYTES), null);
  } finally {
    library.close();
  }
}
