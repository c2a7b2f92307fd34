#!/usr/bin/env bash
# fips.sh: builds the library with the FIPS module of AWS-LC, runs its unit and integration tests, and gets a token over TLS with a C
# program (docs/fips.md). Prints the result of each test, as cargo does, and then `ok NAME` or `not ok NAME`.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

scripts/setup.sh build keys strace fips
cargo build --quiet -p mock_server
# A target directory of its own: the features of dependencies differ. The module is built from its crate even if the system has one.
fips=$ROOT/build/fips
echo "building the FIPS module of AWS-LC and the library (some minutes, once)"
CARGO_TARGET_DIR=$fips AWS_LC_FIPS_SYS_USE_SYSTEM=0 cargo test --features fips --lib --test it

make_key_store "$SCRATCH/jwtcert"
start_server mock_server "$TARGET/debug/mock_server" --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")

# The shared library that cargo has built with the integration tests.
gets_token() {
    install -m 755 "$fips/debug/deps/libauthgrant.so" "$SCRATCH/libauthgrant.so" &&
        grep -aqE 'AWS-LC FIPS [0-9]' "$SCRATCH/libauthgrant.so" &&
        cc -Iinclude examples-c/token.c -L"$SCRATCH" -lauthgrant -Wl,-rpath,"$SCRATCH" -o "$SCRATCH/token" &&
        "$SCRATCH/token" "$text"
}
failed=0
try "a C program gets a token with the FIPS module" gets_token
exit $failed
