"""Compiles or runs every code sample of the documentation; see samples.py for how a sample says what it is.

AUTHGRANT_LIBRARY is the path of the library, AUTHGRANT_WHEEL that of the Python package, AUTHGRANT_MOCK_SERVER that of the program of
tests/mock_server. `make lib`, `make wheel` and `make mock-server` in samples use these instead of building.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from samples import extract

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests"))

from fixtures import free_port, run_server, run_tool  # noqa: E402

LIBRARY = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"])
# docs/reference.md has no code of its own: it is generated from the header.
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("include/*.h*")} - {ROOT / "docs" / "reference.md"})
SAMPLES = [sample for page in PAGES for sample in extract(page)]
PAGES_TO_RUN = [page for page in PAGES if any(sample.words[:2] == ["sh", "run"] for sample in extract(page))]

# The port in the pages, which is replaced by a free one.
PORT = "8080"

MAKE = """#!/bin/sh
case $1 in
    lib) mkdir -p build/lib && cp -RP {library}/libauthgrant.so* {library}/pkgconfig build/lib ;;
    wheel) mkdir -p dist && cp {wheel} dist ;;
    mock-server) eval "exec {mock_server} ${{2#ARGS=}}" ;;
    *) exec {make} "$@" ;;
esac
"""

FRAGMENTS = {
    "c": """#include "authgrant.h"
#include <stdio.h>
#include <string.h>
int fail(authgrant_error *error);
int fragment(authgrant_connection *connection, authgrant_token *token, authgrant_headers *headers, authgrant_error *error);
int fragment(authgrant_connection *connection, authgrant_token *token, authgrant_headers *headers, authgrant_error *error) {{
(void)connection, (void)token, (void)headers, (void)error;
{{
{text}
}}
return 0;
}}
""",
    "cpp": """#include "authgrant.hpp"
#include <iostream>
void fragment(authgrant::connection &connection);
void fragment(authgrant::connection &connection) {{
(void)connection;
{text}
}}
""",
}
COMPILERS = {"c": ("cc", "-std=c99", ".c"), "cpp": ("c++", "-std=c++17", ".cpp")}


def of_language(*languages):
    chosen = [sample for sample in SAMPLES if sample.language in languages]
    return pytest.mark.parametrize("sample", chosen, ids=str)


@of_language("c", "cpp")
def test_sample_compiles(sample, tmp_path):
    compiler, standard, suffix = COMPILERS[sample.language]
    source = tmp_path / f"sample{suffix}"
    source.write_text(FRAGMENTS[sample.language].format(text=sample.text) if sample.mode == "fragment" else sample.text)
    has_main = re.search(r"\bmain\s*\(", sample.text)
    link = [f"-L{LIBRARY.parent}", "-lauthgrant"] if has_main else ["-c"]
    # A page may include <authgrant.h>, as a program does that uses the installed header.
    run_tool(compiler, standard, "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", source, "-o", tmp_path / "sample", *link)


def check_python(sample, _directory):
    compile(sample.text, str(sample), "exec")


def check_go(sample, directory):
    source = directory / "sample.go"
    source.write_text(sample.text)
    run_tool("gofmt", "-e", source)


def check_shell(sample, _directory):
    checked = subprocess.run(["bash", "-n"], input=sample.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


SYNTAX = {"python": check_python, "go": check_go, "sh": check_shell}


@of_language(*SYNTAX)
def test_sample_parses(sample, tmp_path):
    SYNTAX[sample.language](sample, tmp_path)


# Another name of a language, such as "bash", would leave a sample without a test.
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_languages_of_page_are_known(page):
    languages = {sample.language for sample in extract(page)}
    assert languages <= {"", "text", *COMPILERS, *SYNTAX}


def make_checkout(directory):
    """Copies what the commands of the samples use, and puts a `make` first into PATH."""
    for name in ("include", "examples-c", "docs", "bindings/go"):
        shutil.copytree(ROOT / name, directory / name)
    shim = directory / ".bin" / "make"
    shim.parent.mkdir()
    shim.write_text(MAKE.format(
        library=LIBRARY.parent, wheel=os.environ["AUTHGRANT_WHEEL"], mock_server=os.environ["AUTHGRANT_MOCK_SERVER"],
        make=shutil.which("make")))
    shim.chmod(0o755)
    # What Go has downloaded and built, which is in HOME.
    caches = dict(zip(("GOMODCACHE", "GOCACHE"), run_tool("go", "env", "GOMODCACHE", "GOCACHE").split()))
    return {**os.environ, **caches, "PATH": f"{shim.parent}:{os.environ['PATH']}", "HOME": str(directory)}


def to_pattern(expected):
    """A pattern for the expected output, in which … stands for any text."""
    return ".*?".join(re.escape(part) for part in expected.strip().split("…"))


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_commands_of_page_run(page, tmp_path, monkeypatch):
    environment = make_checkout(tmp_path)
    port = str(free_port())
    samples = extract(page)
    for sample in samples:
        sample.text = sample.text.replace(PORT, port)
        if sample.file:
            (tmp_path / sample.file).parent.mkdir(exist_ok=True)
            (tmp_path / sample.file).write_text(sample.text)
    monkeypatch.chdir(tmp_path)
    for name in ("PATH", "HOME", "GOMODCACHE", "GOCACHE"):
        monkeypatch.setenv(name, environment[name])
    commands = [sample for sample in samples if sample.words[:2] == ["sh", "run"]]
    with contextlib.ExitStack() as servers:
        for server in samples:
            if server.words[:2] == ["sh", "server"]:
                servers.enter_context(run_server("bash", "-c", f"exec {server.text.strip()}"))
        script = "\n".join(f"{sample.text}\necho '@@'" for sample in commands)
        finished = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    outputs = dict(zip([sample.line for sample in commands], finished.stdout.split("@@\n")))
    for previous, sample in zip(samples, samples[1:]):
        if sample.words == ["text", "output"]:
            assert re.fullmatch(to_pattern(sample.text), outputs[previous.line].strip(), re.DOTALL), outputs[previous.line]
