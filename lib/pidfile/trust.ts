/**
 * Who may have a process signalled through a pidfile. A pidfile is only as trustworthy as those
 * who can write it: without these rules, whoever owns a run directory could have root kill anything.
 */
import { toCommandError } from "../errors.ts";
import type { PidfileState } from "./pidfile.ts";
import { describe, type Process, uidsOf } from "../process/process.ts";

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * Why root must not signal this process on the word of this pidfile; undefined if it may. For
 * other users there is nothing to ask: the kernel lets them signal their own processes only.
 *
 * A directory that a group can write, such as BOSH's /var/vcap/sys/run/JOB (0770 root:vcap), is
 * accepted. A member of the group can remove root's pidfile there and put one of his own in its
 * place, but that one is his, and may name only his processes. He can also move a pidfile of root
 * there from another such directory: then root's stop script stops another of root's jobs of the same
 * kind, which root itself had written down. No PID of his choice is signalled either way.
 *
 * A pidfile that its group can write is accepted from any owner but root, since its PID must be one
 * of the owner's processes whoever writes it; MariaDB's is 0660 mysql:mysql. Root's may name any
 * process, so nobody else may write it.
 *
 * @param state what the pidfile was when its PID was read
 * @param holder the process it names
 */
export function untrustedReason(
  path: string,
  state: PidfileState,
  holder: Process,
): string | undefined {
  if (Deno.uid() !== 0 || state.kind === "missing") return undefined;
  const { uid, mode, links } = state.stat;
  const forbidden = uid === 0 ? GROUP_WRITE | OTHERS_WRITE : OTHERS_WRITE;
  if ((mode & forbidden) !== 0) {
    return `${path} can be written by others than its owner (mode ${octal(mode)}): ` +
      `chmod ${octal(mode & ~forbidden)} it`;
  }
  if (links > 1) return `${path} has another name, by a hard link: remove it`;
  const directory = path.replace(/[^/]*$/, "") || ".";
  const folderMode = modeOf(directory);
  if ((folderMode & OTHERS_WRITE) !== 0 && (folderMode & STICKY) === 0) {
    return `${path} can be replaced by anybody (mode ${octal(folderMode)} of its directory): ` +
      `chmod ${octal(folderMode & ~OTHERS_WRITE)} ${directory}`;
  }
  if (uid === 0 || (uidsOf(holder) ?? [uid]).includes(uid)) return undefined;
  return `${path} belongs to user ${uid}, and ${describe(holder)} does not`;
}

/**
 * Why nobody should write into this pidfile; undefined if it may be written. Its owner could
 * change it afterwards, and have the next kill signal a process of his choice.
 */
export function untrustedOwnerReason(path: string, state: PidfileState): string | undefined {
  if (state.kind === "missing" || [0, Deno.uid()].includes(state.stat.uid)) return undefined;
  return `${path} belongs to user ${state.stat.uid}, who could change it afterwards: remove it`;
}

function modeOf(directory: string): number {
  try {
    return Deno.statSync(directory).mode ?? 0;
  } catch (error) {
    throw toCommandError(`cannot look at ${directory}`, error);
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
