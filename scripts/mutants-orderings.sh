#!/usr/bin/env bash
# mutants-orderings.sh: weakens the memory orderings of src/sys/shared_slot/mod.rs, one at a time, and checks that a loom model fails.
#
# cargo-mutants changes no atomic orderings and no arguments, so these mutants are sed commands. Each must change exactly one
# line; all are checked before the first build, and a stale one is an error. Takes about five minutes.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/mutants/copy.sh

FILE=src/sys/shared_slot/mod.rs
MODELS=sys::shared_slot::loom_tests
NAMES=() EDITS=() TESTS=()

# mutant NAME SED TEST: the loom test TEST must fail after SED has changed FILE.
mutant() { NAMES+=("$1") EDITS+=("$2") TESTS+=("$MODELS::$3"); }

mutant "no acquire fence before the value is dropped" 's|fence(Ordering::Acquire);||' acquired_ref_survives_concurrent_store
mutant "a reference is released without Release" 's|fetch_add(count, Ordering::Release)|fetch_add(count, Ordering::Relaxed)|' \
    acquired_ref_survives_concurrent_store
mutant "a reference is acquired without Acquire" 's|fetch_add(1, Ordering::Acquire)|fetch_add(1, Ordering::Relaxed)|' \
    acquired_ref_survives_concurrent_store
mutant "acquired references are not added to the count" 's|unpack_count(before).wrapping_sub(SLOT_BIAS)|-SLOT_BIAS|' \
    acquired_ref_survives_concurrent_clear
mutant "acquired references are counted twice" 's|unpack_count(packed).wrapping_neg()|0|' rebalance_counts_concurrent_acquires_once

stale=0
for index in "${!NAMES[@]}"; do
    changed=$(sed "${EDITS[$index]}" "$FILE" | diff "$FILE" - | grep -c '^>') || true
    if [ "$changed" != 1 ]; then
        echo "stale: \"${NAMES[$index]}\" changes $changed lines of $FILE instead of 1: sed '${EDITS[$index]}'" >&2
        stale=1
    fi
done
[ "$stale" = 0 ] || fail "mutants-orderings.sh: adapt these edits to $FILE"

scripts/setup.sh build
copy_sources

# models TEST...: runs these models in the copy, and leaves the output in $SCRATCH/log.
models() {
    (cd "$SOURCE" && timeout 600 cargo test --quiet --lib --features model -- --exact "$@") >"$SCRATCH/log" 2>&1
}

mapfile -t every < <(printf '%s\n' "${TESTS[@]}" | sort -u)
models "${every[@]}" || { cat "$SCRATCH/log"; fail "mutants-orderings.sh: a model fails without a mutant"; }
grep -q "^test result: ok. ${#every[@]} passed" "$SCRATCH/log" \
    || fail "mutants-orderings.sh: not every one of these models exists: ${every[*]}"

survived=0
for index in "${!NAMES[@]}"; do
    sed "${EDITS[$index]}" "$FILE" >"$SOURCE/$FILE"
    if models "${TESTS[$index]}"; then
        echo "not ok survives: $FILE: ${NAMES[$index]}"
        survived=1
    elif grep -qE '^test result: FAILED|process abort signal' "$SCRATCH/log"; then
        echo "ok $FILE: ${NAMES[$index]}"
    else
        cat "$SCRATCH/log"
        fail "mutants-orderings.sh: \"${NAMES[$index]}\" does not build, or its model did not end within ten minutes"
    fi
done
exit $survived
