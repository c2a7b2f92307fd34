#!/usr/bin/env bash
# reproducible.sh: builds the packages and the Python package twice, in directories with names of different lengths and with another
# CARGO_HOME, umask, time zone, language and user name, and compares all files. Prints `ok NAME` or `not ok NAME` for each file.
#
# AUTHGRANT_KEEP=1 keeps the two directories in build/reproducible.
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh build binutils python3 zig packages wheel
out=$ROOT/build/reproducible
rm -rf "$out"
first=$out/a
second=$out/a-directory-with-a-longer-name/b
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
failed=0

# copy_sources DIRECTORY: copies the sources. The tools are the same; what is compiled is not.
copy_sources() {
    mkdir -p "$1/target"
    git ls-files -z --cached --others --exclude-standard |
        tar --null --ignore-failed-read --files-from=- -cf - | tar --no-same-permissions -xf - -C "$1"
    ln -s "$ZIG_VENV" "$WHEEL_VENV" "$TOOLS" "$1/target/"
}

# build_in DIRECTORY VARIABLE=VALUE... : builds the packages there.
build_in() {
    local directory=$1
    shift
    echo "building in $directory"
    (cd "$directory" && env --unset=CARGO_TARGET_DIR "$@" sh -c 'scripts/package.sh && scripts/wheel.sh dist build/portable/libauthgrant.so.0') \
        >"$SCRATCH/log" 2>&1 || { tail -n 40 "$SCRATCH/log"; fail "reproducible.sh: the build failed"; }
}

same() { cmp "$1/$3" "$2/$3" && sha256sum "$1/$3"; }

same_names() { diff "$SCRATCH/files" <(files_of "$second"); }

# Of what was built, only the file for pkg-config contains its directory: that is for programs that use the library where it is.
files_of() { (cd "$1" && find build/portable dist -type f ! -name '*.pc' | LC_ALL=C sort); }

no_local_paths() { ! grep -r -F -l -e "$out" -e "${CARGO_HOME:-$HOME/.cargo}" -e "$(realpath "$ZIG_VENV")" "$second/dist" "$second/build/portable" --exclude='*.pc'; }

(umask 022 && copy_sources "$first")
(umask 077 && copy_sources "$second")
ln -s "${CARGO_HOME:-$HOME/.cargo}" "$out/another-cargo-home"
(umask 022 && build_in "$first" TZ=UTC LC_ALL=C USER=one)
(umask 077 && build_in "$second" TZ=Asia/Tokyo LC_ALL=C.UTF-8 USER=another CARGO_HOME="$out/another-cargo-home")

files_of "$first" >"$SCRATCH/files"
try "two builds write the same files" same_names
while read -r file; do
    try "two builds of $file are identical" same "$first" "$second" "$file"
done <"$SCRATCH/files"
try "no file contains a directory of this machine" no_local_paths
[ "${AUTHGRANT_KEEP:-}" = 1 ] || rm -rf "$out"
exit $failed
