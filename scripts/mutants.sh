#!/usr/bin/env bash
# mutants.sh [sample | FILE...]: mutation tests with cargo-mutants. Without arguments all modules of .cargo/mutants.toml.
#
# Each mutant is first tested with the unit tests of its module. One that survives is then tested with all unit tests and with
# the integration tests in THROUGH_C. Prints `ok MUTANT` for each mutant that a test catches, `not ok MUTANT` for each survivor
# that scripts/mutants/survivors.txt does not list, and `not ok` for a listed one that no longer survives.
# A timeout counts as caught. `sample` takes a few minutes, all modules some hours; results and logs are in build/mutants.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. scripts/mutants/copy.sh

# Small modules, with few tests, and without survivors.
SAMPLE=(src/base/bounded_map.rs src/base/backoff.rs src/base/jitter.rs)
# Integration tests of the modules.
THROUGH_C=(it data_sources logoff policy)
LISTED=scripts/mutants/survivors.txt

case ${1:-} in
    sample) files=("${SAMPLE[@]}") ;;
    *) files=("$@") ;;
esac
for file in "${files[@]}"; do
    [ -f "$file" ] || fail "mutants.sh: there is no file $file"
done

! grep -vE '^#|^$| # .' "$LISTED" || fail "mutants.sh: $LISTED has lines without a reason"

scripts/setup.sh build mutants
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

# First run: the mutants of each module with the unit tests of that module. In src/base and src/net a module is a file.
module_of() { sed -nE 's,^src/(base|net)/([a-z0-9_]+)\.rs$,\1::\2,p; t; s,^src/(.+)/[a-z0-9_]+\.rs$,\1,; s,/,::,g; /^tests/!p'; }
mapfile -t modules < <(printf '%s\n' "${chosen[@]}" | module_of | sort -u)
for module in "${modules[@]}"; do
    mapfile -t own < <(for file in "${chosen[@]}"; do [ "$(module_of <<<"$file")" != "$module" ] || echo "$file"; done)
    name=${module//::/-}
    config "${own[@]}" >"$SCRATCH/$name.toml"
    run "$name" "$SCRATCH/$name.toml" --package authgrant --cargo-arg=--lib -- -- "$module::"
done
mapfile -t own < <(printf '%s\n' "${chosen[@]}" | grep '^tests/mock_server/')
if [ ${#own[@]} -gt 0 ]; then
    config "${own[@]}" >"$SCRATCH/mock_server.toml"
    run mock_server "$SCRATCH/mock_server.toml" --package mock_server --cargo-arg=--lib --cargo-arg=--test=suite
fi

# Second run: the remaining mutants of the library, with all unit tests and the integration tests.
cat "$results"/*/mutants.out/missed.txt >"$SCRATCH/missed"
if grep -q '^src/' "$SCRATCH/missed"; then
    # --iterate skips those that the first run caught, by the lists of that run.
    mkdir -p "$results/second/mutants.out"
    cat "$results"/*/mutants.out/{caught,timeout}.txt >"$SCRATCH/done"
    cp "$SCRATCH/done" "$results/second/mutants.out/caught.txt"
    cat "$results"/*/mutants.out/unviable.txt >"$SCRATCH/unviable"
    cp "$SCRATCH/unviable" "$results/second/mutants.out/unviable.txt"
    mapfile -t own < <(grep '^src/' "$SCRATCH/missed" | cut -d: -f1 | sort -u)
    config "${own[@]}" >"$SCRATCH/second.toml"
    run second "$SCRATCH/second.toml" --iterate --package authgrant --cargo-arg=--lib "${THROUGH_C[@]/#/--cargo-arg=--test=}"
    grep -v '^src/' "$SCRATCH/missed" >"$SCRATCH/survivors" || true
    cat "$results/second/mutants.out/missed.txt" >>"$SCRATCH/survivors"
else
    cp "$SCRATCH/missed" "$SCRATCH/survivors"
fi
cat "$results"/*/mutants.out/unviable.txt | sort -u >"$SCRATCH/unviable"

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
