#!/bin/sh
# need.sh PROGRAM=PACKAGE[,PACKAGE] ...: makes sure that the programs the tests call are installed. As
# root on Debian it says which packages it installs, and installs them; otherwise it fails and lists them.
set -eu
missing=
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || missing="$missing $(echo "${pair#*=}" | tr , ' ')"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "toolchain: installing Debian packages that the tests need:$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # RUNLEVEL=1 keeps invoke-rc.d from starting their services.
  # shellcheck disable=SC2086
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "toolchain: the tests need these packages; as root, run: apt-get install$missing" >&2
  exit 1
fi
