#!/usr/bin/env bash
# mutants.sh [sample | FILE...]: mutation tests with the mutants of cargo-mutants. Without arguments all modules of .cargo/mutants.toml.
#
# The mutants of the library are built together (scripts/mutants/combined.py) and tested with the unit tests that execute them; one that
# survives, with the integration tests in THROUGH_C. Those that cannot be built together, and those of the mock server, are left to
# cargo-mutants. Prints `ok MUTANT` for each mutant that a test catches, `not ok MUTANT` for each survivor that
# scripts/mutants/survivors.txt does not list, and `not ok` for a listed one that no longer survives. A timeout counts as caught.
# `sample` takes a few minutes, all modules some hours; results and logs are in build/mutants.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/mutants/copy.sh

# Small modules, with few tests, and without survivors.
SAMPLE=(src/base/bounded_map.rs src/base/backoff.rs src/base/jitter.rs)
# Integration tests of the modules.
THROUGH_C=(it audit data_sources logoff policy token_store)
LISTED=scripts/mutants/survivors.txt

case ${1:-} in
    sample) files=("${SAMPLE[@]}") ;;
    *) files=("$@") ;;
esac
for file in "${files[@]}"; do
    [ -f "$file" ] || fail "mutants.sh: there is no file $file"
done

! grep -vE '^#|^$| # .' "$LISTED" || fail "mutants.sh: $LISTED has lines without a reason"

scripts/setup.sh build keys mutants
PATH=$TOOLS/bin:$PATH
copy_sources
results=$MUTANTS/results
rm -rf "$results"
mkdir -p "$results"

# config FILE... : writes a configuration that is .cargo/mutants.toml with only these files. Needed because `--file` adds to
# examine_globs, and `--re` does not select the "delete field" mutants (cargo-mutants 27.1.0).
config() {
    printf 'examine_globs = [\n'
    printf '    "%s",\n' "$@"
    printf ']\n'
    sed '/^examine_globs = \[$/,/^\]$/d' .cargo/mutants.toml
}

# The mutants of the chosen files, as `FILE:LINE:COLUMN: CHANGE`.
if [ ${#files[@]} -gt 0 ]; then config "${files[@]}"; else cat .cargo/mutants.toml; fi >"$SCRATCH/chosen.toml"
cargo mutants --dir "$SOURCE" --config "$SCRATCH/chosen.toml" --workspace --list --colors never >"$SCRATCH/chosen"
mapfile -t chosen < <(cut -d: -f1 "$SCRATCH/chosen" | sort -u)
for file in "${files[@]}"; do
    [[ " ${chosen[*]} " == *" $file "* ]] || fail "mutants.sh: cargo-mutants finds nothing to change in $file"
done

# run NAME CONFIG ARGUMENT... : the mutants of the files of CONFIG.
run() {
    local name=$1 config=$2 begin=$SECONDS code=0 out=$results/$1
    shift 2
    # cargo-mutants ends with 2 for survivors and 3 for timeouts.
    cargo mutants --dir "$SOURCE" --config "$config" --in-place --output "$out" --colors never "$@" >"$SCRATCH/log" 2>&1 || code=$?
    case $code in
        0 | 2 | 3) ;;
        *)
            tail -n 50 "$SCRATCH/log"
            fail "mutants.sh: cargo-mutants failed with $code in the run $name; logs are in $out/mutants.out/log"
            ;;
    esac
    echo "== $name: $(tail -n 1 "$SCRATCH/log"), $((SECONDS - begin)) s"
}

# The mutants of the library, together. The copy of the sources has all of them afterwards.
if grep -q '^src/' "$SCRATCH/chosen"; then
    cargo mutants --dir "$SOURCE" --config "$SCRATCH/chosen.toml" --package authgrant --list --json >"$SCRATCH/list.json"
    scripts/mutants/combined.py "$SCRATCH/list.json" "$SOURCE" "$results" lib "${THROUGH_C[@]}"
    restore_sources
else
    touch "$results"/{missed,unviable,alone}.txt
fi
# The others one by one, first with the unit tests of their modules; --iterate skips what is listed as caught.
if [ -s "$results/alone.txt" ]; then
    mapfile -t own < <(cut -d: -f1 "$results/alone.txt" | sort -u)
    config "${own[@]}" >"$SCRATCH/alone.toml"
    mapfile -t modules < <(printf '%s\n' "${own[@]}" | sed -E 's,^src/(.+)/[^/]+$,\1::,; s,/,::,g' | sort -u)
    mkdir -p "$results/alone/mutants.out"
    grep -vxFf "$results/alone.txt" "$SCRATCH/chosen" >"$results/alone/mutants.out/caught.txt" || true
    alone=("$SCRATCH/alone.toml" --iterate --package authgrant --cargo-arg=--lib)
    run alone "${alone[@]}" -- -- "${modules[@]}"
    [ ! -s "$results/alone/mutants.out/missed.txt" ] || run alone "${alone[@]}" "${THROUGH_C[@]/#/--cargo-arg=--test=}"
fi
mapfile -t own < <(printf '%s\n' "${chosen[@]}" | grep '^tests/mock_server/')
if [ ${#own[@]} -gt 0 ]; then
    config "${own[@]}" >"$SCRATCH/mock_server.toml"
    run mock_server "$SCRATCH/mock_server.toml" --package mock_server --cargo-arg=--lib --cargo-arg=--test=suite
fi
cat "$results/missed.txt" "$results"/*/mutants.out/missed.txt >"$SCRATCH/survivors" 2>/dev/null || true
cat "$results/unviable.txt" "$results"/*/mutants.out/unviable.txt 2>/dev/null | sort -u >"$SCRATCH/unviable" || true

# Line and column change with every edit, so names are compared without them. Two equal mutants in a function are two lines.
names() { sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /' "$@" | sort; }
names "$SCRATCH/survivors" >"$SCRATCH/survived"
sort "$SCRATCH/survivors" "$SCRATCH/unviable" | comm -23 <(sort "$SCRATCH/chosen") - | names >"$SCRATCH/caught"
sed -E '/^#|^$/d; s/ # .*//' "$LISTED" | awk -F: 'NR == FNR { run[$1]; next } $1 in run' <(printf '%s\n' "${chosen[@]}") - \
    | sort >"$SCRATCH/listed"
comm -23 "$SCRATCH/survived" "$SCRATCH/listed" >"$SCRATCH/unlisted"
comm -13 "$SCRATCH/survived" "$SCRATCH/listed" >"$SCRATCH/stale"

sed 's/^/ok /' "$SCRATCH/caught"
sed 's/^/not ok survives: /' "$SCRATCH/unlisted"
sed "s|^|not ok does not survive, but is in $LISTED: |" "$SCRATCH/stale"
echo
echo "$(wc -l <"$SCRATCH/chosen") mutants: $(wc -l <"$SCRATCH/caught") caught, $(wc -l <"$SCRATCH/unlisted") survive," \
    "$(comm -12 "$SCRATCH/survived" "$SCRATCH/listed" | wc -l) are known survivors, $(wc -l <"$SCRATCH/unviable") do not build"
[ ! -s "$SCRATCH/unlisted" ] && [ ! -s "$SCRATCH/stale" ]
