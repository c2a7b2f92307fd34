#!/usr/bin/env bash
# symbols.sh LIBRARY: it exports what the header declares and nothing else, and can be linked against for years.
set -euo pipefail
. "$(dirname "$0")/common.sh"

library=${1:?the library}
declared=$SCRATCH/declared
exported=$SCRATCH/exported
bad=0

# Comments out, then every authgrant_ name before a parenthesis, but for callback types: those end in _fn.
sed -e 's:/\*.*\*/::g' -e '\:/\*:,\:\*/:d' -e 's://.*::' include/authgrant.h |
    grep -oE '\bauthgrant_[a-z0-9_]+ *\(' | tr -d ' (' | grep -v '_fn$' | sort -u >"$declared"
nm --dynamic --defined-only --extern-only "$library" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$exported"

if ! diff -u --label header --label library "$declared" "$exported"; then
    echo "symbols: header and library differ"
    bad=1
fi
readelf --dynamic --wide "$library" >"$SCRATCH/dynamic"
grep -q 'SONAME.*\[libauthgrant\.so\.0\]' "$SCRATCH/dynamic" || { echo "symbols: SONAME is not libauthgrant.so.0"; bad=1; }
# Rust's thread-locals make dlclose unsafe.
grep -q 'NODELETE' "$SCRATCH/dynamic" || { echo "symbols: not linked with -z nodelete"; bad=1; }
# Nothing of the host's crypto: only the C library and its parts.
if grep 'NEEDED' "$SCRATCH/dynamic" | grep -vE '\[(libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux-[a-z0-9-]+)\.so'; then
    echo "symbols: the library needs more than the C library"
    bad=1
fi
echo "symbols: $(wc -l <"$declared") declared, $(wc -l <"$exported") exported"
exit $bad
