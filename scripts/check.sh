#!/usr/bin/env bash
# The checks that need no server: format, lints, documentation, licences and sources of dependencies, header, exported symbols.
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh build binutils
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --quiet --workspace --all-targets -- -D warnings
cargo clippy --quiet --lib --no-default-features -- -D warnings
scripts/doc.sh
scripts/deny.sh
cargo test --quiet --test it generated_files
scripts/lib.sh debug build/test-lib
scripts/symbols.sh build/test-lib/libauthgrant.so.0
scripts/split-debug.sh build/test-lib/libauthgrant.so.0 "$SCRATCH/split"
scripts/debug-file.sh "$SCRATCH/split/libauthgrant.so.0"
