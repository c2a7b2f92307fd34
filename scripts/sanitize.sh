#!/usr/bin/env bash
# sanitize.sh thread|address: builds the library and Rust's standard library with a sanitizer, and runs programs of tests/c with it.
#
# thread finds data races, address finds invalid accesses and leaks. Needs nightly Rust with rust-src. AWS-LC is instrumented by the C
# compiler, except its assembler code; the programs are not. The build is in build/sanitize. Prints one line `ok NAME` or `not ok NAME`
# for each test.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

sanitizer=${1:?thread or address}
case $sanitizer in
    thread) programs=(threads races exit many_threads) runtime=tsan cfg=(--cfg sanitize_thread) ;;
    address) programs=(every_export every_function threads races exit descriptors environment fork) runtime=asan cfg=() ;;
    *) fail "sanitize.sh: thread or address" ;;
esac
scripts/setup.sh build openssl miri locales
host=$(rustc -vV | sed -n 's/^host: //p')
directory=$ROOT/build/sanitize/$sanitizer
library=$directory/$host/debug
out=$SCRATCH/programs
mkdir "$out"
failed=0

build_library() {
    # Flags that are set for a target apply neither to build scripts nor to procedural macros.
    env "CFLAGS_${host//-/_}=-fsanitize=$sanitizer" RUSTFLAGS="-Zsanitizer=$sanitizer ${cfg[*]}" \
        cargo +nightly build --quiet -Zbuild-std --target "$host" --target-dir "$directory" --lib
}

# compile NAME: links the program with the runtime of rustc's sanitizer, which a shared library does not contain.
compile() {
    local source=tests/c/$1.c compiler=(cc -std=gnu11)
    [ -f "$source" ] || { source=tests/cpp/$1.cpp compiler=(c++ -std=c++17); }
    "${compiler[@]}" -Iinclude -g "$source" -o "$out/$1" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -rdynamic \
        "-L$library" -lauthgrant "-Wl,-rpath,$library" -pthread -ldl -lm -lrt
}

# run NAME ARGUMENT...
run() {
    try "$1 with the $sanitizer sanitizer" timeout 600 "$out/$1" "${@:2}"
}

runtime=$(rustc +nightly --print sysroot)/lib/rustlib/$host/lib/librustc-nightly_rt.$runtime.a
build_library
for name in "${programs[@]}"; do compile "$name"; done
make_key_store "$SCRATCH/jwtcert"
cargo build --quiet -p mock_server
start_server mock_server "$TARGET/debug/mock_server" --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")
mkdir -m 700 "$SCRATCH/store"
localedef -i de_DE -f UTF-8 "$SCRATCH/de_DE.UTF-8"
export LOCPATH=$SCRATCH
for name in "${programs[@]}"; do
    case $name in
        exit) run exit "LogoffURI=$SERVER_URL/oauth/logoff;$text" ;;
        races) run races "$text" 400 ;;
        many_threads) run many_threads 512 "$text" ;;
        descriptors) run descriptors "$text" "$SCRATCH/store" ;;
        *) run "$name" "$text" ;;
    esac
done
exit $failed
