#!/usr/bin/env bash
# bench.sh [run | keep | profile]: builds the release library and its peers, and runs the benchmarks (benches/).
#
# run (the default) writes docs/performance.md and its chart; keep only prints. profile prints, by callgrind, the functions in which
# a cached read, a fetch and a first token spend their instructions.
set -euo pipefail
. "$(dirname "$0")/common.sh"

what=${1:-run}
out=$ROOT/build/bench
PATH=$PATH:/usr/sbin # Debian's nginx
strict=(-O2 -std=gnu11 -Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude)
c=benches/c

# The Go binding with the library of the given directory.
build_go_binding() {
    (cd benches/go_binding && PKG_CONFIG_PATH=$1/pkgconfig go build -o "$out/go_binding" .)
}

# The C programs; ours loads the library from the given directory.
build_c() {
    local library=$1
    cc "${strict[@]}" $c/ours.c $c/bench.c -o "$out/ours" -L"$library" -lauthgrant -Wl,-rpath,"$library" -pthread
    cc "${strict[@]}" tests/sharing/worker.c -o "$out/worker" -L"$library" -lauthgrant -Wl,-rpath,"$library" -pthread
    cc "${strict[@]}" $c/host.c $c/bench.c -o "$out/host" -pthread -ldl
    # JKS needs incremental SHA-1; OpenSSL 3's fastest API for it is deprecated.
    cc "${strict[@]}" -Wno-deprecated-declarations $c/floor.c $c/store.c $c/bench.c -o "$out/floor" \
        $(curl-config --libs) -lssl -lcrypto -pthread
}

# The Python package, without installing it.
build_package() {
    scripts/wheel.sh "$out/wheel" build/lib/libauthgrant.so.0
    rm -rf "$out/python"
    "$BENCH_VENV/bin/python" -m zipfile -e "$out"/wheel/authgrant-*.whl "$out/python"
    export PYTHONPATH=$out/python
}

build_peers() {
    (cd benches/go && go build -o "$out/go" .)
    # In the library's target directory: shared dependencies are compiled once.
    (cd benches/rust && CARGO_TARGET_DIR=$TARGET cargo build --quiet --profile dist)
    install -m 755 "$TARGET/dist/peers" "$out/rust"
}

scripts/setup.sh build bench
scripts/setup.sh java >/dev/null || echo "no Java: JKS rows are left out"
scripts/setup.sh redis >/dev/null || has redis-server || echo "no Redis: its rows are NOT RUN"
mkdir -p "$out"
export PYTHONDONTWRITEBYTECODE=1

case $what in
    run | keep)
        scripts/lib.sh release build/lib
        build_c "$ROOT/build/lib"
        build_go_binding "$ROOT/build/lib"
        build_peers
        build_package
        "$BENCH_VENV/bin/python" benches/run.py "--$what"
        ;;
    profile)
        # The library as distributed: valgrind takes function names from the debug file.
        scripts/lib.sh release build/lib
        build_c "$ROOT/build/lib"
        "$BENCH_VENV/bin/python" benches/callgrind.py
        ;;
    *) fail "bench.sh: run, keep or profile" ;;
esac
