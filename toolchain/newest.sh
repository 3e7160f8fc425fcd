#!/bin/sh
# Checks whether the newest Deno on npm passes lint, types and the unit tests, so that the pin can be
# raised as soon as its runtime is available. It is fetched into a temporary directory.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $(uname -m) in
x86_64) package=@deno/linux-x64-glibc ;;
aarch64) package=@deno/linux-arm64-glibc ;;
*) echo "toolchain: no newest Deno for $(uname -m)" >&2 && exit 1 ;;
esac
npm install --silent --no-save --ignore-scripts --prefix "$work" "$package@latest" >&2
deno=$work/node_modules/$package/deno
"$deno" --version
"$deno" lint --quiet --compact
"$deno" check --quiet main.ts tests/unit/*.ts
"$deno" test --quiet --no-check --allow-all tests/unit/
echo 'the newest Deno passes lint, check and the unit tests'
