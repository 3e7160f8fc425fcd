#!/bin/sh
# Prints the path of the Deno to build with: $DENO if it is set (2.4 or newer), else a `deno` on
# PATH that is the pinned version, else the pinned one from npm, kept in the user's cache folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=@deno/linux-x64-glibc
pinned=$(sed -n "s|.*\"$package\": \"\\(.*\\)\".*|\\1|p" "$here/deno/package.json")

die() {
  printf 'toolchain: %s\n' "$*" >&2
  exit 1
}
version_of() { "$1" --version 2>/dev/null | sed -n 's/^deno \([0-9.]*\).*/\1/p'; }

if [ -n "${DENO:-}" ]; then
  given=$(version_of "$DENO" || :)
  case $given in
    '') die "DENO=$DENO is not a Deno that runs here" ;;
    0.* | 1.* | 2.[0-3].*) die "DENO=$DENO is Deno $given; 2.4 or newer is needed" ;;
  esac
  command -v "$DENO"
  exit
fi

if on_path=$(command -v deno) && [ "$(version_of "$on_path")" = "$pinned" ]; then
  printf '%s\n' "$on_path"
  exit
fi

cache=${XDG_CACHE_HOME:-${HOME:?set HOME, or XDG_CACHE_HOME}/.cache}/sipid-toolchain
deno=$cache/deno-$pinned/node_modules/$package/deno
if [ ! -x "$deno" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    die "no pinned Deno for $(uname -sm): install Deno $pinned and call make DENO=/path/to/deno"
  command -v npm >/dev/null ||
    die "npm is needed to fetch Deno $pinned: install it, or call make DENO=/path/to/deno"
  echo "toolchain: fetching Deno $pinned from npm, once" >&2
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  cp "$here/deno/package.json" "$here/deno/package-lock.json" "$new"
  npm ci --prefix "$new" --ignore-scripts --prefer-offline --no-audit --no-fund --no-update-notifier \
    --loglevel=error >&2 || die "npm could not install Deno $pinned: see above"
  # Another make may have been quicker: then its copy is as good.
  mv -T "$new" "$cache/deno-$pinned" 2>/dev/null || [ -x "$deno" ] || die "cannot write $cache"
fi
printf '%s\n' "$deno"
