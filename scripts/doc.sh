#!/usr/bin/env bash
# doc.sh: builds the documentation of the crates with warnings as errors.
set -euo pipefail
. "$(dirname "$0")/common.sh"

RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --document-private-items
