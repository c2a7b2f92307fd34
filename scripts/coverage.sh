#!/usr/bin/env bash
# coverage.sh: measures which lines of src the Rust tests execute, with cargo-llvm-cov.
#
# Prints a table of modules, and fails if fewer than 95 % of all lines are executed, or in the modules of scripts/coverage/complete.txt
# a line that scripts/coverage/unreached.txt does not list with a reason. Lines of tests are not counted. The lines that no test
# executes are in build/coverage/unreached.txt, and build/coverage/html has the sources with counts.
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh build keys strace coverage java openssl network pkcs11 redis
PATH=$TOOLS/bin:$PATH
out=$ROOT/build/coverage
mkdir -p "$out"
# Incremental builds of an instrumented crate are large, and this one is built once.
export CARGO_INCREMENTAL=0
ignored='/(tests|benches|examples-c)/'

# run NAME ARGUMENT...: a command of cargo llvm-cov, with a log.
run() {
    local log=$out/$1.log
    shift
    cargo llvm-cov "$@" >"$log" 2>&1 || { tail -n 50 "$log"; fail "coverage.sh: cargo llvm-cov $1 failed"; }
}

run clean clean --workspace
echo "building and running the unit and integration tests"
run tests test --quiet --no-report --workspace --no-fail-fast
for name in network pkcs11 redis; do
    echo "running the tests $name"
    run "$name" test --quiet --no-report --test "$name"
done
run lcov report --lcov --output-path "$out/lcov.info" --ignore-filename-regex "$ignored"
run html report --html --output-dir "$out" --ignore-filename-regex "$ignored"
scripts/coverage/check.py "$out/lcov.info" "$out/unreached.txt"
