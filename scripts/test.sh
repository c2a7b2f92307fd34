#!/usr/bin/env bash
# test.sh [PART...]: rust, model, miri, mutants, fuzz, symbols, c, faults, packages, python, go, recipes, odbc, samples, interop, browser, network, pkcs11, redis, sharing, pages;
# `all`, or no part: all of these in this order. The parts keycloak and hydra run only by name (`make interop`, .ci/run), because their servers are
# large.
#
# Writes the names of passed tests to build/ran/PART; the part pages compares them with docs/feature_matrix.tsv. Prints one line per
# part and the total at the end. A part whose tools are missing and cannot be installed is NOT RUN; with CI=true or AUTHGRANT_STRICT=1
# that is a failure.
set -uo pipefail
. "$(dirname "$0")/common.sh"

ALL=(rust model miri mutants fuzz symbols c faults packages python go recipes odbc samples interop browser network pkcs11 redis sharing pages)
MORE=(keycloak hydra)
LIBRARY=$ROOT/build/test-lib
LOG=$SCRATCH/log
RAN=$ROOT/build/ran
STATICCHECK=v0.8.2
mkdir -p "$RAN"
passed=0
failed=0
strict=
[ "${CI:-}" != true ] && [ "${AUTHGRANT_STRICT:-}" != 1 ] || strict=1
REPORT=()

# The environment of the programs under test.
export AUTHGRANT_LIBRARY=$LIBRARY/libauthgrant.so.0
export AUTHGRANT_MOCK_SERVER=$TARGET/debug/mock_server
export AUTHGRANT_TOOLS=$TOOLS AUTHGRANT_IODBC=$ROOT/build/iodbc
export PYTHONDONTWRITEBYTECODE=1
export ZITADEL_SERVER=$TOOLS/zitadel CANAILLE_PYTHON=$CANAILLE_VENV/bin/python
export HYDRA_SERVER=$TOOLS/hydra KEYCLOAK_HOME

run_rust() { cargo test --workspace --no-fail-fast; }
run_model() { cargo test --lib --features model loom_tests; }
# Each seed is another schedule of the threads. A slot stores an address as an integer, so provenance cannot be strict.
run_miri() {
    MIRIFLAGS='-Zmiri-permissive-provenance -Zmiri-many-seeds=0..8' cargo +nightly miri test -p miri_tests --lib
}
run_mutants() { scripts/mutants.sh sample; }
run_fuzz() { scripts/fuzz.sh 20; }
run_symbols() {
    scripts/symbols.sh "$AUTHGRANT_LIBRARY" &&
        scripts/split-debug.sh "$AUTHGRANT_LIBRARY" "$SCRATCH/split" &&
        scripts/symbols.sh "$SCRATCH/split/libauthgrant.so.0" && scripts/debug-file.sh "$SCRATCH/split/libauthgrant.so.0"
}
run_c() { scripts/test-c.sh "$LIBRARY"; }
run_faults() { scripts/faults.sh "${AUTHGRANT_FAULTS:-sample}" "$LIBRARY"; }
run_packages() { scripts/test-packages.sh; }
run_python() {
    scripts/wheel.sh build/test-wheel "$AUTHGRANT_LIBRARY" && bindings/python/tests/run.sh build/test-wheel/*.whl
}
run_recipes() { run_with_package tests/recipes; }
run_odbc() { run_with_package tests/odbc; }
# With the Python package of this library, which is not installed into the environment of the client libraries.
run_with_package() {
    rm -rf "$SCRATCH/package"
    scripts/wheel.sh build/test-wheel "$AUTHGRANT_LIBRARY" &&
        "$RECIPES_VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$SCRATCH/package" build/test-wheel/*.whl &&
        PYTHONPATH=$SCRATCH/package "$RECIPES_VENV/bin/python" -m pytest -p no:cacheprovider -v "$@"
}
run_samples() {
    scripts/wheel.sh build/test-wheel "$AUTHGRANT_LIBRARY" && AUTHGRANT_WHEEL=$(echo "$ROOT"/build/test-wheel/*.whl) run_pytest tests/samples
}
run_interop() {
    run_pytest tests/interop --ignore tests/interop/test_keycloak.py --ignore tests/interop/test_hydra.py
}
run_sharing() { run_pytest tests/sharing; }
run_keycloak() { run_pytest tests/interop/test_keycloak.py; }
run_hydra() { run_pytest tests/interop/test_hydra.py; }
run_pytest() { "$VENV/bin/python" -m pytest -p no:cacheprovider -v "$@"; }
run_browser() { cargo build --quiet --example consent_page && node tests/interop/browser/run.mjs; }
run_network() { cargo test --no-fail-fast --test network; }
run_pkcs11() { cargo test --no-fail-fast --test pkcs11; }
run_redis() {
    cargo test --no-fail-fast --test redis && AUTHGRANT_REDIS_SERVER=$VALKEY_SERVER cargo test --no-fail-fast --test redis
}
run_pages() { scripts/pages.sh "$RAN"; }
run_go() {
    cd bindings/go && export CGO_ENABLED=1 PKG_CONFIG_PATH=$LIBRARY/pkgconfig
    [ -z "$(gofmt -l . | tee /dev/stderr)" ] && go vet ./... &&
        go run "honnef.co/go/tools/cmd/staticcheck@$STATICCHECK" ./... && go test -race -count=1 -v ./...
}

needs() {
    case $1 in
        rust) echo build keys strace ;;
        model) echo build ;;
        miri) echo build miri ;;
        mutants) echo build mutants ;;
        fuzz) echo build fuzz ;;
        symbols) echo build binutils ;;
        c) [ "${AUTHGRANT_VALGRIND:-1}" = 1 ] && echo build openssl zig sqlite locales valgrind || echo build openssl zig sqlite locales ;;
        faults) echo build faults ;;
        packages) echo build binutils python3 packages zig wheel openssl ;;
        python) echo build wheel binutils openssl ;;
        go) echo build go openssl ;;
        recipes) echo build recipes wheel binutils ;;
        odbc) echo build odbc wheel binutils ;;
        samples) echo build python wheel binutils go ;;
        interop) echo build python openssl java browser oidc zitadel canaille glewlwyd ;;
        sharing) echo build python openssl go redis sharing ;;
        keycloak) echo build python openssl browser keycloak ;;
        hydra) echo build python openssl browser hydra ;;
        browser) echo build browser ;;
        network) echo build java openssl network ;;
        pkcs11) echo build openssl pkcs11 ;;
        redis) echo build redis ;;
    esac
}

# Builds library and mock server once, for all parts except those of cargo, which builds its own.
built=
build() {
    [ -z "$built" ] || return 0
    echo "building the library and the mock server"
    scripts/lib.sh debug "$LIBRARY" && cargo build --quiet -p mock_server && built=1
}

# The numbers of passed and failed tests in the log of a part.
count() {
    case $1 in
        rust | model | network | pkcs11 | redis) awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$LOG" ;;
        c | faults | packages | browser | pages | mutants | fuzz) awk '/^ok / { p++ } /^not ok / { f++ } END { print p + 0, f + 0 }' "$LOG" ;;
        go) awk '/^--- PASS/ { p++ } /^--- FAIL/ { f++ } END { print p + 0, f + 0 }' "$LOG" ;;
        python | recipes | odbc | samples | interop | sharing | keycloak | hydra) awk '/(passed|failed|error).* in [0-9.]+s/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1);
            if ($i ~ /^(failed|error)/) f += $(i-1) } } END { print p + 0, f + 0 }' "$LOG" ;;
        *) echo 0 0 ;;
    esac
}

# The names of the passed tests in the log of a part, in the form of docs/feature_matrix.tsv.
names() {
    case $1 in
        rust | model | network | pkcs11 | redis) awk '/^ *Running / { file = $2 == "unittests" ? $3 : $2 } /^test .* \.\.\. ok$/ { print file "::" $2 }' "$LOG" ;;
        python | recipes | odbc | samples | interop | sharing | keycloak | hydra) sed -nE 's/^((tests|bindings)\/[^ ]*\.py::[a-z0-9_]+)(\[.*\])? PASSED.*/\1/p' "$LOG" | sort -u ;;
        go) sed -n 's/^--- PASS: \([^ ]*\).*/\1/p' "$LOG" | while read -r test; do
            grep -lE "^func $test\(" bindings/go/*_test.go | sed "s/$/::$test/"
        done ;;
        c) sed -n 's/^ok /scripts\/test-c.sh::/p' "$LOG" ;;
        faults) sed -n 's/^ok \([^:]*\).*/scripts\/faults.sh::\1/p' "$LOG" ;;
        packages) sed -n 's/^ok /scripts\/test-packages.sh::/p' "$LOG" ;;
        mutants) sed -n 's/^ok /scripts\/mutants.sh::/p' "$LOG" ;;
        fuzz) sed -n 's/^ok /scripts\/fuzz.sh::/p' "$LOG" ;;
        browser) sed -n 's/^ok /tests\/interop\/browser\/run.mjs::/p' "$LOG" ;;
    esac
}

# Installs what a part needs; setup.sh without a part would install everything.
set_up() {
    local tools
    read -ra tools <<<"$(needs "$1")"
    [ ${#tools[@]} = 0 ] || scripts/setup.sh "${tools[@]}"
}

part() {
    local name=$1 here=0 wrong=0 missing result=passed
    echo "== $name"
    rm -f "$RAN/$name"
    if ! set_up "$name" 2>&1 | tee "$LOG"; then
        missing=$(sed -n 's/^missing: //p' "$LOG" | paste -sd ',' | sed 's/,/, /g')
        [ -n "$missing" ] || missing=$(tail -n 1 "$LOG")
        [ -z "$strict" ] || failed=$((failed + 1))
        REPORT+=("$name: NOT RUN: $missing")
        return
    fi
    if { [[ $name =~ ^(rust|model|miri|mutants|fuzz|network|pkcs11|redis|pages)$ ]] || build; } 2>&1 && ("run_$name") 2>&1 | tee "$LOG"; then
        read -r here wrong < <(count "$name")
        # A part that passes counts at least once, even if it reports no tests.
        [ $((here + wrong)) -gt 0 ] || here=1
        [ "$wrong" = 0 ] || result=FAILED
    else
        result=FAILED
        read -r here wrong < <(count "$name")
        [ "$wrong" -gt 0 ] || wrong=1
    fi
    names "$name" >"$RAN/$name"
    passed=$((passed + here))
    failed=$((failed + wrong))
    REPORT+=("$name: $result")
}

parts=()
for name in "${@:-all}"; do
    [ "$name" = all ] && parts+=("${ALL[@]}") || parts+=("$name")
done
for name in "${parts[@]}"; do
    [[ " ${ALL[*]} ${MORE[*]} " == *" $name "* ]] || fail "test.sh: no part $name; there are: ${ALL[*]} ${MORE[*]}"
    part "$name"
done

echo
printf '%s\n' "${REPORT[@]}"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
