#!/bin/sh
# debian.sh SYSTEM DIRECTORY PACKAGE: in a mount and a PID namespace of its own, installs PACKAGE in a
# copy of SYSTEM below DIRECTORY, uses it, and removes it. Nothing stays behind.
set -eu
root=$2/root
mkdir -p "$2/over" "$root"
mount -t tmpfs tmpfs "$2/over"
mkdir "$2/over/upper" "$2/over/work"
mount -t overlay overlay "$root" -o "lowerdir=$1,upperdir=$2/over/upper,workdir=$2/over/work"
mount -t proc proc "$root/proc"
cp "$3" "$root/sipid.deb"

# shellcheck disable=SC2016
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot "$root" sh -euc '
  find / -xdev -path /proc -prune -o -type f -name "*sipid*" -print >/before
  dpkg --install /sipid.deb
  dpkg --verify sipid
  dpkg --listfiles sipid

  sleep 600 &
  sipid claim --pid $! --pid-file /run/web.pid
  sipid status --pid-file /run/web.pid
  sipid claim --pid $$ --pid-file /run/web.pid && exit 9
  sipid kill --pid-file /run/web.pid
  [ ! -e /run/web.pid ]

  dpkg --purge sipid
  find / -xdev -path /proc -prune -o -type f -name "*sipid*" ! -path "/var/log/*" -print >/after
  diff /before /after
  echo purged without a trace
'
