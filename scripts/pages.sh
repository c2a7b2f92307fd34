#!/usr/bin/env bash
# pages.sh DIRECTORY: checks that each test in docs/feature_matrix.tsv has run, by the lists that test.sh wrote to DIRECTORY.
#
# Prints `ok PAGE` for each page, or `not ok PAGE: FEATURE: TEST did not run`. Rows of a part that did not run are skipped and
# counted; in strict mode test.sh has failed already.
set -euo pipefail
. "$(dirname "$0")/common.sh"

ran=${1:?where test.sh leaves its lists}
left_out=0
declare -A wrong=()

part_of() {
    case $1 in
        scripts/test-c.sh::*) echo c ;;
        scripts/test-packages.sh::*) echo packages ;;
        tests/interop/browser/*) echo browser ;;
        tests/interop/test_keycloak.py::*) echo keycloak ;;
        tests/interop/test_hydra.py::*) echo hydra ;;
        tests/interop/*) echo interop ;;
        bindings/python/*) echo python ;;
        bindings/go/*) echo go ;;
        tests/isolated/network.rs::*) echo network ;;
        tests/isolated/pkcs11.rs::*) echo pkcs11 ;;
        tests/isolated/redis.rs::*) echo redis ;;
        *) echo rust ;;
    esac
}

while IFS=$'\t' read -r page feature test; do
    list=$ran/$(part_of "$test")
    wrong[$page]=${wrong[$page]:-}
    if [ ! -e "$list" ]; then
        left_out=$((left_out + 1))
    elif ! grep -qxF -e "$test" "$list"; then
        wrong[$page]+="not ok $page: $feature: $test did not run"$'\n'
    fi
done < <(tail -n +2 docs/feature_matrix.tsv)

[ ${#wrong[@]} -gt 0 ] || fail "docs/feature_matrix.tsv has no rows"
failed=0
for page in "${!wrong[@]}"; do
    if [ -z "${wrong[$page]}" ]; then
        echo "ok $page"
    else
        printf '%s' "${wrong[$page]}"
        failed=1
    fi
done
[ "$left_out" = 0 ] || echo "$left_out rows left out: the parts with their tests did not run"
exit $failed
