#!/bin/sh
# Whether the newest Deno of npm passes lint, types and the unit tests, so that the pin can be raised
# on the day its runtime can be had. It is fetched into a folder of its own and thrown away.
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
export DENO_TLS_CA_STORE=system,mozilla
"$deno" lint --quiet --compact
"$deno" check --lock=deno.lock --frozen --quiet main.ts tests/unit/*.ts
"$deno" test --lock=deno.lock --frozen --quiet --no-check --allow-all tests/unit/
echo 'the newest Deno passes lint, check and the unit tests'
