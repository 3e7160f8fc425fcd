/** Shell scripts in namespaces of their own, where PIDs, file systems and the boot id can be set. */
import { type Result, run, SIPID, type TempDir } from "./support.ts";

/**
 * What the scripts have besides the shell. In a PID namespace the shell is its first process;
 * there, `recycle` gives a number that has become free to a new process.
 */
const FUNCTIONS = `
# Prints the PID of a new process, which has become sleep(1).
spawn() {
  sleep 600 >&2 & pid=$!
  until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
}
end() { kill -9 $1; wait $1 || :; }
# Gives the PID $1 to a new process.
recycle() {
  pid=
  until [ "$pid" = $1 ]; do
    [ -z "$pid" ] || end $pid
    echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid
    sleep 600 >&2 & pid=$!
  done
  until grep -qs sleep /proc/$pid/comm; do sleep 0.01; done
}
# Modifies a file so that its time shows it, which a claim record has in milliseconds.
modify() {
  before=$(stat -c %.3Y $1)
  until touch $1; [ $(stat -c %.3Y $1) != $before ]; do sleep 0.001; done
}
is_running() { grep -qs '^State:.[RSDTt]' /proc/$1/status; }
sipid() { "$SIPID" "$@"; }
# Prints an exit status, whether the process is running, and whether web.pid still names it.
seen() {
  file=$([ ! -e web.pid ] || cat web.pid)
  echo "$1: exit $2$(is_running $pid && echo ', running')$([ "$file" != $pid ] || echo ', named')"
}
`;

/** Runs a shell script in a mount namespace, and in those that the options of unshare(1) name. */
export function inNamespace(script: string, ...unshare: string[]): Promise<Result> {
  const user = Deno.uid() === 0 ? [] : ["--map-root-user"];
  const namespaces = ["unshare", "--mount", ...user, ...unshare];
  // Bounded, because the scripts wait for what they expect.
  return run("timeout", ["60", ...namespaces, "sh", "-euc", FUNCTIONS + script], {
    env: { SIPID },
  });
}

/** Runs a shell script in `dir`, in PID and mount namespaces that end with it. */
export function inPidNamespace(dir: TempDir, script: string): Promise<Result> {
  const options = ["--pid", "--fork", "--mount-proc", "--kill-child"];
  return inNamespace(`cd ${dir.path}\n${script}`, ...options);
}

/** Runs a shell script as `inNamespace` does, with a tmpfs mounted at `dir`. */
export function onTmpfs(dir: TempDir, options: string, script: string): Promise<Result> {
  return inNamespace(
    `mount -t tmpfs -o mode=755,${options} tmpfs ${dir.path}; cd ${dir.path}; ${script}`,
  );
}
