#!/usr/bin/env bash
# user.sh URL: simulates a user with a browser. Requests a plain http URL, follows one redirect and prints the last page.
# Installed as `xdg-open` in PATH, it is run by the library.
set -euo pipefail

get() {
    local rest=${1#http://} authority path
    authority=${rest%%/*}
    path=/${rest#*/}
    exec 3<>"/dev/tcp/${authority%:*}/${authority#*:}"
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$authority" >&3
    tr -d '\r' <&3
    exec 3>&-
}

response=$(get "$1")
location=$(sed -n 's/^[Ll]ocation: //p' <<<"$response")
[ -z "$location" ] || response=$(get "$location")
printf '%s\n' "$response"
