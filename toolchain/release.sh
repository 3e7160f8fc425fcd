#!/bin/sh
# Packs dist/sipid with its man page, completions and licence, the same bytes from any clone, and
# prints what a BOSH release wants to know of the blob.
set -eu
cd "$(dirname "$0")/.."
version=$(dist/sipid --version | cut -d ' ' -f 2)
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
name=sipid-$version-linux-$arch

work=$(mktemp -d dist/release-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/completions"
install -m 0755 dist/sipid "$work/$name/sipid"
for file in docs/sipid.1 LICENSE README.md CHANGELOG.md; do
  install -m 0644 "$file" "$work/$name/"
done
for shell in bash zsh fish; do
  dist/sipid completions "$shell" >"$work/$name/completions/sipid.$shell"
  chmod 0644 "$work/$name/completions/sipid.$shell"
done
chmod 0755 "$work/$name" "$work/$name/completions"
tar --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner \
  -C "$work" -cf - "$name" | gzip -n >"$work/$name.tar.gz"
mv "$work/$name.tar.gz" "dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" sipid >"${work#dist/}/sums" && mv "${work#dist/}/sums" SHA256SUMS)

sum() { sha256sum "$1" | cut -d ' ' -f 1; }
cat <<EOF
dist/$name.tar.gz
$(cat dist/SHA256SUMS)

Into a BOSH release:
  bosh add-blob dist/sipid sipid/sipid
which writes to config/blobs.yml:
  sipid/sipid:
    size: $(wc -c <dist/sipid)
    sha: sha256:$(sum dist/sipid)
EOF
