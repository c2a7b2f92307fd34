"""The callbacks for libmongoc and ODPI-C, called as these libraries call them; the libraries themselves are not run."""

import os
import pathlib

import pytest

from conftest import NEWER, ROOT, STRICT, TOOLS
from fixtures import run_tool

INCLUDES = {
    "mongodb": [f"-isystem{next(NEWER.glob(f'{name}-*'))}" for name in ("mongoc", "bson")],
    "oracle": [f"-isystem{TOOLS / 'odpi' / 'include'}"],
}


@pytest.fixture
def run_callback(programs, mock, tmp_path):
    """Runs the recipe with the program of the same name in callbacks/, under the address sanitizer."""

    def run(name, *arguments):
        program, library = tmp_path / name, pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
        source = pathlib.Path(__file__).parent / "callbacks" / f"{name}.c"
        run_tool("cc", "-std=c99", *STRICT.split(), "-g", "-fsanitize=address,undefined", f"-I{ROOT / 'include'}", *INCLUDES[name],
            source, ROOT / "examples-c" / "recipes" / f"{name}.c", "-o", program,
            f"-L{library}", "-lauthgrant", f"-Wl,-rpath,{library}")
        return mock.run(program, *arguments)

    return run


def test_mongodb_callback_replaces_refused_token(run_callback, mock):
    called = run_callback("mongodb", 30000)
    assert called.returncode == 0, called.stderr
    first, second = called.stdout.split()
    assert first != second
    assert [mock.subject_of(token) for token in (first, second)] == ["jsmith@example.com"] * 2


def test_mongodb_callback_reports_timeout(run_callback, mock):
    mock.control("behavior", {"always": {"delay": 60000}})
    try:
        called = run_callback("mongodb", 500)
    finally:
        mock.control("behavior", {"always": "normal"})
    assert (called.returncode, called.stdout) == (1, "cancelled\n"), called.stderr


def test_oracle_pool_has_first_token_and_callback(run_callback, mock):
    called = run_callback("oracle")
    assert called.returncode == 0, called.stderr
    first, second = called.stdout.split()
    assert first == second
    assert mock.subject_of(first) == "jsmith@example.com"
