#!/bin/sh
# run.sh DENO [ARG ...]: runs the stress in PID and mount namespaces of its own, which end with it.
# Their first process is this shell, which reaps what a killed pidproxy leaves behind.
set -eu
deno=$1
shift
user=
[ "$(id -u)" = 0 ] || user=--map-root-user
here=$(dirname "$0")
# shellcheck disable=SC2086
exec unshare $user --mount --pid --fork --kill-child --mount-proc sh -c '"$@"; exit $?' sh \
  "$deno" run --quiet --no-lock --import-map="$here/../../import_map.json" --no-check --allow-all \
  "$here/main.ts" "$@"
