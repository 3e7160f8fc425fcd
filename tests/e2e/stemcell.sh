#!/bin/sh
# stemcell.sh STEMCELL FOLDER: in a mount and a PID namespace of its own, boots a copy of STEMCELL
# that lies over it in FOLDER, with Monit, and stays until it is killed. Nothing of it stays behind.
set -eu
stemcell=$1
folder=$2
root=$folder/root

mkdir -p "$folder/over" "$root"
mount -t tmpfs tmpfs "$folder/over"
mkdir "$folder/over/upper" "$folder/over/work"
mount -t overlay overlay "$root" \
  -o "lowerdir=$stemcell,upperdir=$folder/over/upper,workdir=$folder/over/work"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
cp -a "$folder/vcap" "$root/var/vcap"
chown -R root:root "$root/var/vcap"
chroot "$root" useradd --no-create-home --shell /bin/false vcap
mkdir -p "$root/var/vcap/sys/run" "$root/var/vcap/sys/log" "$root/var/vcap/data"

cat >"$root/etc/monit/monitrc" <<MONITRC
set daemon 1
set log /var/log/monit.log
set pidfile /run/monit.pid
set idfile /var/lib/monit/id
set statefile /var/lib/monit/state
set onreboot nostart
set httpd unixsocket /run/monit.sock
  allow root:none
include /var/vcap/jobs/*/monit
MONITRC
chmod 600 "$root/etc/monit/monitrc"

# PID 1 reaps what its children leave, as an init does.
# shellcheck disable=SC2016
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
  perl -e '$| = 1; print "ready\n"; $p = fork // die; exec @ARGV unless $p; 1 while wait >= 0' \
  monit -I -c /etc/monit/monitrc
