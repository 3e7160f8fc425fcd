#!/bin/sh
# Runs the example service from start to stop, in a temporary directory. $DENO runs web.ts.
set -eu
cd "$(dirname "$0")"
PATH=$PWD/../dist:$PATH
RUN_DIR=$(mktemp -d)
LOG_DIR=$RUN_DIR/log
PORT=$("$DENO" eval --no-config --no-lock 'const l = Deno.listen({ port: 0 }); console.log(l.addr.port); l.close()')
WEB="$DENO run --quiet --no-config --no-lock --allow-net --allow-env web.ts"
GRACE=1s
export PATH RUN_DIR LOG_DIR PORT WEB GRACE

stop_all() {
  # Signals only the process that this script started.
  if [ -n "${job:-}" ]; then kill -9 "$job" 2>/dev/null || :; fi
  rm -rf "$RUN_DIR"
}
trap stop_all EXIT
trap 'exit 1' INT TERM

title() { printf '\n--- %s\n' "$1"; }
run() {
  printf '$ %s\n' "$*"
  "$@" 2>&1
}

title 'The start script claims the pidfile for its own PID, then becomes the service'
printf '$ ./start &\n'
./start &
job=$!

title 'After the start: wait until the service is healthy'
run sipid wait-until-healthy --url "http://127.0.0.1:$PORT/health" \
  --timeout 10s --polling-frequency 100ms --pid-file "$RUN_DIR/web.pid"
printf '%s contains %s\n' "$RUN_DIR/web.pid" "$(cat "$RUN_DIR/web.pid")"

title 'A second start fails; the running service is not affected'
printf '$ ./start\n'
if ./start; then
  echo 'the second start did not fail' >&2
  exit 1
fi
tail -n 1 "$LOG_DIR/web.log"

title 'The stop script: the service ignores SIGTERM, so SIGQUIT for its stacks, then SIGKILL'
run ./stop
wait "$job" || :
job=
title 'What the service logged meanwhile'
grep -A 2 '^web' "$LOG_DIR/web.log"

if [ -e "$RUN_DIR/web.pid" ]; then
  echo 'the pidfile still exists' >&2
  exit 1
fi
title 'The process has exited and the pidfile is removed'
