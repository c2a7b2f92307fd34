#!/usr/bin/env bash
# soak.sh [STEP...]: runs the long tests one after another, all or those that are named, and writes what they counted to
# docs/soak-report.md. Of steps that are not named, the report has the last run, with its commit.
#
#   keys          a byte of each key file changed, at every position
#   forks         forks beside busy threads, and the other C programs
#   thread        C programs with ThreadSanitizer
#   address       C programs with AddressSanitizer and LeakSanitizer
#   faults        each call to the C library and to the kernel fails once
#   miri          unit tests of parsers and of the token cache under Miri
#   fips          unit and integration tests with the FIPS module of AWS-LC
#   reproducible  the packages, built twice
#   schedules     random schedules of processes that share a token
#   fuzz          each fuzz target for AUTHGRANT_FUZZ_SECONDS, by default 360
#
# A step that fails does not end the run. The log of each is in build/soak.
set -euo pipefail
. "$(dirname "$0")/common.sh"

ALL=(keys forks thread address faults miri fips reproducible schedules fuzz)
FORKS=50000
SCHEDULES=40000
LOGS=$ROOT/build/soak
REPORT=$ROOT/docs/soak-report.md
steps=("$@")
[ $# -gt 0 ] || steps=("${ALL[@]}")
for step in "${steps[@]}"; do
    [[ " ${ALL[*]} " == *" $step "* ]] || fail "soak.sh: no step $step; there are: ${ALL[*]}"
done

run_keys() {
    scripts/setup.sh build keys
    AUTHGRANT_SOAK=1 cargo test --test it key_ -- --nocapture
}
run_forks() { AUTHGRANT_FORKS=$FORKS AUTHGRANT_VALGRIND=0 scripts/test.sh c; }
run_thread() { scripts/sanitize.sh thread; }
run_address() { scripts/sanitize.sh address; }
run_faults() { AUTHGRANT_FAULTS=all scripts/test.sh faults; }
run_miri() { scripts/miri.sh all; }
run_fips() { scripts/fips.sh; }
run_reproducible() { scripts/reproducible.sh; }
run_schedules() { SCHEDULES=$SCHEDULES cargo test --lib shared_cache::tests::schedules; }
run_fuzz() {
    scripts/setup.sh build fuzz
    AUTHGRANT_FUZZ_SEED=0 scripts/fuzz.sh "${AUTHGRANT_FUZZ_SECONDS:-360}"
}

# The numbers of passed and failed tests in a log of cargo or of a script.
count() {
    awk '/^test result:/ { p += $4; f += $6 } /^ok / { p++ } /^not ok / { f++ } END { print p + 0, f + 0 }' "$1"
}

# What a step counted beside its tests, for the report.
detail() {
    local log=$LOGS/$1.log
    case $1 in
        keys) sed -n 's/^\([0-9]* damaged key files\)$/\1/p' "$log" ;;
        faults) sed -n 's/.*\(^\|[^0-9]\)\([0-9]* cases\).*/\2/p' "$log" | tail -n 1 ;;
        forks) echo "$FORKS forks" ;;
        schedules) echo "$SCHEDULES schedules" ;;
        fuzz) awk '/^[a-z0-9_]+: [0-9]+ executions$/ { n += $2 } END { printf "%.1f million executions\n", n / 1e6 }' "$log" ;;
    esac
}

minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# run STEP: adds its row to the report.
run() {
    local begin=$SECONDS passed wrong result=passed log=$LOGS/$1.log
    echo "== $1"
    ("run_$1") 2>&1 | tee "$log" || result=FAILED
    read -r passed wrong < <(count "$log")
    [ "$wrong" = 0 ] || result=FAILED
    [ "$result" = passed ] || failed=1
    printf '| %s | %s | %d | %d | %s | %s | %s | %s |\n' "$1" "$result" "$passed" "$wrong" "$(detail "$1")" "$(minutes $((SECONDS - begin)))" \
        "$(git rev-parse --short HEAD)" "$(date -u +%F)" >"$LOGS/$1.row"
}

write_report() {
    local cpu
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    cat <<END
# The last long run

Written by \`make soak\`; [testing.md](testing.md) says what each step is for.

$(nproc) × $cpu, Linux $(uname -r), $(rustc -V | cut -d ' ' -f 1,2). Durations are in minutes:seconds.

| step | result | passed | failed | | duration | commit | date |
| --- | --- | --: | --: | --- | --: | --- | --- |
$(for step in "${ALL[@]}"; do cat "$LOGS/$step.row" 2>/dev/null || true; done)
END
    [ -f "$LOGS/fuzz.log" ] || return 0
    printf '\n| fuzz target | executions |\n| --- | --: |\n'
    sed -nE 's/^([a-z0-9_]+): ([0-9]+) executions$/| \1 | \2 |/p' "$LOGS/fuzz.log"
}

mkdir -p "$LOGS"
failed=0
for step in "${steps[@]}"; do run "$step"; done
write_report >"$REPORT"
echo "the report is in docs/soak-report.md"
exit $failed
