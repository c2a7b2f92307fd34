#!/usr/bin/env bash
# split-debug.sh LIBRARY DIRECTORY: writes LIBRARY without symbols to DIRECTORY/libauthgrant.so.0, and its line tables and
# symbols to libauthgrant.so.0.debug.
#
# Debuggers find that file by its name in the library (.gnu_debuglink) or by the build id that both have, as .build-id/xx/yyyy.debug
# below DIRECTORY after gdb's `set debug-file-directory DIRECTORY`.
set -euo pipefail
. "$(dirname "$0")/common.sh"

source=${1:?the library}
directory=${2:?where it goes}
library=$SCRATCH/libauthgrant.so.0
debug=$library.debug

objcopy --only-keep-debug "$source" "$debug"
objcopy --strip-all --add-gnu-debuglink="$debug" "$source" "$library"
id=$(readelf --notes "$library" | sed -n 's/^ *Build ID: *//p' || true)
[ -n "$id" ] || fail "split-debug: $source has no build id"

mkdir -p "$directory/.build-id"
# Debug files of earlier builds.
find "$directory/.build-id" -lname ../../libauthgrant.so.0.debug -delete
mkdir -p "$directory/.build-id/${id:0:2}"
ln -s ../../libauthgrant.so.0.debug "$directory/.build-id/${id:0:2}/${id:2}.debug"
install -m 755 "$library" "$directory/libauthgrant.so.0"
install -m 644 "$debug" "$directory/libauthgrant.so.0.debug"
