#!/bin/sh
# debian.sh ROOT ARCHITECTURE VERSION OUTPUT: packs ROOT, which has sipid's files below usr, into a
# Debian package. Called by release.sh, which has set what the bytes could depend on.
set -eu
root=$1 architecture=$2 version=$3 output=$4
maintainer='sipid authors <sipid@users.noreply.github.com>'
date=$(sed -n "s/^## \[${version%%+*}\] - //p" CHANGELOG.md)
SOURCE_DATE_EPOCH=$(date -u -d "$date" +%s)
export SOURCE_DATE_EPOCH

doc=$root/usr/share/doc/sipid
overrides=$root/usr/share/lintian/overrides
mkdir -p "$root/DEBIAN" "$doc" "$overrides"

gzip -9n "$root"/usr/share/man/man1/*.1
gzip -9n >"$doc/changelog.gz" <<CHANGELOG
sipid ($version) unstable; urgency=medium

  * What has changed: /usr/share/doc/sipid/CHANGELOG.md

 -- $maintainer  $(date -u -R -d "$date")
CHANGELOG
install -m 0644 CHANGELOG.md "$doc/CHANGELOG.md"
{
  cat <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: sipid
Comment: The executable contains Deno's runtime, Copyright the Deno authors, under the same licence.

Files: *
Copyright: 2026 the sipid authors
License: MIT

License: MIT
COPYRIGHT
  sed -e '1,/^Copyright/d; /./!d; s/^/ /' LICENSE
} >"$doc/copyright"
cat >"$overrides/sipid" <<'OVERRIDES'
# The runtime in the executable comes with the libraries that it was built with.
sipid: embedded-library
OVERRIDES

cat >"$root/DEBIAN/control" <<CONTROL
Package: sipid
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(find "$root/usr" -type f -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
Depends: libc6 (>= 2.27), libgcc-s1 | libgcc1
Section: admin
Priority: optional
Homepage: https://github.com/cloudfoundry/sipid
Description: pidfiles done right, for start and stop scripts
 sipid claims pidfiles, stops the process that one names and no other, tells
 its status, waits until a service is healthy, and passes the signals of a
 supervisor on to a daemon. It is meant for BOSH, Monit, Supervisor and init
 scripts.
CONTROL
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zgzip -z6 --build "$root" "$output" >/dev/null
