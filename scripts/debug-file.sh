#!/usr/bin/env bash
# debug-file.sh LIBRARY: checks that debuggers find the library's debug file, and in it the source line of each exported function.
set -euo pipefail
. "$(dirname "$0")/common.sh"

library=${1:?the library}
directory=$(cd "$(dirname "$library")" && pwd)
debug=$library.debug
bad=0

wrong() {
    echo "debug-file: $*"
    bad=1
}

build_id() { readelf --notes "$1" | sed -n 's/^ *Build ID: *//p' || true; }

[ -f "$debug" ] || fail "debug-file: no $debug"
id=$(build_id "$library")
[ -n "$id" ] || wrong "the library has no build id"
[ "$(build_id "$debug")" = "$id" ] || wrong "the build ids differ: $id, $(build_id "$debug")"
[ "$directory/.build-id/${id:0:2}/${id:2}.debug" -ef "$debug" ] || wrong "no .build-id/${id:0:2}/${id:2}.debug"
! readelf --sections --wide "$library" | grep -E ' \.(symtab|debug_[a-z]+) ' || wrong "the library is not stripped"

# addr2line follows .gnu_debuglink, whose checksum must be right. An address comes first, then the inlined functions there
# from the inside out, and so the export itself last.
nm --dynamic --defined-only --extern-only "$library" | awk '{ print $1 }' >"$SCRATCH/addresses"
addr2line --addresses --inlines --exe="$library" <"$SCRATCH/addresses" 2>/dev/null |
    awk '/^0x/ { if (line) print line } { line = $0 } END { print line }' >"$SCRATCH/lines"
exports=$(wc -l <"$SCRATCH/addresses")
resolved=$(grep -cE '/src/ffi/[a-z_]+\.rs:[1-9][0-9]*( |$)' "$SCRATCH/lines" || true)
[ "$exports" -gt 0 ] && [ "$resolved" = "$exports" ] || wrong "only $resolved of $exports exports have a source line"

# gdb, where there is one, finds the file by the build id alone.
if has gdb; then
    cp "$library" "$SCRATCH/elsewhere.so"
    gdb -nx -batch -iex "set debug-file-directory $directory" -ex 'info line authgrant_open' "$SCRATCH/elsewhere.so" >"$SCRATCH/gdb" 2>&1 || true
    grep -qE 'Line [0-9]+ of "[^"]*src/ffi/connection\.rs"' "$SCRATCH/gdb" || wrong "gdb does not find it by its build id: $(tail -n 1 "$SCRATCH/gdb")"
fi
echo "debug-file: $resolved of $exports exports have a source line, build id $id"
exit $bad
