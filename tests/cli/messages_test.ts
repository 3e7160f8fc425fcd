/**
 * Every message of sipid, provoked and compared as a whole. Read the table aloud from top to
 * bottom. The last tests compare it with the source: a text there that no message here contains
 * fails, and so does an entry that no text in the source belongs to.
 */
import { assertEquals, assertNotMatch } from "@std/assert";
import { INTERNALS } from "../stress/stress.ts";
import {
  AS_NOBODY,
  Job,
  lockedElsewhere,
  readIfExists,
  ROOT,
  run,
  RUNS_TEXT_FILES,
  SIPID,
  TempDir,
  until,
} from "../support.ts";
import { httpServer, rawServer, readRequest, type Server } from "../servers.ts";
import { allTexts, patternOf, type SourceText } from "./messages.ts";

/** A shell script, and the lines it prints: stdout, then stderr. See `print()`. */
type Message = readonly [script: string, ...lines: string[]];

/** A runtime that gives what the kernel cannot run to /bin/sh never has this message. */
const NOT_A_PROGRAM: Message = [
  "printf 'echo\\n' >script; chmod +x script; sipid pidproxy none.pid ./script",
  "sipid pidproxy: cannot run ./script: exec format error; it is not a program for this machine, or lacks a first line like #!/bin/sh",
];

/**
 * Messages by command. The scripts run in a directory with
 *
 *     web.pid      names a running `sleep`, $JOB
 *     root.pid     names a process of root
 *     stale.pid    names a process that is not running; locked.pid too, and is locked
 *     bad.pid      does not contain a PID
 *     empty.pid, web.log
 *
 * $URL is an HTTP server that answers /N with the status N, and at /kill kills the job. On port
 * $ALERT every request gets a TLS alert, on $DENY the status 407; $CLOSE closes every connection.
 * `group SCRIPT` starts a process group whose leader, in group.pid, runs a shell script.
 * `$NOBODY COMMAND` runs a command as an unprivileged user. `inject CALL:error=ERRNO FILE COMMAND`
 * has a system call fail, on a file of that name or on `any`.
 */
const MESSAGES: Readonly<Record<string, readonly Message[]>> = {
  sipid: [
    [
      "sipid stop",
      'sipid: unknown command "stop"',
      "sipid: run 'sipid help' for the commands",
    ],
    [
      "sipid klil",
      'sipid: unknown command "klil"; did you mean kill?',
      "sipid: run 'sipid help' for the commands",
    ],
  ],
  claim: [
    [
      "touch -d '1 hour ago' web.pid; sipid claim --pid 17 --pid-file web.pid --exec /bin/true",
      "sipid claim: web.pid: was stale (process PID (sleep) runs /bin/sleep, not /bin/true); claimed for process 17",
    ],
    [
      "touch -d '1 hour ago' web.pid; sipid claim --pid 17 --pid-file web.pid --exec /bin/sleep",
      "sipid claim: process PID (web.pid) already exists: sleep, running since TIME (0s); stop it first: sipid kill --pid-file web.pid --exec /bin/sleep",
    ],
    [
      "sipid claim --pid 17 --pid-file web.pid",
      "sipid claim: process PID (web.pid) already exists: sleep, running since TIME (0s); stop it first: sipid kill --pid-file web.pid",
    ],
    [
      "sipid claim --pid $JOB --pid-file web.pid",
      "sipid claim: process PID (web.pid) is already in the pidfile: sleep, running since TIME (0s); there is nothing to claim",
    ],
    [
      "touch -d '1 hour ago' web.pid; sipid claim --pid 17 --pid-file web.pid",
      "sipid claim: process PID (web.pid) already exists: sleep, running since TIME (0s); but it started at TIME, after the pidfile was last modified at TIME; its PID was probably recycled, or the clock was set; --exec PATH settles it, if nothing else runs the program of the service",
    ],
    [
      "sipid claim --pid 17 --pid-file web.pid --exec /bin/true",
      "sipid claim: process PID (web.pid) already exists: sleep, running since TIME (0s); but it runs /bin/sleep, not /bin/true, although it was running when the pidfile was last modified at TIME; leave out --exec if it is the service; otherwise remove the pidfile",
    ],
    [
      "printf '17\\n%s\\n' $JOB >web.pid; sipid claim --pid 17 --pid-file web.pid",
      "sipid claim: process PID (web.pid) already exists: sleep, running since TIME (0s); but the pidfile contains its number, though not as the PID on its first line; if it belongs to the service, stop it by its PID; then remove the pidfile",
    ],
    [
      "sipid claim --pid 17 --pid-file web.pid --exec /nonexistent",
      "sipid claim: --exec /nonexistent: no such file; give the path of the program that the service runs",
    ],
    [
      "sipid claim --pid 17 --pid-file web.pid --exec /usr/bin",
      "sipid claim: --exec /usr/bin: is not a file; give the path of the program that the service runs",
    ],
    [
      "sipid claim --pid 17 --pid-file locked.pid",
      "sipid claim: another process is locking locked.pid: process PID (sleep) of root; wait for it to exit, or find it with: fuser -v locked.pid",
    ],
    [
      "ln -s web.pid link.pid; sipid claim --pid 17 --pid-file link.pid",
      "sipid claim: link.pid: is a symlink, not a regular file; give the path of the pidfile itself",
    ],
    [
      "sipid claim --pid 17 --pid-file bin",
      "sipid claim: bin: is a directory, not a regular file; give the path of the pidfile itself",
    ],
    [
      "sipid claim --pid 17 --pid-file web/",
      "sipid claim: web/: names a directory; give the path of the pidfile itself",
    ],
    [
      "sipid claim --pid 17 --pid-file .web.pid.claim",
      "sipid claim: .web.pid.claim: has a name that is reserved for claims of web.pid; use another path",
    ],
    [
      "mkfifo fifo.pid; sipid claim --pid 17 --pid-file fifo.pid",
      "sipid claim: fifo.pid: is a FIFO, not a regular file; give the path of the pidfile itself",
    ],
    [
      "sipid claim --pid 17 --pid-file /dev/null",
      "sipid claim: /dev/null: is a device, not a regular file; give the path of the pidfile itself",
    ],
    [
      "chmod 755 .; $NOBODY sipid claim --pid 17 --pid-file new.pid",
      "sipid claim: cannot open new.pid: permission denied; run as root or as its owner",
    ],
    [
      "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"s.pid\")'; sipid claim --pid 17 --pid-file s.pid",
      "sipid claim: s.pid: is a socket, not a regular file; give the path of the pidfile itself",
    ],
    [
      "echo some text >web.conf; sipid claim --pid 17 --pid-file web.conf",
      'sipid claim: web.conf: is not a pidfile: it begins with "some text\\n" (10 bytes); use another path, or remove it',
    ],
  ],
  "claim, with a warning": [
    [
      "sipid claim --pid 2147483647 --pid-file new.pid",
      "sipid claim: warning: new.pid: process 2147483647 is not running; claim the PID of one that is, such as $$",
    ],
    [
      "mkdir .new.pid.claim; sipid claim --pid $JOB --pid-file new.pid",
      "sipid claim: warning: new.pid: has no claim record, so start times decide later: cannot write the claim record .new.pid.claim: is a directory",
    ],
    [
      "chmod 777 .; $AS_ROOT sipid claim --pid $JOB --pid-file new.pid",
      "sipid claim: warning: new.pid: can be replaced by any user (DIR has mode 0777), so kill will not signal it; chmod o-w DIR",
    ],
  ],
  kill: [
    [
      "touch -d '1 hour ago' web.pid; sipid kill --pid-file web.pid",
      "sipid kill: web.pid: process PID (sleep) may not be the process that the pidfile means: it started at TIME, after the pidfile was last modified at TIME; its PID was probably recycled, or the clock was set; nothing was signalled; --exec PATH settles it, if nothing else runs the program of the service",
    ],
    [
      "touch -d '1 hour ago' web.pid; sipid kill --pid-file web.pid --exec /bin/true",
      "sipid kill: web.pid: process PID (sleep) runs /bin/sleep, not /bin/true, and was not signalled; removed the stale pidfile",
    ],
    ["sipid kill --pid-file none.pid", "sipid kill: none.pid: does not exist; nothing to kill"],
    [
      "sipid kill --pid-file bad.pid",
      'sipid kill: bad.pid: does not contain a valid pid: it begins with "web\\n" (4 bytes); nothing was signalled; inspect the file and remove it if its process has exited',
    ],
    [
      "sipid kill --pid-file empty.pid",
      "sipid kill: empty.pid: is empty; removed the stale pidfile",
    ],
    [
      "sipid kill --pid-file stale.pid",
      "sipid kill: stale.pid: process 2147483647 is not running; removed the stale pidfile",
    ],
    [
      "sipid kill --pid-file locked.pid",
      "sipid kill: locked.pid: process 2147483647 is not running; nothing was signalled: another process is locking locked.pid: process PID (sleep) of root; wait for it to exit, or find it with: fuser -v locked.pid",
    ],
    [
      "sipid kill --pid-file web.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: removed web.pid",
    ],
    [
      "flock web.pid sipid kill --pid-file web.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: kept web.pid: another process is locking web.pid: process PID (sleep) of root; a later claim or kill replaces it",
    ],
    [
      "sipid kill --pid-file web.pid --exec /bin/true",
      "sipid kill: web.pid: process PID (sleep) may not be the process that the pidfile means: it runs /bin/sleep, not /bin/true, although it was running when the pidfile was last modified at TIME; nothing was signalled; leave out --exec if it is the service; otherwise remove the pidfile",
    ],
    [
      "$NOBODY sipid kill --pid-file root.pid",
      "sipid kill: no permission to send SIGTERM to process PID (sleep); root.pid is kept; run this as root, or as the user of that process",
    ],
    [
      "sh -c 'trap \"\" TERM; echo >ready; exec sleep 600' & echo $! >stubborn.pid; until [ -e ready ]; do :; done; sipid kill --pid-file stubborn.pid --grace-period 50ms --show-stacks",
      "sipid kill: sent SIGTERM to process PID (sleep), which ignores it",
      "sipid kill: process PID (sleep) is still running after 5ms",
      "sipid kill: sent SIGQUIT to process PID (sleep), which ignores it",
      "sipid kill: process PID (sleep) is still running after 5ms",
      "sipid kill: sent SIGKILL to process PID (sleep)",
      "sipid kill: process PID (sleep) was killed after 5ms",
      "sipid kill: removed stubborn.pid",
    ],
    [
      "kill -STOP $JOB; sipid kill --pid-file web.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: sent SIGCONT to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: removed web.pid",
    ],
    [
      "sh -c 'trap \"echo 17 >own.pid; exit\" TERM; echo $$ >own.pid; while :; do sleep 0.01; done' & until [ -s own.pid ]; do :; done; sipid kill --pid-file own.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: kept own.pid, which was written again meanwhile",
    ],
    [
      "sh -c 'trap \": >own.pid; exit\" TERM; echo $$ >own.pid; while :; do sleep 0.01; done' & until [ -s own.pid ]; do :; done; sipid kill --pid-file own.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: kept own.pid, which was emptied meanwhile",
    ],
    [
      "echo 1 >init.pid; $AS_ROOT sipid kill --pid-file init.pid",
      "sipid kill: init.pid: names process PID (sleep), which is never signalled; process PID (sleep) was not signalled; stop the machine or the container instead, or remove the pidfile if it is from another one",
    ],
    [
      "chmod 666 web.pid; $AS_ROOT sipid kill --pid-file web.pid",
      "sipid kill: web.pid: can be written by others than its owner (mode 0666); process PID (sleep) was not signalled; chmod 0644 web.pid",
    ],
    [
      "mkdir d; chmod 777 d; cp web.pid d; $AS_ROOT sipid kill --pid-file d/web.pid",
      "sipid kill: d/web.pid: can be replaced by any user (DIR/d has mode 0777); process PID (sleep) was not signalled; chmod o-w DIR/d",
    ],
    [
      "mkdir d; chmod 1777 d; cp web.pid d; $AS_ROOT sipid kill --pid-file d/web.pid",
      "sipid kill: d/web.pid: may have been moved to DIR/d (mode 1777) by another user; process PID (sleep) was not signalled; write the pidfile with sipid claim, by this path, or keep it in a directory of root's",
    ],
    [
      "mkdir d run; chmod 1777 d; cp web.pid run; ln -s ../run d/link; $AS_ROOT sipid kill --pid-file d/link/web.pid",
      "sipid kill: d/link/web.pid: may have been moved to DIR/d (mode 1777) by another user; process PID (sleep) was not signalled; give its path without symlinks, or keep it in a directory of root's",
    ],
    [
      "ln web.pid other.pid; $AS_ROOT sipid kill --pid-file web.pid",
      "sipid kill: web.pid: has a hard link by another name; process PID (sleep) was not signalled; remove that",
    ],
    [
      "sh -c 'trap \"echo $JOB >own.pid; exit\" TERM; echo $$ >own.pid; while :; do sleep 0.01; done' & until [ -s own.pid ]; do :; done; sipid kill --pid-file own.pid",
      "sipid kill: sent SIGTERM to process PID (sleep)",
      "sipid kill: process PID (sleep) exited after 5ms",
      "sipid kill: kept own.pid, which was written again meanwhile",
      "sipid kill: own.pid: process PID (sleep) has taken it over, is running, and was not signalled; run the same command again to stop it",
    ],
    [
      "sipid kill --pid-file web.pid --dry-run --signal INT --grace-period 1m --show-stacks",
      "would send SIGINT to process PID (sleep); wait up to 1m",
      "would then send SIGQUIT; wait up to 1s",
      "would then send SIGKILL; wait up to 5s",
      "would remove web.pid as soon as it has exited",
    ],
    [
      "sipid kill --pid-file stale.pid --dry-run",
      "stale.pid: process 2147483647 is not running; would remove the stale pidfile",
    ],
    [
      "sipid kill --pid-file web.pid --schedule CONT/0",
      "sipid kill: sent SIGCONT to process PID (sleep)",
      "sipid kill: process PID (sleep) is still running after 5ms; web.pid is kept, so that no second instance starts; a schedule that ends with KILL/5s kills it",
    ],
    [
      "group 'exec sleep 600'; sipid kill --pid-file group.pid --group",
      "sipid kill: sent SIGTERM to process group PID",
      "sipid kill: process group PID exited after 5ms",
      "sipid kill: removed group.pid",
    ],
    [
      "group 'exec sleep 600'; sipid kill --pid-file group.pid --group --schedule TERM/1s --dry-run; sipid kill --pid-file group.pid --quiet",
      "would send SIGTERM to process group PID (process PID (sleep)); wait up to 1s",
      "would remove group.pid as soon as it has exited",
    ],
    [
      "group 'sleep 600 & echo $! >left; exec sleep 0'; wait; sipid kill --pid-file group.pid --group 2>&1 | sed 's/process [0-9]* is/process N is/'; kill $(cat left)",
      "sipid kill: group.pid: process N is not running, but its process group is, or a later one with that number: process PID (sleep); nothing was signalled; if they belong to the service, kill them by PID; then remove the pidfile",
    ],
  ],
  signal: [
    [
      "sipid signal --pid-file web.pid --signal CONT",
      "sipid signal: sent SIGCONT to process PID (sleep)",
    ],
    [
      "sipid signal --pid-file web.pid --signal 18 --group",
      "sipid signal: warning: process PID (sleep) leads no process group; only the process itself is signalled",
      "sipid signal: sent SIGCONT to process PID (sleep)",
    ],
    [
      "setsid sh -c 'echo $$ >own.pid; sipid signal --pid-file own.pid --signal CONT --group; :'",
      "sipid signal: warning: process PID (sleep) leads the process group that sipid itself is in; only the process itself is signalled",
      "sipid signal: sent SIGCONT to process PID (sleep)",
    ],
    [
      "sipid signal --pid-file stale.pid --signal HUP",
      "sipid signal: stale.pid: process 2147483647 is not running; SIGHUP was not sent; start the service first, or accept this with --if-running",
    ],
    [
      "sipid signal --pid-file none.pid --signal HUP",
      "sipid signal: none.pid: does not exist; SIGHUP was not sent; start the service first, or accept this with --if-running",
    ],
    [
      "$NOBODY sipid signal --pid-file root.pid --signal HUP",
      "sipid signal: no permission to send SIGHUP to process PID (sleep); root.pid is kept; run this as root, or as the user of that process",
    ],
  ],
  "wait-until-gone": [
    [
      "sipid wait-until-gone --pid-file none.pid",
      "sipid wait-until-gone: none.pid: does not exist",
    ],
    [
      "sipid wait-until-gone --pid-file stale.pid",
      "sipid wait-until-gone: stale.pid: process 2147483647 is not running",
    ],
    [
      "sipid wait-until-gone --pid-file web.pid --timeout 50ms",
      "sipid wait-until-gone: web.pid: process PID (sleep) is still running after 5ms",
    ],
    [
      "sipid wait-until-gone --pid-file web.pid & " +
      "until ls -l /proc/$!/fd 2>/dev/null | grep -q pidfd; do sleep 0.01; done; kill $JOB; wait $!",
      "sipid wait-until-gone: web.pid: process PID (sleep) has exited",
    ],
    [
      "sipid wait-until-gone --pid-file bad.pid",
      'sipid wait-until-gone: bad.pid: does not contain a valid pid: it begins with "web\\n" (4 bytes); inspect the file and remove it if its process has exited',
    ],
    [
      "sipid wait-until-gone --pid-file web.pid --timeout 50ms --exec /bin/true",
      "sipid wait-until-gone: warning: process PID (sleep) may not be the process that the pidfile means: it runs /bin/sleep, not /bin/true, although it was running when the pidfile was last modified at TIME; it is waited for; leave out --exec if it is the service; otherwise remove the pidfile",
      "sipid wait-until-gone: web.pid: process PID (sleep) is still running after 5ms",
    ],
    [
      "group 'exec sleep 600'; sipid wait-until-gone --pid-file group.pid --group --timeout 50ms; sipid kill --pid-file group.pid --quiet",
      "sipid wait-until-gone: group.pid: process group PID is still running after 5ms: process PID (sleep)",
    ],
  ],
  status: [
    [
      "touch -d '1 hour ago' web.pid; sipid status --pid-file web.pid",
      "unknown: web.pid: process PID (sleep) may not be the process that the pidfile means: it started at TIME, after the pidfile was last modified at TIME; its PID was probably recycled, or the clock was set; --exec PATH settles it, if nothing else runs the program of the service",
    ],
    [
      "touch -d '1 hour ago' web.pid; sipid status --pid-file web.pid --exec /bin/true",
      "dead: process PID (sleep) runs /bin/sleep, not /bin/true; stale pidfile web.pid",
    ],
    [
      "$NOBODY sipid status --pid-file root.pid --exec /bin/true",
      "unknown: root.pid: process PID (sleep) may not be the process that the pidfile means: what it runs is hidden; leave out --exec, or run this as root, in a container with CAP_SYS_PTRACE",
    ],
    ["sipid status --pid-file web.pid", "running PID (sleep), up 5ms"],
    [
      "sipid status --pid-file stale.pid",
      "dead: process 2147483647 is not running; stale pidfile stale.pid",
    ],
    ["sipid status --pid-file empty.pid", "dead: empty pidfile empty.pid"],
    ["sipid status --pid-file none.pid", "not running"],
    [
      "sipid status --pid-file bad.pid",
      'unknown: bad.pid: does not contain a valid pid: it begins with "web\\n" (4 bytes)',
    ],
    [
      "sipid claim --pid $JOB --pid-file own.pid; sed -i 's/ [0-9]* / 1 /' .own.pid.claim; sipid status --pid-file own.pid",
      "dead: process PID (sleep) is not the one that was claimed; stale pidfile own.pid",
    ],
  ],
  "wait-until-healthy": [
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: connection refused",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: connection refused",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file bad.pid",
      'sipid wait-until-healthy: bad.pid: does not contain a valid pid: it begins with "web\\n" (4 bytes); nothing to wait for',
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file stale.pid",
      "sipid wait-until-healthy: waiting for stale.pid to be claimed: process 2147483647 is not running",
      "sipid wait-until-healthy: stale.pid: process 2147483647 is not running; see the log of the service",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file stale.pid --timeout 100ms",
      "sipid wait-until-healthy: waiting for stale.pid to be claimed: process 2147483647 is not running",
      "sipid wait-until-healthy: stale.pid: names no running process after 5ms; has the service been started?",
    ],
    [
      "touch -d '1 hour ago' web.pid; " +
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file web.pid --exec /bin/true",
      "sipid wait-until-healthy: waiting for web.pid to be claimed: process PID (sleep) runs /bin/sleep, not /bin/true",
      "sipid wait-until-healthy: web.pid: process PID (sleep) runs /bin/sleep, not /bin/true; see the log of the service",
    ],
    [
      "sipid wait-until-healthy --url https://127.0.0.1:2/ --ca-cert bad.pid",
      'sipid wait-until-healthy: bad.pid: contains no "BEGIN CERTIFICATE"; use a PEM file',
    ],
    [
      "sipid wait-until-healthy --url https://127.0.0.1:2/ --ca-cert none.pem",
      "sipid wait-until-healthy: cannot read none.pem: no such file or directory",
    ],
    [
      "mkfifo fifo.pem; sipid wait-until-healthy --url https://127.0.0.1:2/ --ca-cert fifo.pem",
      "sipid wait-until-healthy: cannot read fifo.pem: is not a regular file; write the PEM to a file",
    ],
    [
      "mkfifo fifo.pem; SSL_CERT_FILE=fifo.pem sipid wait-until-healthy --url https://127.0.0.1:2/",
      "sipid wait-until-healthy: cannot read fifo.pem: is a FIFO; correct or unset SSL_CERT_FILE",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --unix-socket none.sock --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: none.sock: does not exist",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: none.sock: does not exist",
    ],
    [
      "SSL_CERT_FILE=/none sipid wait-until-healthy --url https://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: ignoring SSL_CERT_FILE=/none: no such file or directory",
      "sipid wait-until-healthy: waiting for https://127.0.0.1:2/: connection refused",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://127.0.0.1:2/' was not healthy after N attempts) within TIME: connection refused",
    ],
    [
      "inject connect:error=ENETUNREACH any sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: network is unreachable",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: network is unreachable",
    ],
    [
      "inject connect:error=EHOSTUNREACH any sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: no route to host",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: no route to host",
    ],
    [
      "inject connect:error=ETIMEDOUT any sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: connection timed out",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: connection timed out",
    ],
    [
      "inject connect:error=ECONNRESET any sipid wait-until-healthy --url http://127.0.0.1:2/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: connection reset by the server",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: connection reset by the server",
    ],
    [
      "inject connect:error=EAGAIN any sipid wait-until-healthy --unix-socket web.sock --url http://h/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://h/: web.sock: nothing accepts connections (the backlog is full)",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://h/' was not healthy after N attempts) within TIME: web.sock: nothing accepts connections (the backlog is full)",
    ],
    [
      "inject connect:error=EACCES any sipid wait-until-healthy --unix-socket web.sock --url http://h/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://h/: web.sock: permission denied",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://h/' was not healthy after N attempts) within TIME: web.sock: permission denied",
    ],
    [
      "sipid wait-until-healthy --unix-socket web.log/web.sock --url http://h/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://h/: web.log/web.sock: one of its parents is not a directory",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://h/' was not healthy after N attempts) within TIME: web.log/web.sock: one of its parents is not a directory",
    ],
    [
      "sipid wait-until-healthy --unix-socket $(printf %0108d 0) --url http://h/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://h/: 000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000: the path is longer than 107 bytes",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://h/' was not healthy after N attempts) within TIME: 000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000: the path is longer than 107 bytes",
    ],
    [
      "HTTP_PROXY=http://127.0.0.1:1 sipid wait-until-healthy --url http://web.test/ --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://web.test/: proxy http://127.0.0.1:1: connection refused",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://web.test/' was not healthy after N attempts) within TIME: proxy http://127.0.0.1:1: connection refused",
    ],
    [
      "sipid wait-until-healthy --url $URL/200",
      "sipid wait-until-healthy: http://127.0.0.1:PORT/200 is healthy after 5ms (N attempts)",
    ],
    [
      "sipid wait-until-healthy --url $URL/204 --timeout 100ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:PORT/204: 204 No Content (expected 200)",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:PORT/204' was not healthy after N attempts) within TIME: 204 No Content (expected 200)",
    ],
    [
      "sipid wait-until-healthy --url $URL/kill --pid-file web.pid",
      "sipid wait-until-healthy: web.pid: process PID (sleep) has exited; see the log of the service",
    ],
    [
      "HTTP_PROXY=socks5://127.0.0.1:1 sipid wait-until-healthy --url http://web.test/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for http://web.test/: proxy socks5://127.0.0.1:1: no connection",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://web.test/' was not healthy after N attempts) within TIME: proxy socks5://127.0.0.1:1: no connection",
    ],
    [
      "HTTPS_PROXY=$URL sipid wait-until-healthy --url https://web.test/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for https://web.test/: proxy http://127.0.0.1:PORT: refused to connect to the host",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://web.test/' was not healthy after N attempts) within TIME: proxy http://127.0.0.1:PORT: refused to connect to the host",
    ],
    [
      "sipid wait-until-healthy --url https://127.0.0.1:$ALERT/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for https://127.0.0.1:PORT/: the server ended the TLS handshake: HandshakeFailure",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://127.0.0.1:PORT/' was not healthy after N attempts) within TIME: the server ended the TLS handshake: HandshakeFailure",
    ],
    [
      "sipid wait-until-healthy --url https://127.0.0.1:$CLOSE/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for https://127.0.0.1:PORT/: the server closed the connection unexpectedly",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://127.0.0.1:PORT/' was not healthy after N attempts) within TIME: the server closed the connection unexpectedly",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:$CLOSE/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:PORT/: the server closed the connection without an answer",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:PORT/' was not healthy after N attempts) within TIME: the server closed the connection without an answer",
    ],
    [
      "HTTPS_PROXY=http://127.0.0.1:$CLOSE sipid wait-until-healthy --url https://web.test/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for https://web.test/: proxy http://127.0.0.1:PORT: closed the connection without an answer",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://web.test/' was not healthy after N attempts) within TIME: proxy http://127.0.0.1:PORT: closed the connection without an answer",
    ],
    [
      "HTTPS_PROXY=http://127.0.0.1:$DENY sipid wait-until-healthy --url https://web.test/ --timeout 300ms",
      "sipid wait-until-healthy: waiting for https://web.test/: proxy http://127.0.0.1:PORT: wrong or missing user name and password",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'https://web.test/' was not healthy after N attempts) within TIME: proxy http://127.0.0.1:PORT: wrong or missing user name and password",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file none.pid --timeout 50ms",
      "sipid wait-until-healthy: waiting for none.pid to be written",
      "sipid wait-until-healthy: none.pid: does not exist after 5ms; has the service been started?",
    ],
    [
      "sipid wait-until-healthy --url http://127.0.0.1:2/ --pid-file web.pid --exec /bin/true --timeout 300ms",
      "sipid wait-until-healthy: warning: web.pid: process PID (sleep) may not be the process that the pidfile means: it runs /bin/sleep, not /bin/true, although it was running when the pidfile was last modified at TIME; leave out --exec if it is the service; otherwise remove the pidfile",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:2/: connection refused",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'http://127.0.0.1:2/' was not healthy after N attempts) within TIME: connection refused",
    ],
    [
      "sipid wait-until-healthy --url tcp://127.0.0.1:1 --timeout 300ms",
      "sipid wait-until-healthy: waiting for tcp://127.0.0.1:1: connection refused",
      "sipid wait-until-healthy: healthcheck unhealthy (url 'tcp://127.0.0.1:1' was not healthy after N attempts) within TIME: connection refused",
    ],
    [
      "sipid wait-until-healthy --timeout 300ms -- sh -c 'exit 7'",
      "sipid wait-until-healthy: waiting for sh: exit status 7",
      "sipid wait-until-healthy: healthcheck unhealthy (command 'sh' was not healthy after N attempts) within TIME: exit status 7",
    ],
    [
      "sipid wait-until-healthy --timeout 300ms -- sh -c 'kill -9 $$'",
      "sipid wait-until-healthy: waiting for sh: killed by SIGKILL",
      "sipid wait-until-healthy: healthcheck unhealthy (command 'sh' was not healthy after N attempts) within TIME: killed by SIGKILL",
    ],
    [
      "sipid wait-until-healthy --timeout 500ms --probe-timeout 100ms -- sleep 5",
      "sipid wait-until-healthy: waiting for sleep: did not exit within 100ms",
      "sipid wait-until-healthy: healthcheck unhealthy (command 'sleep' was not healthy after N attempts) within TIME: did not exit within 100ms",
    ],
    [
      "sipid wait-until-healthy --url $URL/200 --successes 2 --polling-frequency 50ms",
      "sipid wait-until-healthy: waiting for http://127.0.0.1:PORT/200: healthy 1 of 2 times in a row",
      "sipid wait-until-healthy: http://127.0.0.1:PORT/200 is healthy after 5ms (N attempts)",
    ],
  ],
  pidproxy: [
    [
      "sipid pidproxy none.pid no-such-program",
      "sipid pidproxy: cannot run no-such-program: it is not on PATH",
    ],
    [
      "sipid pidproxy none.pid ./no-such-program",
      "sipid pidproxy: cannot run ./no-such-program: no such file",
    ],
    ["sipid pidproxy web.pid ''", "sipid pidproxy: cannot run '': it is not on PATH"],
    ["sipid pidproxy web.pid ./", "sipid pidproxy: cannot run ./: it is a directory"],
    [
      "env -u PATH $(command -v sipid) pidproxy web.pid true",
      "sipid pidproxy: cannot run true: PATH is not set",
    ],
    [
      "sipid pidproxy web.pid ./web.log/x",
      "sipid pidproxy: cannot run ./web.log/x: not a directory; one of its parents is a file; use another path",
    ],
    [
      "sipid pidproxy none.pid ./web.log",
      "sipid pidproxy: cannot run ./web.log: permission denied; make it executable: chmod +x",
    ],
    [
      "printf '#!/none\\n' >script; chmod +x script; sipid pidproxy none.pid ./script",
      "sipid pidproxy: cannot run ./script: its interpreter, named in its first line, does not exist",
    ],
    NOT_A_PROGRAM,
    [
      "sipid pidproxy --wait 50ms none.pid true",
      "sipid pidproxy: the command exited, and no pidfile named a daemon within 50ms: none.pid: does not exist; check that the daemon is configured to write it, and may, and whether it is running",
    ],
    [
      "sipid pidproxy --wait 5s none.pid false",
      "sipid pidproxy: the command exited with status 1, and no pidfile named a daemon: none.pid: does not exist; check whether the daemon is running",
    ],
    [
      "sipid pidproxy stale.pid sh -c 'trap : HUP; kill -HUP $PPID; sleep 0.5'",
      "sipid pidproxy: sent SIGHUP to process PID (sleep), the command: stale.pid: is from before the command was started",
    ],
    [
      "sipid pidproxy web.pid sh -c 'trap : HUP; touch web.pid; kill -HUP $PPID; sleep 0.5'",
      "sipid pidproxy: sent SIGHUP to process PID (sleep), the command: web.pid: process PID (sleep) was started before the command",
    ],
    [
      "sipid pidproxy none.pid sh -c 'kill -HUP $PPID; sleep 0.5'",
      "sipid pidproxy: keeping SIGHUP for the daemon: none.pid: does not exist",
      "sipid pidproxy: SIGHUP was not delivered: no daemon is known",
    ],
    [
      "sipid pidproxy none.pid sh -c 'kill -TERM $PPID; exec sleep 600'",
      "sipid pidproxy: sent SIGTERM to process PID (sleep), the command: none.pid: does not exist",
      "sipid pidproxy: no daemon was stopped: none.pid: does not exist; if the command has started one, check that it has exited",
    ],
    [
      "sipid pidproxy bad.pid sh -c 'trap : HUP; echo x >bad.pid; kill -HUP $PPID; sleep 0.5'",
      'sipid pidproxy: sent SIGHUP to process PID (sleep), the command: bad.pid: does not contain a valid pid: it begins with "x\\n" (2 bytes)',
    ],
    [
      "sipid pidproxy d.pid sh -c 'sleep 0.3 & echo $! >d.pid'",
      "sipid pidproxy: d.pid: process PID (sleep) exited without being asked to",
    ],
    [
      "sipid pidproxy d.pid sh -c 'trap : HUP; echo 2147483647 >d.pid; kill -HUP $PPID; sleep 0.5'",
      "sipid pidproxy: sent SIGHUP to process PID (sleep), the command: d.pid: process 2147483647 is not running",
    ],
    [
      "sipid pidproxy d.pid sh -c 'sleep 0.3 & echo $! >d.pid; wait; sleep 0.2'",
      "sipid pidproxy: process PID (sleep) exited; process PID (sleep), the command, is running",
    ],
    [
      "sipid pidproxy d.pid sh -c 'sleep 0.6 & echo $! >d.pid; sleep 0.3; rm d.pid; kill -HUP $PPID'",
      "sipid pidproxy: sent SIGHUP to process PID (sleep), the last daemon: d.pid: does not exist",
      "sipid pidproxy: d.pid: process PID (sleep) exited without being asked to",
    ],
    [
      "sipid pidproxy --wait 2s --group d.pid sh -c \"setsid --wait sh -c 'sleep 600 >/dev/null 2>&1 & echo \\$! >left; echo \\$\\$ >leader'; cat leader >d.pid\" 2>&1 | sed 's/process [0-9]* exited/process N exited/'; kill $(cat left)",
      "sipid pidproxy: d.pid: process N exited without being asked to",
      "sipid pidproxy: process group PID: its leader exited before it was seen; not signalled: process PID (sleep); if they belong to the daemon, kill them by PID",
    ],
    [
      "sipid pidproxy --group group.pid setsid --wait sh -c 'echo $$ >group.pid; sleep 600 & touch ready; exec sleep 600' & until [ -e ready ]; do :; done; kill $!; wait",
      "sipid pidproxy: sent SIGTERM to process PID (sleep)",
      "sipid pidproxy: process group PID: its leader has exited; still running: process PID (sleep)",
      "sipid pidproxy: sent SIGTERM to process group PID",
    ],
  ],
  "errors of the operating system": [
    [
      "sipid claim --pid 17 --pid-file web.log/web.pid",
      "sipid claim: cannot open web.log/web.pid: not a directory; one of its parents is a file; use another path",
    ],
    [
      "inject 'openat:error=EROFS' stale.pid sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot open stale.pid: read-only file system; use a path on a writable file system",
    ],
    [
      "inject 'openat:error=EMFILE' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: too many open files; raise the limit on open files (ulimit -n)",
    ],
    [
      "inject 'openat:error=ENFILE' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: too many open files in system; raise the system's limit on open files (fs.file-max)",
    ],
    [
      "inject 'openat:error=ENOMEM' /proc/$JOB/stat sipid kill --pid-file web.pid",
      "sipid kill: cannot read /proc/PID/stat: cannot allocate memory; free some memory and retry",
    ],
    [
      "inject 'openat:error=EBUSY' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: device or resource busy; retry, or find what uses it: fuser -v",
    ],
    [
      "inject 'openat:error=ESTALE' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: stale file handle; the file was removed on its server; retry",
    ],
    [
      "inject 'openat:error=ELOOP' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: too many levels of symbolic links; fix the symlinks that point at each other",
    ],
    [
      "inject 'openat:error=EOVERFLOW' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: value too large for defined data type; this user has no id on that mount (an idmapped one); use another path",
    ],
    [
      "inject 'read:error=EIO' stale.pid sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot read stale.pid: input/output error; check the kernel log (dmesg): the disk may be failing",
    ],
    [
      "inject 'flock:error=ENOLCK' stale.pid sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot lock stale.pid: no locks available; use a path on a file system that has locks, such as /run",
    ],
    [
      "inject 'statx:error=EIO' empty.pid sipid claim --pid 17 --pid-file empty.pid",
      "sipid claim: cannot open empty.pid: input/output error; check the kernel log (dmesg): the disk may be failing",
    ],
    [
      "inject 'mkdir:error=EROFS' new sipid claim --pid 17 --pid-file new/web.pid",
      "sipid claim: cannot create directory new: read-only file system; use a path on a writable file system",
    ],
    [
      "ln stale.pid second.pid; inject 'unlink:error=EROFS' stale.pid sipid kill --pid-file stale.pid",
      "sipid kill: cannot remove stale.pid: read-only file system; use a path on a writable file system",
    ],
    [
      "inject statx:error=EIO:when=2 link.pid sipid claim --pid 17 --pid-file link.pid",
      "sipid claim: cannot examine link.pid: input/output error; check the kernel log (dmesg): the disk may be failing",
    ],
    [
      "sipid claim --pid 17 --pid-file $(printf %0256d 0)",
      "sipid claim: cannot open 0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000: file name too long; use a shorter path",
    ],
    [
      "inject write:error=ENOSPC .stale.pid.new sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot write stale.pid: no space left on device; free some space and retry",
    ],
    [
      "inject write:error=EDQUOT .stale.pid.new sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot write stale.pid: disk quota exceeded; free some of the quota and retry",
    ],
    [
      "inject read:error=ENOMEM stale.pid sipid claim --pid 17 --pid-file stale.pid",
      "sipid claim: cannot read stale.pid: cannot allocate memory; free some memory and retry",
    ],
  ],
};

/** Command lines that are wrong, and what is printed before the line with the hint. */
const WRONG_USAGE: readonly Message[] = [
  [
    "sipid help klil",
    'sipid help: unknown command "klil": expected claim, kill, signal, wait-until-gone, status, wait-until-healthy, pidproxy, help, completions; did you mean kill?',
  ],
  [
    "sipid help nothing",
    'sipid help: unknown command "nothing": expected claim, kill, signal, wait-until-gone, status, wait-until-healthy, pidproxy, help, completions',
  ],
  [
    "sipid kill --pid-file web.pid --show-stacks=yes",
    'sipid kill: invalid --show-stacks "yes": expected true or false',
  ],
  ["sipid kill --pid-file web.pid stray", 'sipid kill: unexpected operand "stray"'],
  [
    "sipid pidproxy web.pid",
    "sipid pidproxy: missing operands: expected PID_FILE COMMAND [ARG ...]",
  ],
  ["sipid kill", "sipid kill: missing required flag --pid-file"],
  ["sipid kill --pid-file", "sipid kill: missing value for --pid-file"],
  [
    "sipid kill --pid-fiel web.pid",
    "sipid kill: unknown flag --pid-fiel; did you mean --pid-file?",
  ],
  ["sipid kill --pid-file web.pid --xyz", "sipid kill: unknown flag --xyz"],
  [
    "sipid claim --pid-file web.pid --pid 0",
    'sipid claim: invalid --pid "0": expected a decimal integer from 1 to 2147483647',
  ],
  [
    "sipid kill --pid-file web.pid --grace-period soon",
    'sipid kill: invalid --grace-period "soon": expected a duration such as 20s, 1m30s or 500ms',
  ],
  [
    "sipid kill --pid-file web.pid --grace-period 20",
    'sipid kill: invalid --grace-period "20": missing unit, such as in 20s or 20ms',
  ],
  [
    "sipid kill --pid-file web.pid --grace-period 1d",
    'sipid kill: invalid --grace-period "1d": unknown unit "d"; expected ns, us, ms, s, m or h',
  ],
  [
    "sipid kill --pid-file web.pid --grace-period -1s",
    'sipid kill: invalid --grace-period "-1s": must not be negative',
  ],
  [
    "sipid kill --pid-file web.pid --grace-period 10000h",
    'sipid kill: invalid --grace-period "10000h": must not be longer than 576h',
  ],
  [
    "sipid wait-until-healthy --url https://127.0.0.1:2/ --cert x",
    "sipid wait-until-healthy: --cert and --key must be given together",
  ],
  [
    "sipid wait-until-healthy --url localhost",
    'sipid wait-until-healthy: invalid --url "localhost": missing protocol scheme; did you mean http://localhost?',
  ],
  [
    "sipid wait-until-healthy --url http://[",
    'sipid wait-until-healthy: invalid --url "http://[": expected a URL such as http://127.0.0.1:8080/health',
  ],
  [
    "sipid wait-until-healthy --url http://h/ --timeout 0s",
    'sipid wait-until-healthy: invalid --timeout "0s": expected more than 0s',
  ],
  [
    "sipid wait-until-healthy",
    "sipid wait-until-healthy: expected --url, or a command after --",
  ],
  [
    "sipid wait-until-healthy --url http://h/ -- true",
    "sipid wait-until-healthy: --url and a command cannot be given together",
  ],
  [
    "sipid wait-until-healthy --url http://h/ --exec /bin/true",
    "sipid wait-until-healthy: --exec needs --pid-file",
  ],
  [
    "sipid wait-until-healthy --url unix:/run/web.sock",
    'sipid wait-until-healthy: invalid --url "unix:/run/web.sock": expected http://HOST, https://HOST, tcp://HOST:PORT or unix:///PATH',
  ],
  [
    "sipid wait-until-healthy --url tcp://127.0.0.1:1 --header 'A: b'",
    "sipid wait-until-healthy: --header needs an http or https --url",
  ],
  [
    "sipid wait-until-healthy --url ftp://127.0.0.1:1",
    'sipid wait-until-healthy: invalid --url "ftp://127.0.0.1:1": unsupported scheme "ftp"; supported are http, https, tcp, unix',
  ],
  [
    "sipid wait-until-healthy --url unix://x",
    'sipid wait-until-healthy: invalid --url "unix://x": expected unix:///PATH',
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --status 20",
    'sipid wait-until-healthy: invalid --status "20": expected HTTP statuses such as 200,204 or 200-299,401',
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --header x",
    "sipid wait-until-healthy: invalid --header \"...\": expected 'NAME: VALUE'",
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --header 'Host : x'",
    "sipid wait-until-healthy: invalid --header \"...\": expected 'NAME: VALUE'",
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --header 'Connection: x'",
    'sipid wait-until-healthy: invalid --header "Connection:": "Connection" cannot be set',
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --header \"$(printf 'A: b\\001')\"",
    'sipid wait-until-healthy: invalid --header "A:": control characters in the value of "A"',
  ],
  [
    "sipid wait-until-healthy --url $URL/200 --successes 0",
    'sipid wait-until-healthy: invalid --successes "0": expected a number from 1 to 999999',
  ],
  [
    "sipid wait-until-healthy --url tcp://localhost",
    'sipid wait-until-healthy: invalid --url "tcp://localhost": expected tcp://HOST:PORT, such as tcp://127.0.0.1:6379',
  ],
  [
    "sipid kill --pid-file web.pid --signal TREM",
    'sipid kill: invalid --signal "TREM": expected a signal: a name such as HUP or SIGHUP, or a number from 1 to 31; did you mean TERM?',
  ],
  [
    "sipid signal --pid-file web.pid --signal 34",
    'sipid signal: invalid --signal "34": realtime signals cannot be sent by the runtime that sipid is built with; expected a number from 1 to 31 or a name such as HUP',
  ],
  [
    "sipid kill --pid-file web.pid --schedule 20/KILL",
    'sipid kill: invalid --schedule "20/KILL": expected a signal first, as in TERM/20s/KILL/5s',
  ],
  [
    "sipid kill --pid-file web.pid --schedule TERM/5/5",
    'sipid kill: invalid --schedule "TERM/5/5": expected a signal after TERM, not "5"',
  ],
  [
    "sipid kill --pid-file web.pid --schedule term/5/KIL/5",
    'sipid kill: invalid --schedule "term/5/KIL/5": "KIL": expected a signal: a name such as HUP or SIGHUP, or a number from 1 to 31; did you mean KILL?',
  ],
  [
    "sipid kill --pid-file web.pid --schedule TERM/5/FOO",
    'sipid kill: invalid --schedule "TERM/5/FOO": "FOO": expected a signal: a name such as HUP or SIGHUP, or a number from 1 to 31',
  ],
  [
    "sipid kill --pid-file web.pid --schedule TERM/5 --signal INT --grace-period 30s --show-stacks",
    "sipid kill: --schedule replaces --signal, --grace-period, --show-stacks; the schedule of these is INT/30s/QUIT/1s/KILL/5s",
  ],
  [
    "sipid wait-until-healthy --url https://web/ --unix-socket web.sock",
    "sipid wait-until-healthy: --unix-socket needs an http --url: TLS over it is not supported",
  ],
  [
    "sipid pidproxy --stop-signal KILL p true",
    'sipid pidproxy: invalid --stop-signal "KILL": expected one of HUP, USR1, USR2, WINCH, ALRM, URG, IO',
  ],
];

/** Messages that take more than a script. The test named here asserts each as a whole. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  "cli/claim_test.ts": ["remove the pidfile if it is from another machine or container"],
  "cli/command_line_test.ts": ["waiting 0.ds of 1s: connection refused"],
  "cli/faults_test.ts": ["already exists: its program is hidden", "when it started is hidden"],
  "cli/identity_test.ts": [
    "(${path}) already exists: ${reason}; ${hint}",
    "web.pid: was removed or replaced while it was being claimed; claim it again",
  ],
  "cli/kill_test.ts": [
    "survived SIGKILL: it is stopped by a debugger; ${path} is kept, so that no second instance " +
    "starts; fix what it waits for, then retry",
    "waiting for process ${job.pid} (deno): 10s of 20s, then SIGKILL",
  ],
  "cli/pidproxy_group_test.ts": [
    "SIGTERM needed no delivery: the rest of the daemon's process group was signalled",
  ],
  "cli/trust_test.ts": [
    "is owned by nobody, but process",
    "${path}: is owned by user ${EFFECTIVE}, who could change it later; claim it as that user, or " +
    "use another directory",
    "${path}: was stale and owned by nobody; removed",
    "cannot write ${path}: permission denied; remove it",
  ],
  "cli/wait_until_healthy_test.ts": [
    "HTTP_PROXY: is not the URL of an http, https or socks5 proxy; correct or unset it",
    "more than 10 redirects, the last one to ${server.url}/0",
    "302 Found, which redirects to something that is not an http or https URL",
    "the server closed the connection without an answer",
    "the answer is not HTTP",
    "no answer before the timeout of 1.5s",
    "the host name cannot be resolved",
  ],
  "unit/health_test.ts": [
    "it is not a stream socket",
    "the answer has an invalid Content-Length",
    "the answer has more than 100 headers, or too long ones",
  ],
  "cli/attacks_test.ts": [
    "${path}: is held up by another process, with a lease or by replacing it, after 500ms; " +
    "find it with: fuser -v ${path}",
    "is owned by nobody, who may be any user outside of this user namespace",
    "the target of a symlink on the way is not valid UTF-8",
    'its symlink ${dir.file("app/run")} lies where other users could have put another one, and ' +
    'leads to ${dir.file("victim")}, which they cannot change; give its path without symlinks',
  ],
  "cli/health_command_test.ts": [
    "cannot run true: resource temporarily unavailable; raise the limit on processes (ulimit -u)",
  ],
  "cli/health_pidfile_test.ts": [
    "web.pid: its process is not identified after 50ms; use a longer --timeout",
  ],
  "cli/health_http_test.ts": ["HTTP/2 without TLS is not supported"],
  "cli/tls_test.ts": [
    "HTTPS_PROXY: an https proxy would get the client certificate of --cert too; " +
    "use an http proxy, or NO_PROXY",
    "https://web/there: TLS over a Unix socket is not supported",
    "certificate is not valid for the host 127.0.0.1",
    "certificate has expired",
    "X.509 version 1 certificates are not supported",
    "the server uses the certificate of an authority as its own",
    "certificate signed by unknown authority; trust it with --ca-cert FILE",
    "the server requires a client certificate; use --cert and --key",
    "the server does not accept the client certificate",
    "the server does not accept the client certificate, which has expired",
    "the server does not speak TLS",
    "cannot be used as certificate and key: they do not belong together",
    "the key is encrypted; decrypt it with openssl pkey",
    "the key is damaged or of an unsupported kind",
    "cannot be used as an authority: a certificate is damaged",
    "cannot load the system's certificates; correct or unset SSL_CERT_FILE and SSL_CERT_DIR",
  ],
  "unit/process_test.ts": ["in state [RS]"],
};

/** Texts that no test provokes, and why. */
const UNPROVOKED: Readonly<Record<string, string>> = {
  "internal error: …; this is a bug in sipid, report it with the command line": "would be a bug",
  "… cannot be signalled": "takes a daemon that exits between two system calls",
  "certificate is not valid yet": "takes a certificate from the future",
  "invalid certificate: $1": "whatever the TLS library will report besides the known reasons",
  "…it no longer exists": "takes a pidfile that is removed between two system calls",
  "in a hidden state": "takes a process that survives SIGKILL and that /proc hides",
  "in uninterruptible sleep, waiting for a device or a file server, or frozen with its cgroup":
    "takes a broken device",
  "a zombie whose other threads are running": "takes a broken device, and threads that wait for it",
  "is not the one that was claimed, which ran before a reboot": "see identity_test.ts",
  "it started when the claimed process did, though /proc shows another boot id":
    "see identity_test.ts",
  "run this where /proc shows that of the claim": "the hint of the former",
  "the claim record names another process with this PID, and the pidfile was modified, replaced or copied after that claim":
    "see identity_test.ts",
  "it was claimed as …, and the pidfile was copied or moved here": "see identity_test.ts",
  "stop it by that path, or remove this pidfile": "the hint of the former",
  "…, which is in the future, so that its time proves nothing…": "see identity_test.ts",
  ", and what it runs is hidden": "the end of the former",
  "if the service is not running, remove the pidfile, or run this as root, in a container with CAP_SYS_PTRACE":
    "see identity_test.ts",
  "run this as root, and where /proc shows that process": "see identity_test.ts",
  "it was claimed in another PID namespace, such as a container's, which still exists":
    "see identity_test.ts",
  "run this in that namespace": "the hint of the former",
  "it was claimed on the machine, outside of this container": "see identity_test.ts",
  "run this on the machine": "the hint of the former",
  "it was claimed in another PID namespace, such as a container's, and the machine's boot id is hidden, so that it may be running there":
    "see identity_test.ts",
  "it was claimed in another PID namespace, such as a container's, and /proc hides whether that still exists":
    "see identity_test.ts",
  "run this as root": "the hint of the former",
  "--exec PATH settles it, if nothing else runs the program of the service": "see identity_test.ts",
  "it …, although it was running when …": "see identity_test.ts",
  "leave out --exec if it is the service; otherwise remove the pidfile": "the hint of the former",
  "run this where /proc/sys/kernel/random/boot_id can be read": "see identity_test.ts",
  "if the service is not running, remove the pidfile": "see identity_test.ts",
  "…, or give --exec PATH": "the end of the former",
  "…; if that process is the service, remove the claim record": "the same",
  "…: its symlink … is owned by …, who could lead it elsewhere; use a path without it":
    "see attacks_test.ts",
  "…: the record of an earlier claim cannot be replaced; remove …": "see attacks_test.ts",
  "its start time is hidden": "see identity_test.ts",
  "the machine's boot id is hidden": "see identity_test.ts",
  "…, so it cannot be compared with the claim record": "see identity_test.ts",
  "…: its directory is not the one that its symlinks name; use a path that other users cannot change, without links of /proc":
    "see attacks_test.ts",
  "cannot write a claim record for …: the start of process … or the boot id is hidden; run this where /proc shows them":
    "takes a /proc that hides processes",
  "its start was read in another time namespace, whose clock is set to a fraction of a tick":
    "see identity_test.ts",
  "run this in the time namespace of the claim": "see identity_test.ts",
  "a hidden program": "takes a program that only root may read, of a process of another user",
  "and the owner of … is hidden": "takes a root without a view of /proc",
  "…: its … … is owned by …, …": "takes a directory of another user; see trust_test.ts",
  "but … is not": "part of the former",
  "chown root …, or keep the pidfile in a directory of root's": "the hint of the former",
  "if that process is the service, chown root …; otherwise remove it": "a hint; see trust_test.ts",
  "…; … was not sent; …": "see attacks_test.ts",
  "…; SIGKILL was not sent; …": "see attacks_test.ts",
  "…: can be replaced by group … (… has mode …), which may not signal …":
    "takes a directory of another group; see trust_test.ts",
  "chmod g-w …, or …": "the hint of the former",
  "its descriptor cannot be found": "takes a /proc of another namespace and a umask",
  "only … of … bytes fit": "takes a disk with room for half a number",
  "…: has a hard link by another name; remove that": "see attacks_test.ts",
  "…: too many symlinks on the way": "the kernel refuses such a path before",
  "cannot open …: another process holds it up, with a lease or by replacing it; find it with: fuser -v …":
    "see attacks_test.ts",
  "cannot read …: another process keeps changing it; find it with: fuser -v …":
    "see attacks_test.ts",
  "another process holds it up with a lease; find it with: fuser -v …": "see attacks_test.ts",
  "…: is owned by …, …": "see trust_test.ts",
  "… is still running after …; no permission to signal …; …; run this as root":
    "takes a group of two users; see group_test.ts",
  "retry when it has been written": "takes a program that is being written; the words of ETXTBSY",
  "no connection …": "takes a host that answers nothing; see health_socket_test.ts",
  "…: its leader and all members that were known have exited, so its number may belong to a later group; … was not sent; if what is left belongs to the daemon, kill it by PID: …":
    "takes a group that only processes started within microseconds are left of",
  "is a kernel thread": "takes a kernel thread, which containers do not show",
  "certificate was revoked": "takes a revocation list, which the runtime does not load",
  "the answer is not HTTP, or the connection broke off": "depends on the moment of the failure",
  "is in a process group that /proc hides": "takes a /proc that hides processes of other users",
  "… has lost its leader and all members that were known, so its number may belong to a later group; … was not sent; …; if what is left belongs to the service, kill it by PID":
    "see process_group_test.ts",
};

/** Texts of one word, which many messages contain, and what they are part of. */
const FRAGMENTS: Readonly<Record<string, string>> = {
  "… (os error …)": "an errno in the words and the form of the runtime",
  "process …": "the name of a process whose program is hidden",
  "process … (…)": "the name of a process",
  "running since …Z (…)": "of a process, by a `claim` that fails",
  "proxy …": "the name of a proxy",
  "run …": "before the command in a hint",
  'invalid --… "…": …': "before what is expected of the value",
  "… (expected …)": "after the status of an answer",
  "within …": "the limit of a probe",
  "signal …": "a realtime signal, of a command that was killed by it",
  "so far": "after a reason, in a line about a wait",
  "status …": "of an answer without a status text",
  "sipid …:": "the prefix of every message",
  "sipid …\n": "the version",
  ", up …": "of a running process, in `status`",
  "running ………": "of a running process, in `status`",
  "… attempt…": "counts the probes of a wait",

  "warning: …": "before what `kill` refuses",
  "warning: …; …": "before what `kill` refuses",
  "… is …": "the state of a process that survived SIGKILL",
  ", then …": "the next signal, in a line about a wait",
  "… after …; …": "a pidfile that is not written by the deadline of a wait",
  "… … after …": "what a process did, and when",
  "user …": "a user without a name",
  " of …": "before the user of a process",
  " --exec …": "in a hint",
  "chmod … …": "a hint",
  "ignoring …=…: …": "by `wait-until-healthy`: a variable that names no certificates",
};

/** Texts in a call or property of this name are not messages, and why. */
const NOT_MESSAGES: Readonly<Record<string, string>> = {
  import: "the path of a module",
  flag: "help: repository_test.ts compares it with the man page",
  flagSwitch: "help",
  pidFileFlag: "help",
  signalFlag: "help",
  entry: "help: the purpose of a command",
  operands: "help",
  statuses: "help",
  examples: "help",
  RegExp: "a pattern",
};

/** Texts that look like messages, and what they are. */
const OTHER_TEXTS: Readonly<Record<string, string>> = {
  " /proc proc ": "a part of /proc/self/mounts",
  "PRIVATE KEY": "a part of a PEM file",
  "client error (": "the beginning of an error of the runtime",
  "the probe's limit": "names an exception that is caught",
  "… (deleted)": "what /proc/PID/exe ends with",
  "/ (deleted)": "all of that, where the program was mounted alone",
  "Basic …": "a header",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00": "a request",
  "failed to lookup address information": "the beginning of an error of the runtime",
  "the deadline": "names an exception that is caught",
  "interrupted by …": "names an exception that is caught",
  " and ": "joins the names of variables",
};

/** Files without messages, and why. */
const WITHOUT_MESSAGES: Readonly<Record<string, string>> = {
  "lib/cli/help.ts": "help: command_line_test.ts reads it",
  "lib/cli/completions.ts": "scripts: completions_test.ts runs them",
};

const PREPARE = `PATH=$PWD/bin:$PATH
group() {
  setsid sh -c 'echo $$ >group.pid; touch ready; '"$1" &
  until [ -e ready ]; do :; done
}
inject() {
  call=$1 file=$2; shift 2
  [ "$file" = any ] || set -- -P "$PWD/$file" -P "$file" "$@"
  strace -f -qqq -o /dev/null -e "inject=$call" "$@"
}
`;

/** A TLS record: a fatal alert. Source: RFC 8446, section 6. */
const HANDSHAKE_FAILURE = Uint8Array.from([0x15, 3, 3, 0, 2, 2, 0x28]);

/** Replaces what differs from run to run. */
function plain(text: string): string {
  return text
    .replace(/^strace: .*\n/gm, "")
    .replace(/^\d{4}-\S+Z /gm, "")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    // The name too: for a moment, a process has that of the shell which becomes it.
    .replace(/(process|running) \d+ \((?!\S+\.pid\))[^\s)]+\)/g, "$1 PID (sleep)")
    .replace(/\/proc\/\d+\//g, "/proc/PID/")
    .replace(/process group \d+( \(\S+\))?/g, "process group PID")
    .replace(/process \d+ \(/g, "process PID (")
    .replace(/\/\S+\/sipid-test-\w+/g, "DIR")
    .replace(/\(sleep\) of [\w-]+/g, "(sleep) of root")
    .replaceAll("/usr/bin/", "/bin/")
    .replace(/after \d+ attempts?\) within [\d.]+m?s: /g, "after N attempts) within TIME: ")
    .replace(/after \d+ attempts?/g, "after N attempts")
    .replace(/127\.0\.0\.1:\d{5}/g, "127.0.0.1:PORT")
    .replace(/\(\d+ attempts?\)/g, "(N attempts)")
    .replace(/(after|up) \d[\d.]*(us|ms|s|m)(?! of)/g, "$1 5ms")
    .replace(/\(\d+s\)/g, "(0s)");
}

/** Runs a script and returns the lines it prints, first on stdout, then on stderr. */
async function print(script: string): Promise<string[]> {
  using dir = new TempDir();
  await using job = new Job("exec sleep 600");
  await until(() => readIfExists(`/proc/${job.pid}/comm`) === "sleep\n", "the job is sleep");
  dir.write("web.pid", String(job.pid));
  dir.write("root.pid", Deno.uid() === 0 ? String(job.pid) : "1");
  dir.write("stale.pid", "2147483647");
  dir.write("bad.pid", "web\n");
  dir.write("empty.pid", "");
  dir.write("web.log", "");
  await using _locker = await lockedElsewhere(dir.write("locked.pid", "2147483647"));
  Deno.mkdirSync(dir.file("bin"));
  Deno.symlinkSync(SIPID, dir.file("bin/sipid"));
  await using web = httpServer(async ({ url, signal }) => {
    const path = new URL(url).pathname.slice(1);
    if (path === "kill") {
      await job[Symbol.asyncDispose]();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    return new Response(null, { status: Number(path) || 503 });
  });
  const answer = (bytes: Uint8Array): Server =>
    rawServer(async (connection) => {
      await readRequest(connection);
      await connection.write(bytes);
    });
  await using alert = answer(HANDSHAKE_FAILURE);
  await using deny = answer(new TextEncoder().encode("HTTP/1.1 407 Denied\r\n\r\n"));
  await using close = rawServer((connection) => Promise.resolve(connection.close()));
  const { stdout, stderr } = await run("sh", ["-c", PREPARE + script], {
    cwd: dir.path,
    env: {
      JOB: String(job.pid),
      NOBODY: AS_NOBODY.join(" "),
      AS_ROOT: Deno.uid() === 0 ? "" : "unshare --map-root-user",
      URL: web.url,
      ALERT: String(alert.port),
      DENY: String(deny.port),
      CLOSE: String(close.port),
    },
  });
  assertNotMatch(stderr, INTERNALS);
  return plain(stdout + stderr).trimEnd().split("\n");
}

for (const [command, messages] of Object.entries(MESSAGES)) {
  for (const message of messages) {
    const [script, ...lines] = message;
    Deno.test({
      name: `messages of ${command}: ${script}`,
      ignore: message === NOT_A_PROGRAM && RUNS_TEXT_FILES,
      fn: async () => assertEquals(await print(script), lines),
    });
  }
}

for (const [script, ...lines] of WRONG_USAGE) {
  Deno.test(`wrong usage: ${script}`, async () => {
    const printed = await print(script);
    const [prefix] = /^sipid [a-z-]+/.exec(script)!;
    assertEquals(printed, [...lines, `${prefix}: run '${prefix} --help' for usage`]);
  });
}

const sourceTexts = allTexts().filter(({ file, text, context }) =>
  /[a-z]{2}/i.test(text) && text.includes(" ") && !(file in WITHOUT_MESSAGES) &&
  !context.some((name) => name in NOT_MESSAGES)
);

/** The words of a text that are in the source, without what is filled in. */
function wordsOf(text: string): string[] {
  return text.replace(/…|\$\d/g, " ").match(/[a-z]+/gi) ?? [];
}

const known = [...Object.values(MESSAGES), WRONG_USAGE]
  .flatMap((messages) => messages.flatMap(([, ...lines]) => lines))
  .concat(Object.values(ELSEWHERE).flat(), "sipid kill: run 'sipid kill --help' for usage");

/** Whether a text is in a message that is compared as a whole. */
function isProvoked({ text }: SourceText): boolean {
  const pattern = patternOf(text);
  return known.some((message) => pattern.test(message));
}

Deno.test("every text in the source is in a message of the table", () => {
  const unlisted = sourceTexts.filter((text) =>
    ![UNPROVOKED, FRAGMENTS, OTHER_TEXTS].some((texts) => text.text in texts) &&
    (wordsOf(text.text).length < 2 || !isProvoked(text))
  );
  assertEquals(unlisted.map(({ file, line, text }) => `${file}:${line}: ${text}`), []);
});

Deno.test("every entry that is not provoked here belongs to a text in the source", () => {
  const texts = sourceTexts.map(({ text }) => text);
  const patterns = texts.filter((text) => wordsOf(text).length > 1).map(patternOf);
  const stale = [
    ...[UNPROVOKED, FRAGMENTS, OTHER_TEXTS].flatMap(Object.keys).filter((it) =>
      !texts.includes(it)
    ),
    ...Object.values(ELSEWHERE).flat().filter((it) => !patterns.some((one) => one.test(it))),
  ];
  assertEquals(stale, []);
});

for (const [test, messages] of Object.entries(ELSEWHERE)) {
  Deno.test(`${test} has the messages that are said to be there`, () => {
    // Without the backslashes of patterns, and with concatenated strings as one.
    const source = Deno.readTextFileSync(`${ROOT}tests/${test}`).replaceAll("\\", "")
      .replace(/["`] \+\s*["`]/g, "");
    assertEquals(messages.filter((message) => !source.includes(message)), []);
  });
}
