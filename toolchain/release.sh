#!/bin/sh
# release.sh [DIRECTORY]: packs DIRECTORY/sipid (default: dist) with its man page, completions and
# licence into an archive and a Debian package there, the same bytes from any clone, and prints what
# a BOSH release wants to know of the blob. ARCH=arm64 compiles for that architecture. With a
# DENO_VERSION that is not the pinned one, the names say so.
set -eu
cd "$(dirname "$0")/.."
unset TAR_OPTIONS GZIP XZ_OPT # they change what tar and gzip write
export LC_ALL=C
umask 022

dist=${1:-dist}
directory=$(realpath "$dist")
version=$("$directory/sipid" --version | cut -d ' ' -f 2)
case $(uname -m) in x86_64) host=x64 ;; aarch64) host=arm64 ;; *) host=$(uname -m) ;; esac
arch=${ARCH:-$host}
case $arch in
x64) architecture=amd64 target=x86_64-unknown-linux-gnu ;;
arm64) architecture=arm64 target=aarch64-unknown-linux-gnu ;;
*) echo "toolchain: ARCH=$arch: expected x64 or arm64" >&2 && exit 1 ;;
esac

binary=sipid
if [ "$arch" != "$host" ]; then
  binary=$arch/sipid
  deno=$(DENO_VERSION=${DENO_VERSION:-$arch} sh toolchain/find_deno.sh)
  mkdir -p "$directory/$arch"
  "$deno" task --quiet build "$directory/$binary" "$target"
fi
suffix=
if [ -n "${DENO_VERSION:-}" ]; then
  pinned=$(awk '$3 == "pinned" { print $1 }' toolchain/versions)
  built=$("$(sh toolchain/find_deno.sh)" --version | sed -n 's/^deno \([0-9.]*\).*/\1/p')
  [ "$built" = "$pinned" ] || suffix=deno$built
fi
name=sipid-$version-linux-$arch${suffix:+-$suffix}
package=sipid_$version${suffix:++$suffix}_$architecture.deb

work=$(mktemp -d "$directory/release-XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/$name/completions"
install -m 0755 "$directory/$binary" "$work/$name/sipid"
install -m 0644 docs/sipid.1 LICENSE README.md CHANGELOG.md "$work/$name"
for shell in bash zsh fish; do
  "$directory/sipid" completions "$shell" >"$work/$name/completions/sipid.$shell"
done
tar --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner \
  -C "$work" -cf - "$name" | gzip -n >"$work/$name.tar.gz"

share=$work/debian/usr/share
completions=$work/$name/completions
install -D -m 0755 "$directory/$binary" "$work/debian/usr/bin/sipid"
install -D -m 0644 docs/sipid.1 "$share/man/man1/sipid.1"
install -D -m 0644 "$completions/sipid.bash" "$share/bash-completion/completions/sipid"
install -D -m 0644 "$completions/sipid.zsh" "$share/zsh/vendor-completions/_sipid"
install -D -m 0644 "$completions/sipid.fish" "$share/fish/vendor_completions.d/sipid.fish"
sh toolchain/debian.sh "$work/debian" "$architecture" "$version${suffix:++$suffix}" "$work/$package"

mv "$work/$name.tar.gz" "$work/$package" "$directory"
cd "$directory"
for file in sipid-"$version"-*.tar.gz sipid_"$version"*.deb sipid arm64/sipid x64/sipid; do
  # Those of other architectures too, if they have been made.
  [ ! -f "$file" ] || sha256sum "$file"
done >"$work/sums"
mv "$work/sums" SHA256SUMS

sum() { sha256sum "$1" | cut -d ' ' -f 1; }
cat <<EOT
$dist/$name.tar.gz
$dist/$package
$(cat SHA256SUMS)

Into a BOSH release:
  bosh add-blob $dist/$binary sipid/sipid
which writes to config/blobs.yml:
  sipid/sipid:
    size: $(wc -c <"$binary")
    sha: sha256:$(sum "$binary")
EOT
