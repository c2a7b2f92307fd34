#!/usr/bin/env bash
# Licences, banned crates and sources of every dependency (deny.toml).
set -euo pipefail
. "$(dirname "$0")/common.sh"

scripts/setup.sh cargo-deny
PATH=$TOOLS/bin:$PATH
checks=(licenses bans sources)
if [ "${AUTHGRANT_ADVISORIES:-}" = 1 ]; then
    checks+=(advisories)
else
    echo "advisories: not checked, their database must be fetched (AUTHGRANT_ADVISORIES=1 does)"
fi
cargo-deny --log-level error --all-features check --hide-inclusion-graph "${checks[@]}"
