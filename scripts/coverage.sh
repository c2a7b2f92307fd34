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
cargo llvm-cov clean --workspace
echo "building and running the unit and integration tests"
cargo llvm-cov test --quiet --no-report --workspace --no-fail-fast >"$out/tests.log" 2>&1 || { tail -n 50 "$out/tests.log"; fail "coverage.sh: a test failed"; }
for name in network pkcs11 redis; do
    echo "running the tests $name"
    cargo llvm-cov test --quiet --no-report --test "$name" >"$out/$name.log" 2>&1 || { tail -n 50 "$out/$name.log"; fail "coverage.sh: a test of $name failed"; }
done
cargo llvm-cov report --lcov --output-path "$out/lcov.info" --ignore-filename-regex '/(tests|benches|examples-c)/' 2>/dev/null
cargo llvm-cov report --html --output-dir "$out" --ignore-filename-regex '/(tests|benches|examples-c)/' >/dev/null 2>&1
scripts/coverage/check.py "$out/lcov.info" "$out/unreached.txt"
