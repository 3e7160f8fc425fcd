#!/bin/sh
# machine.sh DIRECTORY: in mount, PID and network namespaces of its own, boots a copy of this machine's
# file system that lies over it in DIRECTORY, and stays until it is killed. Nothing of it stays behind,
# and all paths and ports in it are its own.
set -eu
directory=$1
root=$directory/root

mkdir -p "$directory/over" "$root"
mount -t tmpfs -o mode=0755 tmpfs "$directory/over"
mkdir "$directory/over/upper" "$directory/over/work"
mount -t overlay overlay "$root" \
  -o "lowerdir=/,upperdir=$directory/over/upper,workdir=$directory/over/work"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
cp -a "$directory/files/." "$root/"

# PID 1 reaps what its children leave, as an init does; one child stays.
# shellcheck disable=SC2016
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
  perl -e '$| = 1; unless (fork // die) { print "ready\n"; exec "sleep", "infinity" } 1 while wait >= 0'
