/**
 * open(2) that neither blocks nor follows a symlink, for files in other users' hands.
 *
 * The runtime has no O_NONBLOCK, and its asynchronous open runs on the main thread as well.
 */
import { descriptorAt } from "../process/proc.ts";
import {
  closeDescriptor,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  openDescriptor,
  osError,
} from "./libc.ts";

const ENOENT = 2;
/** The file was replaced by a symlink, or by a socket or device that nothing is connected to. */
const REPLACED = [40, 6]; // ELOOP, ENXIO
const EWOULDBLOCK = 11;

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
  const fd = openDescriptor(path, (write ? O_RDWR : O_RDONLY) | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) {
    if (fd === -EWOULDBLOCK) return "blocked";
    if (fd === -ENOENT || REPLACED.includes(-fd)) return "missing";
    throw osError(-fd);
  }
  try {
    // As long as the descriptor is open, there can be no lease that blocks this.
    const file = descriptorAt(fd);
    return Deno.statSync(file).isFile ? Deno.openSync(file, { read: true, write }) : "missing";
  } finally {
    closeDescriptor(fd);
  }
}
