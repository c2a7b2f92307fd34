#!/usr/bin/env bash
# test-c.sh LIBRARY_DIRECTORY: tests the headers in every C and C++ standard that the compilers know, and the programs of tests/c,
# tests/cpp and examples-c.
#
# Programs also run with the address and undefined-behaviour sanitizers, and under valgrind, which find leaks and out-of-bounds reads
# in the library. AUTHGRANT_VALGRIND=0 skips valgrind. Prints one line `ok NAME` or `not ok NAME` for each test.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

library=$(cd "${1:?the directory of the library}" && pwd)
out=$SCRATCH/c
mkdir "$out"
failed=0
strict=(-Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude)
link=(-L"$library" -lauthgrant -Wl,-rpath,"$library" -pthread)

# knows_standard COMPILER LANGUAGE STANDARD
knows_standard() { "$1" -x "$2" "-std=$3" -fsyntax-only /dev/null 2>/dev/null; }

# compile_and_run PROGRAM COMPILER ARGUMENT...
compile_and_run() {
    local program=$1
    shift
    "$@" -o "$program" && "$program"
}

# The oldest supported standards must be known; c2x, c++2b and their final names depend on the compiler.
for standard in c89 c99 c11 c17 c2x c23; do
    knows_standard cc c "$standard" || [[ $standard = c89 || $standard = c99 ]] || continue
    try "the header in $standard" compile_and_run "$out/header-$standard" \
        cc "-std=$standard" "${strict[@]}" -Wstrict-prototypes tests/c/header.c
done
for standard in c++11 c++14 c++17 c++20 c++2b c++23; do
    knows_standard c++ c++ "$standard" || [[ $standard = c++11 ]] || continue
    try "the header in $standard" compile_and_run "$out/header-$standard" \
        c++ "-std=$standard" "${strict[@]}" tests/c/header.cpp "${link[@]}"
done
# Every function of authgrant.h is used in authgrant.hpp.
cpp_calls_every_function() {
    functions_in include/authgrant.h | grep -v '_fn$' >"$SCRATCH/declared"
    sed 's://.*::' include/authgrant.hpp | grep -oE '\bauthgrant_[a-z0-9_]+' | sort -u >"$SCRATCH/called"
    ! comm -23 "$SCRATCH/declared" "$SCRATCH/called" | grep .
}
try "the C++ header has every function" cpp_calls_every_function
cpp=("${strict[@]}" -Wconversion)
# The clang of zig, as a plain compiler: `zig c++` would build a C++ library first.
clang=("$ZIG_VENV/bin/python-zig" clang --driver-mode=g++ --target=x86_64-linux-gnu -fsyntax-only)
for resources in "$ZIG_VENV"/lib/python3*/site-packages/ziglang/lib/include; do clang+=(-isystem "$resources"); done
for standard in c++17 c++20 c++2b c++23; do
    knows_standard c++ c++ "$standard" || [[ $standard = c++17 ]] || continue
    try "the C++ header in $standard" c++ "-std=$standard" "${cpp[@]}" -fsyntax-only tests/cpp/every_function.cpp
    try "the C++ header in $standard with clang" "${clang[@]}" "-std=$standard" "${cpp[@]}" tests/cpp/every_function.cpp
done
for name in every_function cpp_consent; do
    try "$name compiles" c++ -std=c++17 "${cpp[@]}" -g "tests/cpp/$name.cpp" -o "$out/$name" "${link[@]}"
    try "$name compiles with sanitizers" c++ -std=c++17 "${cpp[@]}" -g -fsanitize=address,undefined -fno-sanitize-recover=all \
        "tests/cpp/$name.cpp" -o "$out/$name.san" "${link[@]}"
done
# What the programs cannot run with: the address sanitizer, whose allocator is not fork-safe in a process with threads (GCC 12) and whose
# shadow memory needs more than a limited address space or stack; valgrind, which runs one thread at a time and has descriptors,
# stacks and a loader of its own.
no_address_sanitizer() { [[ $1 = @(fork*|small_stack|many_threads|address_space|two_copies) ]]; }
no_valgrind() {
    [[ $1 = @(fork_*|no_random|interrupted|descriptors|environment|small_stack|many_threads|address_space|two_copies|races) ]]
}
for name in every_export threads races exit no_random interrupted descriptors environment small_stack many_threads address_space \
    two_copies fork fork_first fork_stress; do
    source=tests/c/$name.c
    no_address_sanitizer "$name" && sanitizers=undefined || sanitizers=address,undefined
    sanitize=(-fsanitize="$sanitizers" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    # It loads the library itself.
    [ $name = two_copies ] && libraries=(-pthread -ldl) || libraries=("${link[@]}")
    try "$name compiles" cc -std=gnu11 "${strict[@]}" -g "$source" -o "$out/$name" "${libraries[@]}"
    try "$name compiles with sanitizers" cc -std=gnu11 "${strict[@]}" -g "${sanitize[@]}" "$source" -o "$out/$name.san" "${libraries[@]}"
done
try "the examples compile" make --no-print-directory -C examples-c LIB="$library" OUT="$out" CFLAGS="${strict[*]:0:5}"
for name in token consent; do
    try "the example $name compiles with sanitizers" cc -std=c99 "${strict[@]}" -g -fsanitize=address,undefined \
        "examples-c/$name.c" -o "$out/$name.san" "${link[@]}"
done
for name in sqlite_store token_store; do
    sources=("tests/c/$name.c" examples-c/token_store_sqlite/sqlite_store.c)
    try "$name compiles" cc -std=gnu11 "${strict[@]}" -g "${sources[@]}" -o "$out/$name" "${link[@]}" -lsqlite3
    try "$name compiles with sanitizers" cc -std=gnu11 "${strict[@]}" -g -fsanitize=address,undefined -fno-sanitize-recover=all \
        "${sources[@]}" -o "$out/$name.san" "${link[@]}" -lsqlite3
done

make_key_store "$SCRATCH/jwtcert"
start_server mock_server "$TARGET/debug/mock_server" --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")

run() {
    local name=$1
    shift
    [ -x "$out/$name" ] || return 0 # reported above
    try "$name" timeout "${limit:-120}" "$out/$name" "$@"
    if [ -x "$out/$name.san" ]; then
        try "$name with sanitizers" timeout "${limit:-300}" "$out/$name.san" "$@"
    fi
    if [ "${AUTHGRANT_VALGRIND:-1}" = 1 ] && ! no_valgrind "$name"; then
        # A child cannot free what the threads of its parent held, and does not touch what it shares with its parent.
        [[ $name = fork* || $name = token_store ]] && leaks=no || leaks=full
        try "$name under valgrind" timeout 600 valgrind --quiet --error-exitcode=9 --leak-check="$leaks" \
            --errors-for-leak-kinds=definite --show-leak-kinds=definite "$out/$name" "$@"
    fi
}

[ "${AUTHGRANT_VALGRIND:-1}" != 1 ] || scripts/setup.sh valgrind
run every_export "$text"
run every_function "$text"
run threads "$text"
run races "$text"
run no_random "$text"
run exit "LogoffURI=$SERVER_URL/oauth/logoff;$text"
mkdir -m 700 "$SCRATCH/store"
run descriptors "$text" "$SCRATCH/store"
localedef -i de_DE -f UTF-8 "$SCRATCH/de_DE.UTF-8"
LOCPATH=$SCRATCH run environment "$text"
# A library of a debug build needs twice the stack of an optimized one (docs/limits.md).
run small_stack 128 "$text"
run many_threads 128 "$text"
run address_space "$text"
cp "$library/libauthgrant.so" "$SCRATCH/copy.so"
run two_copies "$library/libauthgrant.so" "$SCRATCH/copy.so" "$text"
run fork "$text"
run fork_first "$text"
# These tokens are signed without the network, so many children can run; `make soak` runs 50,000.
forks=${AUTHGRANT_FORKS:-600}
limit=$((300 + forks / 20)) run fork_stress "AuthenticationMethod=JWT;ClaimsIssuer=me;JWTCertStore=$KEY_STORE;JWTCertPassword=secret" "$forks"
run token "$text"
run sqlite_store "$SCRATCH/store.db"
run token_store "$text" "$SCRATCH/shared.db"

secure_text=$text

# Consent: a mock server with the rules of DocuSign, where tests/c/user.sh acts as the user.
start_server docusign "$TARGET/debug/mock_server" --http --audience 127.0.0.1 \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem"
mkdir "$SCRATCH/desktop"
ln -s "$ROOT/tests/c/user.sh" "$SCRATCH/desktop/xdg-open"

# query PATH: prints what the mock server reports.
query() {
    local authority=${SERVER_URL#http://}
    exec 4<>"/dev/tcp/${authority%:*}/${authority#*:}"
    printf 'GET /control/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$authority" >&4
    sed '1,/^\r$/d' <&4
    exec 4>&-
}

# shares_token PROGRAM: eight processes that start together request one token, which cannot be read in the database.
shares_token() {
    local number output token processes=() store=$SCRATCH/shared
    rm -rf "$store"
    mkdir "$store"
    control reset '{}'
    for number in 1 2 3 4 5 6 7 8; do
        AUTHGRANT_CONNECTION_STRING=$text timeout 120 "$1" "$store/tokens.db" >"$SCRATCH/shared.$number" 2>&1 &
        processes+=($!)
    done
    wait "${processes[@]}"
    output=$(cat "$SCRATCH"/shared.[1-8])
    echo "$output"
    token=$(query issued | grep -oE '[A-Za-z0-9._-]{16,}')
    echo "issued: $token"
    [ "$(grep -c '^token: Bearer ' <<<"$output")" = 8 ] && [ "$(wc -l <<<"$token")" = 1 ] &&
        ! grep -F '[token cache]' <<<"$output" && [ -s "$store/tokens.db" ] && ! grep -raF "$token" "$store"
}

# control ACTION JSON: sends a control request to the mock server.
control() {
    local authority=${SERVER_URL#http://}
    exec 4<>"/dev/tcp/${authority%:*}/${authority#*:}"
    printf 'POST /control/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
        "$1" "$authority" "${#2}" "$2" >&4
    grep -q '^HTTP/1.1 200' <&4
    exec 4>&-
}

# consent_prints TEXT COMMAND...: the command gets consent in the browser, and prints TEXT and the token. The connection string is in
# the environment, where ps does not show it.
consent_prints() {
    local output expected=$1
    shift
    control require-consent '{"sub": "jsmith@example.com"}'
    output=$(PATH="$SCRATCH/desktop:$PATH" AUTHGRANT_CONNECTION_STRING=$text timeout 120 "$@" </dev/null 2>&1) ||
        { echo "$output"; return 1; }
    echo "$output"
    grep -qF "$expected" <<<"$output" && grep -q '^token: Bearer ' <<<"$output" &&
        grep -q '^expires in 3[56][0-9][0-9] seconds$' <<<"$output"
}

# consent_manually PROGRAM: the user opens the URL that the program prints.
consent_manually() {
    local url= line program
    control require-consent '{"sub": "jsmith@example.com"}'
    mkfifo "$SCRATCH/printed"
    "$1" --no-browser - <<<"$text" >"$SCRATCH/printed" 2>&1 &
    program=$!
    while read -r line; do
        echo "$line"
        [ "$line" != "Open this URL on this machine:" ] || { read -r url; tests/c/user.sh "$url"; }
    done <"$SCRATCH/printed" >"$SCRATCH/transcript"
    wait "$program" && cat "$SCRATCH/transcript" && rm "$SCRATCH/printed" || { cat "$SCRATCH/transcript"; return 1; }
    grep -q 'Thank you for granting consent' "$SCRATCH/transcript" && grep -q '^Consent was received.$' "$SCRATCH/transcript"
}

# cpp_consent PROGRAM...: the C++ program gets consent from tests/c/user.sh.
cpp_consent() {
    control require-consent '{"sub": "jsmith@example.com"}'
    timeout 120 "$@" "$ROOT/tests/c/user.sh" "$text"
}

port=$(free_port)
text="Provider=docusign;TokenCacheTimeout=10000;$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")"
try "processes share a token in SQLite" shares_token "$out/token_store_sqlite"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem" | sed "s,http://localhost:3000,http://127.0.0.1:$port/done,")
text="Provider=docusign;ConsentTimeout=60;$text"
run interrupted "$secure_text" "$SCRATCH/store" "$text" "$ROOT/tests/c/user.sh"
for program in "$out/consent" "$out/consent.san"; do
    [ -x "$program" ] || continue # reported above
    [[ $program = *.san ]] && name="consent with sanitizers" || name=consent
    try "$name in the browser" consent_prints "Consent was received." "$program"
    try "$name by hand" consent_manually "$program"
done
try "consent in C++" cpp_consent "$out/cpp_consent"
try "consent in C++ with sanitizers" cpp_consent "$out/cpp_consent.san"
if [ "${AUTHGRANT_VALGRIND:-1}" = 1 ] && [ -x "$out/consent" ]; then
    try "consent under valgrind" consent_prints "Consent was received." valgrind --quiet --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite --show-leak-kinds=definite "$out/consent"
fi
exit $failed
