#!/usr/bin/env bash
# lib.sh PROFILE DIRECTORY: builds the library and installs it into DIRECTORY under its SONAME. Line tables of the
# release library are in a separate debug file (scripts/split-debug.sh).
set -euo pipefail
. "$(dirname "$0")/common.sh"

profile=${1:?release or debug}
directory=${2:?where the library goes}

mkdir -p "$directory"
case $profile in
    debug)
        scripts/setup.sh build
        cargo build --quiet --lib
        install -m 755 "$TARGET/debug/libauthgrant.so" "$directory/libauthgrant.so.0"
        ;;
    release)
        scripts/setup.sh build binutils
        cargo build --quiet --lib --profile dist
        scripts/split-debug.sh "$TARGET/dist/libauthgrant.so" "$directory"
        scripts/debug-file.sh "$directory/libauthgrant.so.0"
        ;;
    *) fail "lib.sh: release or debug" ;;
esac
ln -sf libauthgrant.so.0 "$directory/libauthgrant.so"
echo "$directory/libauthgrant.so.0 ($profile, $(($(stat -c %s "$directory/libauthgrant.so.0") / 1024)) KiB)"
