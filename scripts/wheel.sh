#!/usr/bin/env bash
# wheel.sh [DIRECTORY [LIBRARY]]: builds the Python package of LIBRARY (default: the portable library) into DIRECTORY (default: dist).
#
# The library gets a file name and a SONAME of its own, so that the loader does not take it for the libauthgrant.so.0 of the system or
# of a driver in the same process, nor the other way round. The same library and sources yield the same package, see package.sh.
set -euo pipefail
. "$(dirname "$0")/common.sh"
umask 022

directory=${1:-dist}
library=${2:-}
scripts/setup.sh wheel binutils python3
if [ -z "$library" ]; then
    scripts/lib.sh portable build/portable
    library=build/portable/libauthgrant.so.0
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export PATH=$WHEEL_VENV/bin:$PATH
export AUTHGRANT_VERSION
AUTHGRANT_VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

package=$SCRATCH/python
name=libauthgrant-py-$(sha256sum "$library" | cut -c 1-8).so
cp -r bindings/python "$package"
cp LICENSE "$package/"
scripts/third_party.py "$(uname -m)-unknown-linux-gnu" "$package"
rm -rf "$package/src/authgrant/_lib"
mkdir "$package/src/authgrant/_lib"
objcopy --strip-all "$library" "$package/src/authgrant/_lib/$name"
patchelf --set-soname "$name" "$package/src/authgrant/_lib/$name"

python -m build --quiet --wheel --no-isolation --outdir "$SCRATCH/wheel" "$package"
mkdir -p "$directory"
rm -f "$directory"/authgrant-*.whl
# Finds the oldest manylinux policy that the library satisfies, and writes it into the name and the tags of the wheel.
auditwheel repair --plat auto --wheel-dir "$directory" "$SCRATCH"/wheel/*.whl >/dev/null 2>&1 ||
    fail "wheel.sh: the library satisfies no manylinux policy; see auditwheel show"
# `make package wheel` has one list of all packages.
[ ! -f "$directory/SHA256SUMS" ] || write_checksums "$directory"
ls "$directory"/authgrant-*.whl
