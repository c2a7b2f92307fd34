#!/usr/bin/env bash
# run.sh WHEEL [PYTHON...]: runs the tests with the wheel in a new virtual environment for each Python; by default, for all that
# are found from 3.9 on: python3.N in PATH, in /usr/bin and of pyenv. PYTEST_ARGUMENTS selects tests.
set -uo pipefail

wheel=$(realpath "${1:?the wheel}") || exit 1
shift
cd "$(dirname "$0")"
venvs=$(mktemp -d "${TMPDIR:-/tmp}/authgrant-python.XXXXXX")
trap 'rm -rf "$venvs"' EXIT

# The executables, without the names that are links to one of the others.
find_pythons() {
    local candidate
    for candidate in /usr/bin/python3.* "$HOME"/.pyenv/versions/*/bin/python3.* "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3.* \
        $(compgen -c python3. | sort -u | xargs -r -n 1 which 2>/dev/null); do
        # A shim of pyenv is a script that runs one of the others.
        [[ ${candidate##*/} =~ ^python3\.[0-9]+$ && $candidate != */shims/* ]] || continue
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && realpath "$candidate"
    done | sort -u
}

pythons=("$@")
[ $# -gt 0 ] || mapfile -t pythons < <(find_pythons)
[ ${#pythons[@]} -gt 0 ] || { echo "run.sh: no Python from 3.9 on with venv" >&2; exit 1; }
failed=0
count=0
for python in "${pythons[@]}"; do
    echo "-- $python: $("$python" --version)"
    venv=$venvs/$((++count))
    if ! "$python" -m venv "$venv" ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt "$wheel"; then
        echo "1 failed: the installation for $python in 0.0s"
        failed=1
        continue
    fi
    # From another directory, so that only the installed package can be imported.
    (cd ../../.. && "$venv/bin/python" -m pytest -p no:cacheprovider -v ${PYTEST_ARGUMENTS:-} bindings/python/tests) || failed=1
done
exit $failed
