#!/bin/sh
# Runs lint, types, the unit tests and the tests of the binary with the Deno that the pin is to move
# to, and whose runtime npm does not have: against the bundle that would be compiled, run with
# `deno run` by a wrapper that keeps argv[0].
set -eu
cd "$(dirname "$0")/.."
found=$(DENO='' DENO_VERSION="${DENO_VERSION:-next}" sh toolchain/find_deno.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -m 777 "$work/cache"
# Tests run it as nobody too, who cannot read a cache directory of root's.
deno=$work/deno
install -m 755 "$found" "$deno"

"$deno" --version
"$deno" task --quiet test:tools
"$deno" task --quiet lint
"$deno" task --quiet types
"$deno" bundle --quiet --minify --platform=deno --code-splitting --outdir="$work/bundle" main.ts
# -p: bash gives up an effective user that is not the real one.
cat >"$work/sipid" <<WRAPPER
#!/bin/bash -p
export DENO_DIR=$work/cache DENO_NO_UPDATE_CHECK=1
exec -a "\$0" $deno run --quiet --no-config --no-lock --no-check --allow-all --no-prompt \
  --no-code-cache $work/bundle/main.js "\$@"
WRAPPER
chmod 755 "$work/sipid"

# A background job of sh ignores these two, and a shell that a test starts could not trap them.
SIPID_UNDER_TEST=$work/sipid env --default-signal=INT,QUIT "$deno" test --no-check --parallel --allow-all \
  tests/unit/ tests/cli/
echo "Deno $("$deno" --version | sed -n 's/^deno \([0-9.]*\).*/\1/p') passes"
