#!/bin/sh
# stemcell.sh STEMCELL DIR JOB: boots a copy of STEMCELL, an overlay in DIR, runs the job's pre-start,
# then Monit; runs until it is killed. To be called in a separate mount and PID namespace, with which
# everything is removed.
set -eu
stemcell=$1
dir=$2
job=$3
root=$dir/root

mkdir -p "$dir/over" "$root"
mount -t tmpfs tmpfs "$dir/over"
mkdir "$dir/over/upper" "$dir/over/work"
mount -t overlay overlay "$root" \
  -o "lowerdir=$stemcell,upperdir=$dir/over/upper,workdir=$dir/over/work"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -p "$root/var/vcap"
cp -a "$dir/vcap/." "$root/var/vcap"
chown -R root:root "$root/var/vcap"
chroot "$root" id -u vcap >/dev/null 2>&1 ||
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

# Before Monit, as on a BOSH VM: Monit starts the job by itself, and a pre-start stops what is running.
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" "/var/vcap/jobs/$job/bin/pre-start" >"$dir/pre-start.log" 2>&1 || {
  cat "$dir/pre-start.log" >&2
  exit 1
}

# PID 1 reaps what its children leave, as an init does.
# shellcheck disable=SC2016
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
  perl -e '$| = 1; print "ready\n"; $p = fork // die; exec @ARGV unless $p; 1 while wait >= 0' \
  monit -I -c /etc/monit/monitrc
