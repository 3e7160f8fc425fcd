/** File systems whose inode numbers the runtime rounds, so that those of neighbours are equal. */
import { assertEquals } from "@std/assert";
import { inPidNamespace } from "../namespaces.ts";
import { TempDir } from "../support.ts";

/** Mounts an overlay of the files in `lower`, with numbers from 2^63 on, and enters it. */
const OVERLAY = `
  overlay() {
    options=lowerdir=lower,upperdir=upper/files,workdir=upper/work,xino=on
    mount -t overlay -o $options overlay root; cd root
    set -- $(stat -c %i "$@" | cut -c1-15 | uniq -c)
    echo "$1 of $2..."
  }
  mkdir lower upper root
  mount -t tmpfs lower lower; mount -t tmpfs upper upper; mkdir upper/files upper/work`;
const NEIGHBOURS = "2 of 922337203685477...\n";

Deno.test("a program is not taken for its neighbour on the file system", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    ${OVERLAY}
    cp /bin/sleep lower/web; cp /bin/sleep lower/other; overlay web other
    for program in other web; do
      ./$program 600 >&2 & pid=$!
      until grep -qs $program /proc/$pid/comm; do sleep 0.01; done
      printf %s $pid > web.pid; touch -d '1 hour ago' web.pid
      status=0; sipid kill --pid-file web.pid --exec web || status=$?
      seen $program $status
    done`,
  );
  const seen = `${NEIGHBOURS}other: exit 0, running\nweb: exit 0\n`;
  assertEquals(stdout, seen, stderr);
});

Deno.test("a pidfile is not taken for its neighbour on the file system", async () => {
  using dir = new TempDir();
  // Replaced by another file while kill waits for the lock.
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    ${OVERLAY}
    spawn; echo 99999 > lower/web.pid; printf %s $pid > lower/next; overlay web.pid next
    exec 9<web.pid; flock 9
    "$SIPID" kill --pid-file web.pid 9<&- & killer=$!
    until grep -qs lock_inode_wait /proc/$killer/task/*/wchan; do sleep 0.01; done
    mv next web.pid
    exec 9<&-
    status=0; wait $killer || status=$?
    seen kill $status`,
  );
  assertEquals(stdout, `${NEIGHBOURS}kill: exit 0\n`, stderr);
});

Deno.test("a directory is not taken for its neighbour on the file system", async () => {
  using dir = new TempDir();
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    ${OVERLAY}
    mkdir lower/web lower/copy; overlay web copy
    spawn; sipid claim --pid $pid --pid-file web/web.pid
    cp -a web/. copy
    status=0; sipid kill --pid-file copy/web.pid || status=$?
    cd web; seen copy $status
    cd ..; status=0; sipid kill --pid-file web/web.pid || status=$?
    cd web; seen web $status`,
  );
  const seen = `${NEIGHBOURS}copy: exit 1, running, named\nweb: exit 0\n`;
  assertEquals(stdout, seen, stderr);
});

Deno.test("a log is not emptied in place of its neighbour, the pidfile", async () => {
  using dir = new TempDir();
  // What is mounted cannot be removed, so that kill empties it.
  const { stdout, stderr } = await inPidNamespace(
    dir,
    `
    ${OVERLAY}
    echo 99999 > lower/web.pid; echo kept > lower/log; overlay web.pid log
    mount --bind web.pid web.pid
    sipid kill --pid-file web.pid 2>>log; cat log web.pid`,
  );
  const report = "sipid kill: web.pid: process 99999 is not running; emptied the stale pidfile";
  assertEquals(stdout.replace(/^\S+Z /m, ""), `${NEIGHBOURS}kept\n${report}\n`, stderr);
});
