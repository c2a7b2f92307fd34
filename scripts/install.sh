#!/usr/bin/env bash
# install.sh install | uninstall: what `make install` and `make uninstall` do. Nothing is built.
#
# Environment: PREFIX (/usr/local), LIBDIR (PREFIX/lib), INCLUDEDIR (PREFIX/include), DOCDIR (PREFIX/share/doc/authgrant), also in the
# lower case of the GNU coding standards; DESTDIR (empty); and LIB, the directory that scripts/lib.sh wrote (build/lib). The files for
# pkg-config and CMake find header and library relative to themselves, so an installed tree can be moved.
set -euo pipefail
. "$(dirname "$0")/common.sh"

what=${1:?install or uninstall}
PREFIX=${PREFIX:-${prefix:-/usr/local}}
LIBDIR=${LIBDIR:-${libdir:-$PREFIX/lib}}
INCLUDEDIR=${INCLUDEDIR:-${includedir:-$PREFIX/include}}
DOCDIR=${DOCDIR:-${docdir:-$PREFIX/share/doc/authgrant}}
DESTDIR=${DESTDIR:-}
LIB=${LIB:-build/lib}
SONAME=libauthgrant.so.0
VERSION=$(package_version)
MINOR_VERSION=$(cut -d . -f 1-2 <<<"$VERSION")
# What `rustc --print native-static-libs` lists, without libgcc_s and libc: the C compiler adds these itself, and libgcc_s has no
# static form. scripts/test-packages.sh compares them.
LIBS_PRIVATE="-lutil -lrt -lpthread -lm -ldl"

# Every installed file.
FILES=(
    "$INCLUDEDIR/authgrant.h"
    "$INCLUDEDIR/authgrant.hpp"
    "$LIBDIR/$SONAME"
    "$LIBDIR/libauthgrant.so"
    "$LIBDIR/libauthgrant.a"
    "$LIBDIR/pkgconfig/authgrant.pc"
    "$LIBDIR/pkgconfig/authgrant-static.pc"
    "$LIBDIR/cmake/authgrant/authgrant-config.cmake"
    "$LIBDIR/cmake/authgrant/authgrant-config-version.cmake"
    "$DOCDIR/LICENSE"
    "$DOCDIR/THIRD-PARTY-NOTICES"
    "$DOCDIR/authgrant.cdx.json"
)

# fill TEMPLATE FILE: installs a file of packaging/ with its variables replaced. Directories are relative to that of the file.
fill() {
    local file=$DESTDIR$2 place=${2%/*} filled=$SCRATCH/filled
    sed -e "s,@PREFIX@,$(relative "$PREFIX" "$place")," -e "s,@INCLUDEDIR@,$(relative "$INCLUDEDIR" "$place")," \
        -e "s/@VERSION@/$VERSION/" -e "s/@MINOR_VERSION@/$MINOR_VERSION/" -e "s/@MAJOR_VERSION@/${VERSION%%.*}/" \
        -e "s/@SONAME@/$SONAME/" -e "s/@LIBS_PRIVATE@/$LIBS_PRIVATE/" \
        -e "s/@LINK_LIBRARIES@/${LIBS_PRIVATE// /;}/" "packaging/$1" >"$filled"
    install -D -m 644 "$filled" "$file"
}

relative() { realpath --canonicalize-missing --no-symlinks --relative-to="$2" "$1"; }

install_files() {
    local file
    for file in $SONAME libauthgrant.a THIRD-PARTY-NOTICES authgrant.cdx.json; do
        [ -f "$LIB/$file" ] || fail "install: there is no $LIB/$file; run \`make lib\` first"
    done
    install -D -m 644 -t "$DESTDIR$INCLUDEDIR" include/authgrant.h include/authgrant.hpp
    install -D -m 755 "$LIB/$SONAME" "$DESTDIR$LIBDIR/$SONAME"
    ln -sf $SONAME "$DESTDIR$LIBDIR/libauthgrant.so"
    install -m 644 "$LIB/libauthgrant.a" "$DESTDIR$LIBDIR/libauthgrant.a"
    fill authgrant.pc.in "$LIBDIR/pkgconfig/authgrant.pc"
    fill authgrant-static.pc.in "$LIBDIR/pkgconfig/authgrant-static.pc"
    fill authgrant-config.cmake.in "$LIBDIR/cmake/authgrant/authgrant-config.cmake"
    fill authgrant-config-version.cmake.in "$LIBDIR/cmake/authgrant/authgrant-config-version.cmake"
    install -D -m 644 -t "$DESTDIR$DOCDIR" LICENSE "$LIB/THIRD-PARTY-NOTICES" "$LIB/authgrant.cdx.json"
}

uninstall_files() {
    local file
    for file in "${FILES[@]}"; do rm -f "$DESTDIR$file"; done
    # Directories of authgrant alone.
    for file in "$LIBDIR/cmake/authgrant" "$DOCDIR"; do
        [ ! -d "$DESTDIR$file" ] || rmdir --ignore-fail-on-non-empty "$DESTDIR$file"
    done
}

case $what in
    install) install_files ;;
    uninstall) uninstall_files ;;
    *) fail "install.sh: install or uninstall" ;;
esac
