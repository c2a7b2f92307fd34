#!/usr/bin/env bash
# test-c.sh LIBRARY_DIRECTORY: the header in C99, C11 and C++17, and the programs of tests/c and examples-c.
#
# Programs run again with the address and undefined-behaviour sanitizers, and under valgrind: what a library leaks or reads
# too far is seen from outside only. AUTHGRANT_VALGRIND=0 leaves valgrind out. One line `ok NAME` or `not ok NAME` for each.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/scene.sh

library=$(cd "${1:?where the library is}" && pwd)
out=$SCRATCH/c
mkdir "$out"
failed=0
strict=(-Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude)
link=(-L"$library" -lauthgrant -Wl,-rpath,"$library" -pthread)

try() {
    local name=$1
    shift
    if "$@" >"$SCRATCH/said" 2>&1; then
        echo "ok $name"
    else
        failed=1
        sed 's/^/    /' "$SCRATCH/said"
        echo "not ok $name"
    fi
}

try "the header in C99" cc -std=c99 "${strict[@]}" -Wstrict-prototypes tests/c/header.c -o "$out/header99"
try "the header in C11" cc -std=c11 "${strict[@]}" -Wstrict-prototypes tests/c/header.c -o "$out/header11"
try "the header in C++17" c++ -std=c++17 "${strict[@]}" tests/c/header.cpp -o "$out/header17" "${link[@]}"
for name in every_export threads exit no_random fork fork_first fork_stress; do
    source=tests/c/$name.c
    # The address sanitizer's allocator is itself not safe to fork beside other threads (GCC 12).
    [[ $name = fork* ]] && sanitizers=undefined || sanitizers=address,undefined
    sanitize=(-fsanitize="$sanitizers" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    try "$name compiles" cc -std=gnu11 "${strict[@]}" -g "$source" -o "$out/$name" "${link[@]}"
    try "$name compiles with sanitizers" cc -std=gnu11 "${strict[@]}" -g "${sanitize[@]}" "$source" -o "$out/$name.san" "${link[@]}"
done
try "the examples compile" make --no-print-directory -C examples-c LIB="$library" OUT="$out" CFLAGS="${strict[*]:0:5}"
for name in token consent; do
    try "the example $name compiles with sanitizers" cc -std=c99 "${strict[@]}" -g -fsanitize=address,undefined \
        "examples-c/$name.c" -o "$out/$name.san" "${link[@]}"
done

make_key_store "$SCRATCH/jwtcert"
start_server mock_server "$TARGET/debug/mock_server" --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")

run() {
    local name=$1
    shift
    [ -x "$out/$name" ] || return 0 # said above
    try "$name" timeout 120 "$out/$name" "$@"
    if [ -x "$out/$name.san" ]; then
        try "$name with sanitizers" timeout 300 "$out/$name.san" "$@"
    fi
    # Valgrind runs one thread at a time, so there is nothing to find for fork_*, which start many processes; and it needs
    # the system calls that no_random denies.
    if [ "${AUTHGRANT_VALGRIND:-1}" = 1 ] && [[ $name != fork_* && $name != no_random ]]; then
        # A child cannot free what the threads held that it does not have, and does not touch what its parent shared.
        [[ $name = fork* ]] && leaks=no || leaks=full
        try "$name under valgrind" timeout 600 valgrind --quiet --error-exitcode=9 --leak-check="$leaks" \
            --errors-for-leak-kinds=definite --show-leak-kinds=definite "$out/$name" "$@"
    fi
}

[ "${AUTHGRANT_VALGRIND:-1}" != 1 ] || scripts/setup.sh valgrind
run header17
run every_export "$text"
run threads "$text"
run no_random "$text"
run exit "LogoffURI=$SERVER_URL/oauth/logoff;$text"
run fork "$text"
run fork_first "$text"
# Signed here and sent nowhere, so that the children are many; `make soak` has 50,000 of them.
run fork_stress "AuthenticationMethod=JWT;ClaimsIssuer=me;JWTCertStore=$KEY_STORE;JWTCertPassword=secret" "${AUTHGRANT_FORKS:-600}"
run token "$text"

# A person has to consent: at a server of their own, by DocuSign's rules, where tests/c/user.sh clicks.
start_server docusign "$TARGET/debug/mock_server" --http --audience 127.0.0.1 \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem"
mkdir "$SCRATCH/desktop"
ln -s "$ROOT/tests/c/person.sh" "$SCRATCH/desktop/xdg-open"

# free_port: one of 127.0.0.1 that nobody answers at.
free_port() {
    local port
    for port in $(shuf -n 20 -i 20000-32000); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port"
}

control() {
    local place=${SERVER_URL#http://}
    exec 4<>"/dev/tcp/${place%:*}/${place#*:}"
    printf 'POST /control/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
        "$1" "$place" "${#2}" "$2" >&4
    grep -q '^HTTP/1.1 200' <&4
    exec 4>&-
}

# The string goes where ps does not show it: consent_says WHAT COMMAND...
consent_says() {
    local said want=$1
    shift
    control require-consent '{"sub": "jsmith@example.com"}'
    said=$(PATH="$SCRATCH/desktop:$PATH" AUTHGRANT_CONNECTION_STRING=$text timeout 120 "$@" </dev/null 2>&1) || { echo "$said"; return 1; }
    echo "$said"
    grep -qF "$want" <<<"$said" && grep -q '^token: Bearer ' <<<"$said" && grep -q '^ends in 3[56][0-9][0-9] seconds$' <<<"$said"
}

# By hand: the person reads the URL from what the program prints.
by_hand() {
    local url= line program
    control require-consent '{"sub": "jsmith@example.com"}'
    mkfifo "$SCRATCH/printed"
    "$1" --no-browser - <<<"$text" >"$SCRATCH/printed" 2>&1 &
    program=$!
    while read -r line; do
        echo "$line"
        [ "$line" != "Open this URL, on this machine:" ] || { read -r url; tests/c/user.sh "$url"; }
    done <"$SCRATCH/printed" >"$SCRATCH/heard"
    wait "$program" && cat "$SCRATCH/heard" && rm "$SCRATCH/printed" || { cat "$SCRATCH/heard"; return 1; }
    grep -q 'Thank you for granting consent' "$SCRATCH/heard" && grep -q '^Consent has arrived.$' "$SCRATCH/heard"
}

port=$(free_port)
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem" | sed "s,http://localhost:3000,http://127.0.0.1:$port/done,")
text="Provider=docusign;ConsentTimeout=60;$text"
for program in "$out/consent" "$out/consent.san"; do
    [ -x "$program" ] || continue # said above
    [[ $program = *.san ]] && name="consent with sanitizers" || name=consent
    try "$name in the browser" consent_says "Consent has arrived." "$program"
    try "$name by hand" by_hand "$program"
done
if [ "${AUTHGRANT_VALGRIND:-1}" = 1 ] && [ -x "$out/consent" ]; then
    try "consent under valgrind" consent_says "Consent has arrived." valgrind --quiet --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite --show-leak-kinds=definite "$out/consent"
fi
exit $failed
