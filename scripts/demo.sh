#!/usr/bin/env bash
# Builds the library and the C example, creates a key store, starts a mock authorization server and gets a token with DataDirect's
# connection string. PROFILE=release builds the library as distributed (slower).
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/datadirect.sh

profile=${PROFILE:-debug}
scripts/setup.sh build

echo "1. The library and a C program that uses it"
scripts/lib.sh "$profile" "build/$profile"
make --no-print-directory -C examples-c LIB="../build/$profile" OUT="../build/$profile"
cargo build -q -p mock_server

echo "2. A key store, and an authorization server where its certificate is registered"
make_key_store "$SCRATCH/jwtcert"
start_server mock_server cargo run -q -p mock_server -- --https \
    --register "1a2b3c4d5e_6f7g8h9g=$SCRATCH/jwtcert.pem" --ca-out "$SCRATCH/ca.pem"
echo "$KEY_STORE"
echo "$SERVER_URL"

echo "3. The connection string"
text=$(connection_string "$KEY_STORE" "$SERVER_URL" "$SCRATCH/ca.pem")
echo "$text"

echo "4. A token, and the same one from the cache"
"build/$profile/token" "$text"
