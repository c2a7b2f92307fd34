# shellcheck shell=bash
# Sourced by the mutation scripts: a copy of the sources to mutate, with its own target directory.

MUTANTS=$ROOT/build/mutants
SOURCE=$MUTANTS/source
export CARGO_TARGET_DIR=$MUTANTS/target
# Each mutant changes one line, which an incremental build compiles in a few seconds.
export CARGO_INCREMENTAL=1

# Copies the files of the working tree with the current time, because the last build may be of a mutant.
copy_sources() {
    mkdir -p "$MUTANTS"
    exec {MUTANTS_LOCK}>"$MUTANTS/lock"
    flock --nonblock "$MUTANTS_LOCK" || fail "another run uses $SOURCE"
    mkdir -p "$SOURCE" "$CARGO_TARGET_DIR"
    restore_sources
    # Reuses dependencies that are already built.
    if [ -d "$TARGET/debug/.fingerprint" ] && [ ! -d "$CARGO_TARGET_DIR/debug" ]; then
        mkdir -p "$CARGO_TARGET_DIR/debug/deps"
        cp -a "$TARGET/debug/build" "$TARGET/debug/.fingerprint" "$CARGO_TARGET_DIR/debug"
        find "$TARGET/debug/deps" -maxdepth 1 \( -name 'lib*' -o -name '*.d' \) ! -name 'libauth*' \
            -exec cp -a -t "$CARGO_TARGET_DIR/debug/deps" {} +
    fi
}

restore_sources() {
    find "$SOURCE" -type f -delete
    git ls-files -z --cached --others --exclude-standard \
        | tar --null --ignore-failed-read --files-from=- -cf - | tar -xmf - -C "$SOURCE"
    # The tests generate the key files again if these are older than the scripts.
    mkdir -p "$SOURCE/build"
    [ ! -d "$ROOT/build/keys" ] || cp -R "$ROOT/build/keys" "$SOURCE/build/"
}
