#!/usr/bin/env bash
# lib.sh PROFILE DIRECTORY: builds the library and writes libauthgrant.so.0, the link libauthgrant.so, and pkgconfig/authgrant.pc to
# DIRECTORY.
#
# debug     what `cargo test` builds, without a SONAME
# release   optimized, for this system and newer ones
# portable  optimized, for any Linux with glibc 2.17 or newer
#
# AUTHGRANT_FEATURES names cargo features beside the default ones, such as `fips`.
#
# Beside an optimized library it writes libauthgrant.a, a debug file with line tables (scripts/split-debug.sh), and notices and bill of
# materials of what is linked in (scripts/third_party.py).
set -euo pipefail
. "$(dirname "$0")/common.sh"

SONAME=libauthgrant.so.0
GLIBC=2.17
profile=${1:?debug, release or portable}
directory=${2:?where the library goes}

# optimized COMMAND... : builds the shared and the static library. Only they are built, because cargo does not apply link-time
# optimization to a crate that is also built as an rlib. The name is set here and not in build.rs: a library of a plain
# `cargo build` has none, so that programs that link it find it in the target directory. Nothing that is compiled contains a date, but
# AWS-LC is compiled again whenever SOURCE_DATE_EPOCH changes.
optimized() {
    env --unset=SOURCE_DATE_EPOCH "$@" rustc --quiet --lib --profile dist --crate-type cdylib,staticlib "${features[@]}" "${options[@]}" -- -C link-arg=-Wl,-soname,$SONAME
}

# At its first link zig compiles its runtime, libunwind and parts of glibc, with debug information that contains directories of this machine.
# Strips it in the cache of zig; fails if there is none. rust-objcopy is used because that of GNU does not know names with a slash in an archive.
strip_zig_runtime() {
    local files objcopy
    mapfile -t files < <(find "$ZIG_GLOBAL_CACHE_DIR/o" -type f \( -name '*.a' -o -name '*.o' \) -exec grep -lF -e "$(realpath "$ROOT")" {} +)
    [ ${#files[@]} -gt 0 ] || return 1
    objcopy=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-objcopy
    printf '%s\0' "${files[@]}" | xargs -0 -n 1 "$objcopy" --strip-debug
}

# install_optimized BUILT: installs the libraries of the directory BUILT.
install_optimized() {
    scripts/split-debug.sh "$1/libauthgrant.so" "$directory"
    objcopy --strip-debug --enable-deterministic-archives "$1/libauthgrant.a" "$SCRATCH/libauthgrant.a"
    install -m 644 "$SCRATCH/libauthgrant.a" "$directory/libauthgrant.a"
    scripts/third_party.py "$target" "$directory"
    [ "$(soname "$directory/$SONAME")" = $SONAME ] || fail "lib.sh: $directory/$SONAME has no or another SONAME"
}

soname() { readelf --dynamic --wide "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p'; }

# For programs that use the library where it is: unlike an installed one, they find it by its path.
write_pkg_config() {
    local path
    path=$(cd "$directory" && pwd)
    mkdir -p "$path/pkgconfig"
    printf '%s\n' "Name: authgrant" "Description: OAuth access tokens from ODBC connection strings" "Version: $(package_version)" \
        "Cflags: -I$ROOT/include" "Libs: -L$path -lauthgrant -Wl,-rpath,$path" >"$path/pkgconfig/authgrant.pc"
}

mkdir -p "$directory"
options=()
features=(--features "${AUTHGRANT_FEATURES:-}")
case $profile in
    debug)
        scripts/setup.sh build
        cargo build --quiet --lib "${features[@]}"
        install -m 755 "$TARGET/debug/libauthgrant.so" "$directory/$SONAME"
        ;;
    release)
        scripts/setup.sh build binutils python3
        target=$(rustc -vV | sed -n 's/^host: //p')
        optimized cargo
        install_optimized "$TARGET/dist"
        scripts/debug-file.sh "$directory/$SONAME"
        ;;
    portable)
        scripts/setup.sh build binutils python3 zig
        target=$(uname -m)-unknown-linux-gnu
        export CARGO_ZIGBUILD_PYTHON_PATH=$ZIG_VENV/bin/python
        # The library contains names of source files: without the directories of this machine, every machine builds the same.
        # Compilers write the real path of their directory, so CARGO_HOME must not be a link.
        CARGO_HOME=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
        export CARGO_HOME
        rust_flags=(--remap-path-prefix="$CARGO_HOME=/cargo" --remap-path-prefix="$ROOT=/authgrant" --remap-path-prefix="$(realpath "$ROOT")=/authgrant")
        CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${rust_flags[*]}")
        export CARGO_ENCODED_RUSTFLAGS
        # AWS-LC includes headers of zig. The last directory that matches is replaced.
        remap=$(printf -- '-ffile-prefix-map=%q=/authgrant -ffile-prefix-map=%q=/zig' "$(realpath "$ROOT")" "$(realpath "$ZIG_VENV")")
        export CC_SHELL_ESCAPED_FLAGS=1 "CFLAGS_${target//-/_}=$remap"
        # A target directory of its own: zig compiles the C sources of dependencies with other flags.
        options=(--target "$target.$GLIBC" --target-dir "$TARGET/portable")
        # A cache of its own: that of the user has the runtime as other directories compiled it.
        export ZIG_GLOBAL_CACHE_DIR=$TARGET/portable/zig
        optimized "$ZIG_VENV/bin/cargo-zigbuild"
        if strip_zig_runtime; then
            rm "$TARGET/portable/$target/dist/deps/libauthgrant".{so,a}
            optimized "$ZIG_VENV/bin/cargo-zigbuild"
        fi
        install_optimized "$TARGET/portable/$target/dist"
        ;;
    *) fail "lib.sh: debug, release or portable" ;;
esac
ln -sf $SONAME "$directory/libauthgrant.so"
write_pkg_config
echo "$directory/$SONAME ($profile, $(($(stat -c %s "$directory/$SONAME") / 1024)) KiB)"
