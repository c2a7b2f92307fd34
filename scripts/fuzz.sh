#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: builds the targets of fuzz/ and runs each, or those that are named, for SECONDS on its corpus, one per
# processor at a time.
#
# Prints the executions of each and `ok fuzz TARGET`, or what it found and `not ok fuzz TARGET`. The input is then in
# build/fuzz/found/TARGET: `fuzz.sh repeat FILE TARGET` runs it again. Inputs that reach new code are kept in build/fuzz/corpus.
# AUTHGRANT_FUZZ_SEED=0 chooses other inputs in each run; by default they are the same, so that a test does not fail by chance.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || fail "usage: fuzz.sh SECONDS [TARGET...], or fuzz.sh repeat FILE TARGET"
seconds=$1
file=
shift
if [ "$seconds" = repeat ]; then
    file=$1
    shift
fi
ALL=$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' fuzz/Cargo.toml)
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets <<<"$ALL"
for target in "${targets[@]}"; do
    grep -qx "$target" <<<"$ALL" || fail "fuzz.sh: no target $target; there are: ${ALL//$'\n'/ }"
done
BINARIES=$TARGET/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release

# The names and versions in a lock file.
packages_in() { awk '/^name/ { name = $3 } /^version/ { print name, $3 }' "$1" | LC_ALL=C sort; }

# The library is tested with the dependencies that it is built with.
check_lock() {
    local others
    others=$(LC_ALL=C comm -13 <(packages_in Cargo.lock) <(packages_in fuzz/Cargo.lock) | grep -vE '^"(arbitrary|authgrant_fuzz|libfuzzer-sys)"' || true)
    [ -z "$others" ] || fail "fuzz/Cargo.lock has packages that Cargo.lock has not; copy Cargo.lock to fuzz/ and build: $others"
}

# All of them at once: they share the library, which takes most of the time.
build() {
    # Several parts of the library are compiled at once; the targets are as fast as with one.
    RUSTUP_TOOLCHAIN=nightly PATH=$TOOLS/bin:$PATH cargo fuzz build --codegen-units 16 --target-dir "$TARGET/fuzz"
}

# The words that a target puts into its inputs: those of fuzz/dictionaries, and the names of all options.
dictionary() {
    local words=fuzz/dictionaries/$1
    [ ! -f "$words" ] || cat "$words"
    case $1 in
        connection_string | data_source | rest_model | wide_text) sed -n 's/^    \([A-Za-z_]*\) \[[^]]*\] [A-Z].*/"\1="/p' src/options/table.rs ;;
    esac
}

# A hang is an input that takes a minute, also on a slow machine.
run_target() {
    local target=$1 found=build/fuzz/found/$1 corpus=build/fuzz/corpus/$1
    mkdir -p "$found" "$corpus" "fuzz/corpus/$target"
    dictionary "$target" >"$SCRATCH/$target.dict"
    "$BINARIES/$target" -max_total_time="$seconds" -seed="${AUTHGRANT_FUZZ_SEED:-1}" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" \
        -dict="$SCRATCH/$target.dict" "$corpus" "fuzz/corpus/$target" >"$SCRATCH/$target.log" 2>&1 && touch "$SCRATCH/$target.passed"
}

report() {
    local target=$1 log=$SCRATCH/$1.log
    if [ -f "$SCRATCH/$target.passed" ]; then
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions"
        echo "ok fuzz $target"
    else
        failed=1
        tail -n 60 "$log"
        echo "not ok fuzz $target"
    fi
}

build
check_lock
if [ -n "$file" ]; then
    exec "$BINARIES/${targets[0]}" "$file"
fi
failed=0
for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    run_target "$target" &
done
wait || true
for target in "${targets[@]}"; do report "$target"; done
[ "$failed" = 0 ]
