#!/bin/sh
# Prints the path of a minimal Debian bullseye with Monit and runit (for chpst): the stand-in for a
# stemcell, its glibc older than theirs. It is installed once, from the mirror apt itself uses.
set -eu
cache=${XDG_CACHE_HOME:-${HOME:?set HOME, or XDG_CACHE_HOME}/.cache}/sipid-toolchain
stemcell=$cache/stemcell-bullseye
if [ ! -d "$stemcell" ]; then
  # shellcheck disable=SC2016 # a variable of apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep '/debian/\{0,1\}$' | head -n 1)
  [ -n "$mirror" ] || {
    echo "toolchain: apt knows no mirror of Debian to install a minimal system from" >&2
    exit 1
  }
  echo "toolchain: installing a minimal Debian bullseye, once" >&2
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  chmod 0755 "$new"
  debootstrap --variant=minbase --include=monit,runit bullseye "$new" "$mirror" >"$new.log" 2>&1 || {
    tail -n 20 "$new.log" >&2
    exit 1
  }
  rm -f "$new.log"
  mv -T "$new" "$stemcell" 2>/dev/null || [ -d "$stemcell" ]
fi
printf '%s\n' "$stemcell"
