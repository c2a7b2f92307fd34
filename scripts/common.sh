# Sourced by the other scripts: paths, and how to start a server.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
VENV=$ROOT/target/venv
BENCH_VENV=$ROOT/target/bench-venv
RECIPES_VENV=$ROOT/target/recipes-venv
WHEEL_VENV=$ROOT/target/wheel-venv
CANAILLE_VENV=$ROOT/target/canaille-venv
ZIG_VENV=$ROOT/target/zig-venv
TOOLS=$ROOT/target/tools
HYDRA=2.3.0
ODPI=github.com/godror/godror@v0.40.4
VALKEY_SERVER=$TOOLS/valkey/server
# The suite of Debian with the headers of libpq 18 and libmongoc 2, and Valkey.
NEWER_SUITE=forky
KEYCLOAK=26.7.3
KEYCLOAK_HOME=$TOOLS/keycloak-$KEYCLOAK
# Debian installs servers there; it may be missing in PATH.
export PATH="$PATH:/usr/sbin"
cd "$ROOT"

# A temporary directory, removed when the script ends. Servers started below are stopped then, too.
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/authgrant.XXXXXX")
SERVERS=()
tidy() {
    local server
    for server in "${SERVERS[@]}"; do kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; done
    rm -rf "$SCRATCH"
}
trap tidy EXIT

fail() {
    echo "$*" >&2
    exit 1
}

package_version() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml; }

# write_checksums DIRECTORY: writes SHA256SUMS of the packages in it. Debian and Python write pre-releases in other ways.
write_checksums() {
    local version
    version=$(package_version)
    (cd "$1" && find . -maxdepth 1 \( -name "*$version*" -o -name "*${version/-/\~}*" -o -name '*.whl' \) -printf '%f\n' | LC_ALL=C sort |
        xargs -d '\n' sha256sum -- >SHA256SUMS)
}

# functions_in HEADER: prints every authgrant_ name before a parenthesis, sorted: functions, and callback types, which end in _fn.
functions_in() {
    sed -e 's:/\*.*\*/::g' -e '\:/\*:,\:\*/:d' -e 's://.*::' "$1" | grep -oE '\bauthgrant_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u
}

has() { command -v "$1" >/dev/null 2>&1; }

# free_port: prints a port of 127.0.0.1 without a listener.
free_port() {
    local port
    for port in $(shuf -n 20 -i 20000-32000); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port"
}

# try NAME COMMAND...: a test. Prints `ok NAME`, or the output of the command and `not ok NAME`, and then sets failed=1.
try() {
    local name=$1
    shift
    if "$@" >"$SCRATCH/output" 2>&1; then
        echo "ok $name"
    else
        failed=1
        sed 's/^/    /' "$SCRATCH/output"
        echo "not ok $name"
    fi
}

# start_server NAME COMMAND... : starts the server and waits for its line `ready URL`; SERVER_URL is that URL.
# Its standard input is closed when the script ends, however it ends.
start_server() {
    local name=$1 out=$SCRATCH/$1.out hold
    shift
    mkfifo "$SCRATCH/$name.in"
    "$@" <"$SCRATCH/$name.in" >"$out" 2>"$SCRATCH/$name.err" &
    local server=$!
    SERVERS+=("$server")
    exec {hold}>"$SCRATCH/$name.in"
    for _ in $(seq 600); do
        SERVER_URL=$(sed -n 's/^ready //p' "$out")
        [ -z "$SERVER_URL" ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$out" "$SCRATCH/$name.err" >&2
    fail "$name did not become ready"
}
