#!/usr/bin/env bash
# lib.sh PROFILE DIRECTORY: builds the library and puts it, under the name that programs look for, into DIRECTORY.
set -euo pipefail
. "$(dirname "$0")/common.sh"

profile=${1:?release or debug}
directory=${2:?where the library goes}

scripts/setup.sh build
flags=()
[ "$profile" = debug ] || flags+=(--release)
cargo build --quiet --lib "${flags[@]}"

mkdir -p "$directory"
install -m 755 "$TARGET/$profile/libauthgrant.so" "$directory/libauthgrant.so.0"
ln -sf libauthgrant.so.0 "$directory/libauthgrant.so"
echo "$directory/libauthgrant.so.0 ($profile, $(($(stat -c %s "$directory/libauthgrant.so.0") / 1024)) KiB)"
