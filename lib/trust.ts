/**
 * Who may have a process signalled through a pidfile. A pidfile is only as trustworthy as those
 * who can write it: without these rules, whoever owns a run folder could have root kill anything.
 */
import { refusalFor } from "./errors.ts";
import type { Look } from "./pidfile.ts";
import { describe, type Process, usersOf } from "./process.ts";

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * Why root must not signal this process on the word of this pidfile; undefined if it may. For
 * other users there is nothing to ask: the kernel lets them signal their own processes only.
 *
 * A folder that a group can write, such as BOSH's /var/vcap/sys/run/JOB (0770 root:vcap), is
 * accepted. A member of the group can remove root's pidfile there and put one of his own in its
 * place, but that one is his, and may name only his processes. He can also move a pidfile of root
 * there from another such folder: then root's stop script stops another of root's jobs of the same
 * kind, which root itself had written down. No PID of his choice is signalled either way.
 *
 * A pidfile that its group can write is accepted from any owner but root, since its PID must be one
 * of the owner's processes whoever writes it; MariaDB's is 0660 mysql:mysql. Root's may name any
 * process, so nobody else may write it.
 *
 * @param look what the pidfile was when its PID was read
 * @param holder the process it names
 */
export function distrust(path: string, look: Look, holder: Process): string | undefined {
  if (Deno.uid() !== 0 || look.kind === "missing") return undefined;
  const { uid, mode, links } = look.stamp;
  const forbidden = uid === 0 ? GROUP_WRITE | OTHERS_WRITE : OTHERS_WRITE;
  if ((mode & forbidden) !== 0) {
    return `${path} can be written by others than its owner (mode ${octal(mode)}): ` +
      `chmod ${octal(mode & ~forbidden)} it`;
  }
  if (links > 1) return `${path} has another name, by a hard link: remove it`;
  const folder = path.replace(/[^/]*$/, "") || ".";
  const folderMode = modeOf(folder);
  if ((folderMode & OTHERS_WRITE) !== 0 && (folderMode & STICKY) === 0) {
    return `${path} can be replaced by anybody (mode ${octal(folderMode)} of its folder): ` +
      `chmod ${octal(folderMode & ~OTHERS_WRITE)} ${folder}`;
  }
  if (uid === 0 || (usersOf(holder) ?? [uid]).includes(uid)) return undefined;
  return `${path} belongs to user ${uid}, and ${describe(holder)} does not`;
}

/**
 * Why nobody should write into this pidfile; undefined if it may be written. Its owner could
 * change it afterwards, and have the next kill signal a process of his choice.
 */
export function distrustOwner(path: string, look: Look): string | undefined {
  if (look.kind === "missing" || [0, Deno.uid()].includes(look.stamp.uid)) return undefined;
  return `${path} belongs to user ${look.stamp.uid}, who could change it afterwards: remove it`;
}

function modeOf(folder: string): number {
  try {
    return Deno.statSync(folder).mode ?? 0;
  } catch (error) {
    throw refusalFor(`cannot look at ${folder}`, error);
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
