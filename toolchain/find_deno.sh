#!/bin/sh
# Prints the path of the Deno to build with: $DENO if set (2.4 or newer), else one of the version
# $DENO_VERSION: 2.9.6; 2.9 for its newest; a name in toolchain/versions, by default "pinned". That is
# a `deno` on PATH, or the one from npm, kept in the user's cache directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wanted=${DENO_VERSION:-pinned}
listed() { awk -v wanted="$wanted" -v field="$1" '$1 == wanted || $3 == wanted { print $field }' "$here/versions"; }
version=$(listed 1)
version=${version:-$wanted}
cache=${XDG_CACHE_HOME:-${HOME:?set HOME, or XDG_CACHE_HOME}/.cache}/sipid-toolchain

die() {
  printf 'toolchain: %s\n' "$*" >&2
  exit 1
}
version_of() { "$1" --version 2>/dev/null | sed -n 's/^deno \([0-9.]*\).*/\1/p'; }

# Whoever can write to the cache, or to a directory above it, chooses what the build runs.
directory=$cache
while [ "$directory" != / ] && [ "$directory" != . ]; do
  if [ -e "$directory" ]; then
    unsafe=$(find "$directory/" -maxdepth 0 \( -perm /022 ! -perm -1000 -o ! -user "$(id -u)" ! -user 0 \))
    [ -z "$unsafe" ] || die "$cache is not safe: other users can change $directory"
  fi
  directory=$(dirname "$directory")
done

if [ -n "${DENO:-}" ]; then
  given=$(version_of "$DENO" || :)
  case $given in
    '') die "DENO=$DENO is not a Deno that runs here" ;;
    0.* | 1.* | 2.[0-3].*) die "DENO=$DENO is Deno $given; 2.4 or newer is needed" ;;
  esac
  command -v "$DENO"
  exit
fi

case $(uname -sm) in
  'Linux x86_64') package=@deno/linux-x64-glibc ;;
  'Linux aarch64') package=@deno/linux-arm64-glibc ;;
  *) die "no Deno for $(uname -sm) on npm: install Deno $version and call make DENO=/path/to/deno" ;;
esac
case $version in
  *.*.*) ;;
  [0-9]*.[0-9]*)
    versions=$(npm view "$package@$version" version) || die "npm knows no Deno $version"
    version=$(printf '%s\n' "$versions" | sed "s/.*'\(.*\)'\$/\1/" | sort -V | tail -n 1)
    wanted=$version
    ;;
esac

if on_path=$(command -v deno) && [ "$(version_of "$on_path")" = "$version" ]; then
  printf '%s\n' "$on_path"
  exit
fi

expected=$(listed 2)
[ "$package" = @deno/linux-x64-glibc ] || expected=
deno=$cache/deno-$version/node_modules/$package/deno
# A version that is not listed is only as good as npm's own check when it was fetched.
is_genuine() { [ -z "$expected" ] || echo "$expected  $1" | sha256sum --check --status; }

if [ ! -x "$deno" ]; then
  command -v npm >/dev/null ||
    die "npm is needed to fetch Deno $version: install it, or call make DENO=/path/to/deno"
  echo "toolchain: fetching Deno $version from npm, once" >&2
  umask 022
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  chmod 755 "$new"
  npm install --prefix "$new" --no-save --ignore-scripts --prefer-offline --no-audit --no-fund \
    --no-update-notifier --loglevel=error "$package@$version" >&2 ||
    die "npm could not install Deno $version: see above"
  is_genuine "$new/node_modules/$package/deno" ||
    die "$package@$version does not have the SHA-256 of toolchain/versions"
  # Another make may have been quicker: then its copy is as good.
  mv -T "$new" "$cache/deno-$version" 2>/dev/null || [ -x "$deno" ] || die "cannot write $cache"
fi
is_genuine "$deno" || die "$deno has been changed; remove $cache/deno-$version"
printf '%s\n' "$deno"
