/**
 * Who may have a process signalled through a pidfile. A pidfile is only as trustworthy as everyone
 * who can change it: without these rules, the owner of a run directory could have root kill any
 * process. docs/security.md has them in full.
 */
import {
  describe,
  effectiveUser,
  isAnyoneOutside,
  maySignalOthers,
  type Process,
  type Users,
  usersOf,
} from "../process/process.ts";
import { shellQuote } from "../shell_quote.ts";
import { groupName, userName } from "../users.ts";
import { GROUP_WRITE, octal, OTHERS_WRITE, STICKY } from "./modes.ts";
import type { ExistingPidfile, PidfileState } from "./pidfile.ts";
import { type Component, isOurs } from "./walk.ts";

/** Why a pidfile is not trusted, and what changes that. */
export interface Distrust {
  /** What is wrong, beginning with the path. */
  readonly fact: string;
  /** What to do about it. */
  readonly hint: string;
}

/**
 * Returns why this process must not be signalled on the word of this pidfile; undefined if it may.
 *
 * Everyone who could have named the process there must be allowed to signal it: root, and the
 * users that the kernel would let signal it (its real and its saved one). Where the kernel lets us
 * signal processes of one user only, there is nothing to ask. What cannot be seen counts as
 * refused.
 *
 * @param state the pidfile as it was when its PID was read
 * @param target the process it names
 */
export function findDistrust(
  path: string,
  state: PidfileState,
  target: Process,
): Distrust | undefined {
  if (target.pid === 1) {
    return {
      fact: `${shellQuote(path)}: names ${describe(target)}, which is never signalled`,
      hint: "stop the machine or the container instead, or remove the pidfile if it is from " +
        "another one",
    };
  }
  if (state.kind === "missing" || isRootsAlone(state)) return undefined;
  // The users are read when something depends on them.
  let users: Users | undefined;
  const usersOfTarget = (): Users | undefined => users ??= usersOf(target);
  const may = (user: number): boolean =>
    user === 0 || !isAnyoneOutside(user) &&
      (user === usersOfTarget()?.real || user === usersOfTarget()?.saved);
  const distrust = untrustedFile(path, state, target, may) ??
    state.way.components
      .map((component) => untrustedComponent(path, component, state, target, usersOfTarget, may))
      .find((distrust) => distrust !== undefined);
  return distrust !== undefined && maySignalOthers() ? distrust : undefined;
}

/** Returns whether only root can have named a process there, as in /run: then all is well. */
export function isRootsAlone({ way, stat: { uid, mode, links } }: ExistingPidfile): boolean {
  return effectiveUser() === 0 && !way.isShared && !way.hasSharedSymlink && uid === 0 &&
    links === 1 && (mode & (GROUP_WRITE | OTHERS_WRITE)) === 0;
}

function untrustedFile(
  path: string,
  { stat: { uid, mode, links } }: ExistingPidfile,
  target: Process,
  may: (user: number) => boolean,
): Distrust | undefined {
  const name = shellQuote(path);
  // A group may write any other owner's, since that one must name the owner's own process;
  // MariaDB's is 0660 mysql:mysql.
  const forbidden = uid === 0 ? GROUP_WRITE | OTHERS_WRITE : OTHERS_WRITE;
  if ((mode & forbidden) !== 0) {
    return {
      fact: `${name}: can be written by others than its owner (mode ${octal(mode)})`,
      hint: `chmod ${octal(mode & ~forbidden)} ${name}`,
    };
  }
  if (links > 1) return { fact: `${name}: has a hard link by another name`, hint: "remove that" };
  if (may(uid)) return undefined;
  return {
    fact: `${name}: is owned by ${userName(uid)}, ${butNot(target, uid)}`,
    hint: `if that process is the service, chown root ${name}; otherwise remove it`,
  };
}

/** One directory or symlink on the way. */
function untrustedComponent(
  path: string,
  { path: at, isSymlink, uid, gid, mode }: Component,
  state: ExistingPidfile,
  target: Process,
  users: () => Users | undefined,
  may: (user: number) => boolean,
): Distrust | undefined {
  const [name, place] = [shellQuote(path), shellQuote(at)];
  const isProven = !isSymlink && isProvenByRecord(state);
  const prove = state.way.hasSharedSymlink
    ? "give its path without symlinks"
    : "write the pidfile with sipid claim, by this path";
  if (!may(uid) && !isProven) {
    const what = isSymlink ? "symlink" : "directory";
    return {
      fact: `${name}: its ${what} ${place} is owned by ${userName(uid)}, ${butNot(target, uid)}`,
      hint: `chown root ${place}, or keep the pidfile in a directory of root's`,
    };
  }
  if (isSymlink) return undefined;
  if ((mode & STICKY) !== 0) {
    if (!canReceive(at, mode, state)) return undefined;
    return {
      fact: `${name}: may have been moved to ${place} (mode ${octal(mode)}) by another user`,
      hint: `${prove}, or keep it in a directory of root's`,
    };
  }
  if ((mode & OTHERS_WRITE) !== 0) {
    return {
      fact: `${name}: can be replaced by any user (${place} has mode ${octal(mode)})`,
      hint: `chmod o-w ${place}`,
    };
  }
  if ((mode & GROUP_WRITE) === 0 || isSafeForGroup(gid, state, users)) {
    return undefined;
  }
  return {
    fact: `${name}: can be replaced by group ${groupName(gid)} (${place} has mode ` +
      `${octal(mode)}), which may not signal ${describe(target)}`,
    hint: `chmod g-w ${place}, or ${prove}`,
  };
}

/**
 * In a sticky directory, such as /tmp, only an entry's owner can replace it. But whoever can write
 * another directory can move a pidfile of root's from there, to a name that is free. (Not a
 * directory: that takes the permission to write it.) The same holds for a symlink of root's.
 */
function canReceive(directory: string, mode: number, state: ExistingPidfile): boolean {
  const { resolved, components } = state.way;
  const symlinks = components.filter(({ isSymlink }) => isSymlink).map(({ path }) => path);
  const isOnTheWay = [resolved, ...symlinks]
    .some((path) => directory === (path.slice(0, path.lastIndexOf("/")) || "/"));
  return isOnTheWay && (mode & (GROUP_WRITE | OTHERS_WRITE)) !== 0 && state.stat.uid === 0 &&
    !isProvenByRecord(state);
}

/**
 * Returns whether the claim record says that this process was claimed here. It has the path without
 * symlinks, and so does not show that one of root's was exchanged for another.
 */
function isProvenByRecord({ record, way }: ExistingPidfile): boolean {
  return record?.isByThisPath === true && !way.hasSharedSymlink;
}

/**
 * Who can write a directory, such as the members of the group of BOSH's /var/vcap/sys/run (0770
 * root:vcap), can move pidfiles there, but not write one for another owner. So they have no choice
 * of process where the claim record says that this process was claimed here, by this very path;
 * that holds for a directory's owner too. A group's members have none either where the pidfile's
 * owner is not root, since it then names a process of that owner, and where the process is that of
 * the user whose name or number the group has.
 */
function isSafeForGroup(
  gid: number,
  state: ExistingPidfile,
  users: () => Users | undefined,
): boolean {
  if (isProvenByRecord(state) || state.stat.uid !== 0) return true;
  const { group, real } = users() ?? {};
  if (real === undefined || real === 0 || group !== gid || isAnyoneOutside(gid)) return false;
  return real === gid || userName(real) === groupName(gid);
}

function butNot(target: Process, uid: number): string {
  if (isAnyoneOutside(uid)) return "who may be any user outside of this user namespace";
  return usersOf(target) === undefined
    ? `and the owner of ${describe(target)} is hidden`
    : `but ${describe(target)} is not`;
}

/**
 * Returns why a PID must not be written into this pidfile; undefined if it may. Its owner could
 * change it afterwards, and have the next kill signal a process of their choice.
 */
export function untrustedOwnerReason(path: string, state: PidfileState): string | undefined {
  if (state.kind === "missing" || isOurs(state.stat.uid)) return undefined;
  return `${shellQuote(path)}: is owned by ${userName(state.stat.uid)}, ` +
    "who could change it later; claim it as that user, or use another directory";
}
