#!/bin/sh
# need.sh PROGRAM=PACKAGE[,PACKAGE] ...: sees to it that the programs the tests call are there. As root on
# Debian it installs their packages; anybody else is told which.
set -eu
missing=
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || missing="$missing $(echo "${pair#*=}" | tr , ' ')"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "toolchain: installing for the tests:$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # No service of theirs is to be started: RUNLEVEL tells so to invoke-rc.d.
  # shellcheck disable=SC2086
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "toolchain: the tests need these packages: apt-get install$missing" >&2
  exit 1
fi
