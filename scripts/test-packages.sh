#!/usr/bin/env bash
# test-packages.sh: builds the packages, unpacks them elsewhere, and builds and runs C and C++ programs with nothing but them: with
# pkg-config and with CMake, with the shared and the static library. Prints one line `ok NAME` or `not ok NAME` for each test.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

scripts/setup.sh build binutils python3 packages
dist=$SCRATCH/dist
lib=$ROOT/build/portable
version=$(package_version)
machine=$(uname -m)
failed=0

scripts/package.sh "$dist"

make_key_store "$SCRATCH/jwtcert"
start_server mock_server "$TARGET/debug/mock_server" --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")

# Sources of programs, away from the repository.
sources=$SCRATCH/sources
mkdir "$sources"
cp examples-c/token.c tests/packages/token.cpp tests/packages/CMakeLists.txt "$sources"

packages_are_reproducible() {
    touch "$lib"/*
    scripts/package.sh "$SCRATCH/again" && diff "$dist/SHA256SUMS" "$SCRATCH/again/SHA256SUMS"
}

# No symbol of a glibc newer than 2.17.
glibc_is_old() {
    local newest
    newest=$(readelf --dyn-syms --wide "$lib/libauthgrant.so.0" | grep -o '@GLIBC_[0-9.]*' | sort -u -V | tail -n 1)
    echo "newest: $newest"
    [ "$(printf '%s\n' @GLIBC_2.17 "$newest" | sort -V | tail -n 1)" = @GLIBC_2.17 ]
}

exports_match() { scripts/symbols.sh "$lib/libauthgrant.so.0" && scripts/debug-file.sh "$lib/libauthgrant.so.0"; }

# Neither user nor directories of the machine that built it.
no_local_paths() {
    local file
    for file in libauthgrant.so.0 libauthgrant.so.0.debug libauthgrant.a authgrant.cdx.json THIRD-PARTY-NOTICES; do
        [ -f "$lib/$file" ] && ! grep -F -q -e "$ROOT" -e "${CARGO_HOME:-$HOME/.cargo}" -e "$(realpath "$ZIG_VENV")" "$lib/$file" || { echo "$file"; return 1; }
    done
}

# Each component of the bill has its licence in the notices. ring is a dependency of tests only.
third_parties_are_listed() {
    local component
    sed -n 's,^ *"purl": "pkg:cargo/\(.*\)@\(.*\)"\,*$,\1 \2,p' "$lib/authgrant.cdx.json" | grep -v '^authgrant ' >"$SCRATCH/components"
    grep -q '^aws-lc-sys ' "$SCRATCH/components" && ! grep -q '^ring ' "$SCRATCH/components" || return 1
    while read -r component; do
        grep -q "^$component: [A-Z]" "$lib/THIRD-PARTY-NOTICES" || { echo "no licence of $component"; return 1; }
    done <"$SCRATCH/components"
    grep -q 'Amazon.com, Inc' "$lib/THIRD-PARTY-NOTICES"
}

install_refuses_to_build() {
    local output
    ! output=$(make --no-print-directory install LIB="$SCRATCH/empty" DESTDIR="$SCRATCH/refused" 2>&1) || return 1
    grep -qF "make lib" <<<"$output" && [ ! -e "$SCRATCH/refused" ]
}

# installed_files DIRECTORY: prints the files below it.
installed_files() { (cd "$1" && find . ! -type d | LC_ALL=C sort); }

install_has_layout() {
    local destination=$SCRATCH/installed
    make --no-print-directory install LIB="$lib" DESTDIR="$destination" PREFIX=/opt/authgrant LIBDIR=/opt/authgrant/lib64 &&
        diff - <(installed_files "$destination") <<END
./opt/authgrant/include/authgrant.h
./opt/authgrant/include/authgrant.hpp
./opt/authgrant/lib64/cmake/authgrant/authgrant-config-version.cmake
./opt/authgrant/lib64/cmake/authgrant/authgrant-config.cmake
./opt/authgrant/lib64/libauthgrant.a
./opt/authgrant/lib64/libauthgrant.so
./opt/authgrant/lib64/libauthgrant.so.0
./opt/authgrant/lib64/pkgconfig/authgrant-static.pc
./opt/authgrant/lib64/pkgconfig/authgrant.pc
./opt/authgrant/share/doc/authgrant/LICENSE
./opt/authgrant/share/doc/authgrant/THIRD-PARTY-NOTICES
./opt/authgrant/share/doc/authgrant/authgrant.cdx.json
END
}

uninstall_removes_all() {
    local destination=$SCRATCH/uninstalled
    make --no-print-directory install LIB="$lib" DESTDIR="$destination" prefix=/usr &&
        [ -e "$destination/usr/lib/libauthgrant.a" ] &&
        make --no-print-directory uninstall DESTDIR="$destination" prefix=/usr &&
        [ -z "$(installed_files "$destination")" ] && [ ! -e "$destination/usr/share/doc/authgrant" ]
}

# What the C compiler adds itself is not in the files for static linking.
static_libraries_match_rustc() {
    local native
    native=$(rustc --print native-static-libs --crate-type staticlib --crate-name probe -o "$SCRATCH/probe.a" - </dev/null 2>&1 |
        sed -n 's/^note: native-static-libs: //p' | tr ' ' '\n' | grep -vxE -e '-lgcc_s|-lc' | paste -sd ' ')
    diff <(echo "Libs.private: $native") <(grep '^Libs.private' "$1/pkgconfig/authgrant.pc")
}

debs_satisfy_lintian() {
    lintian --fail-on error,warning "$dist"/*.deb
}

# prints_token COMMAND... : the program gets a token.
prints_token() {
    local output
    output=$(timeout 60 "$@" "$text" 2>&1) || { echo "$output"; return 1; }
    grep -q '^token: Bearer ' <<<"$output"
}

# compile LIBDIR COMPILER SOURCE OPTION...: builds $SCRATCH/program with the output of pkg-config, which escapes blanks.
compile() {
    local libdir=$1 compiler=$2 source=$sources/$3 output flags
    shift 3
    output=$(PKG_CONFIG_LIBDIR="$libdir/pkgconfig" pkg-config --cflags --libs "$@") && eval "flags=($output)" &&
        "$compiler" "${extra[@]}" "$source" -o "$SCRATCH/program" "${flags[@]}"
}

needs_shared_library() { readelf --dynamic "$1" | grep -q 'NEEDED.*\[libauthgrant\.so'; }

# built_with_pkg_config LIBDIR COMPILER SOURCE
built_with_pkg_config() {
    local extra=()
    compile "$@" authgrant && needs_shared_library "$SCRATCH/program" && LD_LIBRARY_PATH=$1 prints_token "$SCRATCH/program"
}

# built_statically LIBDIR COMPILER SOURCE: with the static library, and then without any shared library.
built_statically() {
    local extra=()
    compile "$@" authgrant-static && ! needs_shared_library "$SCRATCH/program" && prints_token "$SCRATCH/program" || return 1
    extra=(-static)
    compile "$@" --static authgrant && prints_token "$SCRATCH/program"
}

# built_with_cmake PREFIX
built_with_cmake() {
    local build=$SCRATCH/cmake-build program
    rm -rf "$build"
    cmake -S "$sources" -B "$build" -DCMAKE_PREFIX_PATH="$1" -DVERSION="$version" && cmake --build "$build" || return 1
    for program in c-authgrant c-authgrant-static cpp-authgrant cpp-authgrant-static; do prints_token "$build/$program" || return 1; done
    needs_shared_library "$build/cpp-authgrant" && ! needs_shared_library "$build/cpp-authgrant-static"
}

# test_tree NAME PREFIX LIBDIR: programs of the installed tree.
test_tree() {
    try "$1: C with pkg-config" built_with_pkg_config "$3" cc token.c
    try "$1: C++ with pkg-config" built_with_pkg_config "$3" c++ token.cpp
    try "$1: C with the static library" built_statically "$3" cc token.c
    try "$1: C++ with the static library" built_statically "$3" c++ token.cpp
    try "$1: CMake" built_with_cmake "$2"
}

# The Python package of the portable library, in a new environment.
wheel_gets_token() {
    local wheel program='import authgrant, sys; print("token:", "Bearer", authgrant.Connection(sys.argv[1]).token().value)'
    scripts/wheel.sh "$SCRATCH/wheel" "$lib/libauthgrant.so.0" && wheel=$(echo "$SCRATCH"/wheel/*.whl) || return 1
    [[ $wheel == *manylinux_2_17_* ]] || { echo "$wheel"; return 1; }
    python3 -m venv "$SCRATCH/venv" && "$SCRATCH/venv/bin/pip" install --quiet --no-index "$wheel" &&
        prints_token "$SCRATCH/venv/bin/python" -c "$program"
}

try "packages are reproducible" packages_are_reproducible
try "the portable library needs glibc 2.17" glibc_is_old
try "the portable library has the exports and its debug file" exports_match
try "the portable library has no local paths" no_local_paths
try "third parties are listed" third_parties_are_listed
try "make install does not build" install_refuses_to_build
try "make install has the layout" install_has_layout
try "make uninstall removes all files" uninstall_removes_all
try "static libraries are those of rustc" static_libraries_match_rustc "$SCRATCH/installed/opt/authgrant/lib64"
try "the Debian packages satisfy lintian" debs_satisfy_lintian
try "the Python package of the portable library gets a token" wheel_gets_token

# As docs/limits.md says.
small_stack_suffices() {
    cc -std=gnu11 -Iinclude tests/c/small_stack.c -o "$SCRATCH/small_stack" "-L$lib" -lauthgrant "-Wl,-rpath,$lib" -pthread &&
        "$SCRATCH/small_stack" 64 "$text"
}
try "the portable library needs 64 KiB of stack" small_stack_suffices

tree=$SCRATCH/local/usr/local
make --no-print-directory install LIB="$lib" DESTDIR="$SCRATCH/local"
test_tree "make install" "$tree" "$tree/lib"

mkdir "$SCRATCH/path with blanks"
tar xzf "$dist/authgrant-$version-linux-$machine.tar.gz" -C "$SCRATCH/path with blanks"
tree="$SCRATCH/path with blanks/authgrant-$version-linux-$machine"
test_tree "archive" "$tree" "$tree/lib"

mkdir "$SCRATCH/debian"
for deb in "$dist"/*.deb; do dpkg-deb --extract "$deb" "$SCRATCH/debian"; done
tree=$SCRATCH/debian/usr
test_tree "Debian packages" "$tree" "$tree/lib/$machine-linux-gnu"
exit $failed
