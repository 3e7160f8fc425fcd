#!/bin/sh
# Prints the path of a minimal Debian bullseye with Monit and runit (for chpst), which stands in for a
# stemcell; its glibc is older than theirs. It is installed once, from the mirror that apt uses.
set -eu
cache=${XDG_CACHE_HOME:-${HOME:?set HOME, or XDG_CACHE_HOME}/.cache}/sipid-toolchain
stemcell=$cache/stemcell-bullseye
if [ ! -d "$stemcell" ]; then
  # shellcheck disable=SC2016 # for apt to expand
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep '/debian/\{0,1\}$' | head -n 1)
  [ -n "$mirror" ] || {
    echo "toolchain: no Debian mirror in the sources of apt" >&2
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
