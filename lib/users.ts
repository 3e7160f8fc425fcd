/** Names of users and groups. Source: passwd(5), group(5). */

/** Returns the name of a user, or `user 1234` if /etc/passwd has none. */
export function userName(uid: number): string {
  return nameIn("/etc/passwd", uid) ?? `user ${uid}`;
}

/** Returns the name of a group, or its number if /etc/group has none. */
export function groupName(gid: number): string {
  return nameIn("/etc/group", gid) ?? String(gid);
}

function nameIn(path: string, id: number): string | undefined {
  try {
    // Both begin with NAME:PASSWORD:ID.
    return new RegExp(`^([^:\n]+):[^:\n]*:${id}:`, "m").exec(Deno.readTextFileSync(path))?.[1];
  } catch {
    return undefined;
  }
}
