#!/usr/bin/env bash
# person.sh URL: stands in for a person and their browser: goes to a plain http URL, and where that sends them.
# Says the last page. As `xdg-open` in PATH it is what the library starts.
set -euo pipefail

visit() {
    local rest=${1#http://} place path
    place=${rest%%/*}
    path=/${rest#*/}
    exec 3<>"/dev/tcp/${place%:*}/${place#*:}"
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$place" >&3
    tr -d '\r' <&3
    exec 3>&-
}

answer=$(visit "$1")
location=$(sed -n 's/^[Ll]ocation: //p' <<<"$answer")
[ -z "$location" ] || answer=$(visit "$location")
printf '%s\n' "$answer"
