#!/usr/bin/env bash
# symbols.sh LIBRARY: checks that it exports exactly what the header declares, its link flags and its dependencies.
set -euo pipefail
. "$(dirname "$0")/common.sh"

library=${1:?the library}
declared=$SCRATCH/declared
exported=$SCRATCH/exported
bad=0

functions_in include/authgrant.h | grep -v '_fn$' >"$declared"
nm --dynamic --defined-only --extern-only "$library" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$exported"

if ! diff -u --label header --label library "$declared" "$exported"; then
    echo "symbols: header and library differ"
    bad=1
fi
readelf --dynamic --wide "$library" >"$SCRATCH/dynamic"
# Rust's thread-locals make dlclose unsafe.
grep -q 'NODELETE' "$SCRATCH/dynamic" || { echo "symbols: not linked with -z nodelete"; bad=1; }
# No crypto library of the application: only the C library and its parts.
if grep 'NEEDED' "$SCRATCH/dynamic" | grep -vE '\[(libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux-[a-z0-9-]+)\.so'; then
    echo "symbols: the library needs more than the C library"
    bad=1
fi
echo "symbols: $(wc -l <"$declared") declared, $(wc -l <"$exported") exported"
exit $bad
