#!/usr/bin/env bash
# package.sh [DIRECTORY]: builds the portable library and writes its packages to DIRECTORY (dist): a relocatable archive
# authgrant-VERSION-linux-MACHINE.tar.gz, the Debian packages libauthgrant0 and libauthgrant-dev, the debug file of the library,
# SHA256SUMS, and BUILDINFO.
#
# The same sources and tools yield the same packages (scripts/reproducible.sh): times are SOURCE_DATE_EPOCH, by default that of the last
# commit, and owners are root. BUILDINFO has the versions of the tools that packaging/zig-requirements.txt and
# bindings/python/requirements.txt do not determine.
# AUTHGRANT_MAINTAINER is the maintainer that the Debian packages name.
set -euo pipefail
. "$(dirname "$0")/common.sh"
umask 022

dist=${1:-dist}
scripts/setup.sh build binutils python3 packages
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
lib=$ROOT/build/portable
scripts/lib.sh portable "$lib"
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)

version=$(package_version)
machine=$(uname -m)

# install_into ROOT_DIRECTORY PREFIX LIBDIR DOCDIR
install_into() { DESTDIR=$1 PREFIX=$2 LIBDIR=$3 DOCDIR=$4 INCLUDEDIR=$2/include LIB=$lib scripts/install.sh install; }

archive() {
    local name=authgrant-$version-linux-$machine
    install_into "$SCRATCH" "/$name" "/$name/lib" "/$name/share/doc/authgrant"
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$SCRATCH" -cf - "$name" |
        gzip -9 -n >"$dist/$name.tar.gz"
}

# substitute FILE: prints a file of packaging/debian with its variables replaced.
substitute() {
    sed -e "s/@VERSION@/$debian_version/" -e "s/@ARCHITECTURE@/$architecture/" \
        -e "s/@MAINTAINER@/$maintainer/" -e "s/@DATE@/$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")/" \
        -e "s/@INSTALLED_SIZE@/${installed_size:-}/" "packaging/debian/$1"
}

# build_deb PACKAGE: builds the package from the tree $SCRATCH/PACKAGE.
build_deb() {
    local package=$1 tree=$SCRATCH/$1 documents=$SCRATCH/$1/usr/share/doc/$1
    mkdir -p "$documents" "$tree/DEBIAN"
    install -m 644 packaging/debian/copyright "$documents/copyright"
    gzip -9 -n <"$lib/THIRD-PARTY-NOTICES" >"$documents/THIRD-PARTY-NOTICES.gz"
    install -m 644 "$lib/authgrant.cdx.json" "$documents/authgrant.cdx.json"
    substitute changelog | gzip -9 -n >"$documents/changelog.gz"
    local installed_size
    installed_size=$(du --apparent-size -sk "$tree/usr" | cut -f 1)
    substitute "$package.control" >"$tree/DEBIAN/control"
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$dist/${package}_${debian_version}_$architecture.deb" >/dev/null
}

debs() {
    # In Debian's order of versions a pre-release is before the release only after a tilde.
    local debian_version=${version/-/\~} multiarch=$machine-linux-gnu architecture maintainer
    case $machine in
        x86_64) architecture=amd64 ;;
        aarch64) architecture=arm64 ;;
        *) fail "package.sh: no Debian architecture for $machine" ;;
    esac
    maintainer=${AUTHGRANT_MAINTAINER:-authgrant maintainers <maintainers@authgrant.invalid>}
    local runtime=$SCRATCH/libauthgrant0 development=$SCRATCH/libauthgrant-dev libdir=/usr/lib/$multiarch
    install_into "$development" /usr "$libdir" /usr/share/doc/authgrant
    # The documents of each package have a directory of their own.
    rm -r "$development/usr/share/doc/authgrant"
    mkdir -p "$runtime$libdir" "$runtime/DEBIAN"
    mv "$development$libdir/libauthgrant.so.0" "$runtime$libdir/"
    # A library is not executable.
    chmod 644 "$runtime$libdir/libauthgrant.so.0"
    echo "libauthgrant 0 libauthgrant0 (>= $debian_version)" >"$runtime/DEBIAN/shlibs"
    echo "activate-noawait ldconfig" >"$runtime/DEBIAN/triggers"
    build_deb libauthgrant0
    build_deb libauthgrant-dev
}

build_info() {
    echo "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
    echo "AUTHGRANT_MAINTAINER=${AUTHGRANT_MAINTAINER:-}"
    rustc --version
    objcopy --version | sed -n 1p
    tar --version | sed -n 1p
    gzip --version | sed -n 1p
    dpkg-deb --version | sed -n 1p
    python3 -c 'import platform, zlib; print("Python", platform.python_version(), "with zlib", zlib.ZLIB_RUNTIME_VERSION)'
}

archive
debs
build_info >"$dist/BUILDINFO"
install -m 644 "$lib/libauthgrant.so.0.debug" "$dist/libauthgrant-$version-linux-$machine.so.0.debug"
write_checksums "$dist"
(cd "$dist" && ls -l --block-size=K | awk 'NR > 1 { print $5, $NF }')
