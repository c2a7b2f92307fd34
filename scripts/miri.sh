#!/usr/bin/env bash
# miri.sh [all]: runs unit tests of the library under Miri: undefined behaviour, data races and leaks in our code and in that of crates.
#
# Only modules whose tests call no code in C, that is, neither AWS-LC nor another program. `all` runs more of them, and the token cache with
# eight schedules of its threads.
set -euo pipefail
. "$(dirname "$0")/common.sh"

MODULES=(
    key::asn1 key::crypto::algorithm key::crypto::cipher::seed key::crypto::password key::crypto::rsa_primes
    options::connection_string options::environment options::ini options::syntax_error token::cache
)
MORE=(base::backoff base::bounded_map base::call base::clock)
SKIPPED=(
    # Megabytes of text, large numbers, or hundreds of requests, take minutes.
    longest_modulus_and_exponent_are_accepted longest_string_parses_longer_is_error line_length_is_unlimited
    option_is_named_before_offset eviction local_and_throttled_failures_are_not_cached
)
scripts/setup.sh build miri
# Of each property, two cases.
export PROPTEST_CASES=2

# run FLAGS MODULE...: a slot stores an address as an integer, so provenance cannot be strict. Clocks and files are those of the system.
run() {
    local flags=$1 name skip=()
    shift
    for name in "${SKIPPED[@]}"; do skip+=(--skip "$name"); done
    MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation $flags" cargo +nightly miri test --lib -- "$@" "${skip[@]}"
}

run "" "${MODULES[@]}"
if [ "${1:-}" = all ]; then
    run "" "${MORE[@]}"
    run -Zmiri-many-seeds=0..8 token::cache
fi
