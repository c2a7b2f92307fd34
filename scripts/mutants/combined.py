#!/usr/bin/env python3
"""combined.py LIST SOURCE RESULTS TEST...: tests the mutants of the library with one build instead of one for each, which takes days.

LIST is what `cargo mutants --list --json` prints, SOURCE a copy of the sources, which is changed. Each function gets the bodies of all of
its mutants beside its own; the variable AUTHGRANT_MUTANT chooses one when a program starts. A mutant that does not compile is removed, and
the rest built again. A mutant is then run with those tests only that execute its function: first those of TEST that are quick. TEST is
`lib` for the unit tests, or the name of an integration test; a mutant that survives one goes on to the next.

Writes the names of mutants to RESULTS/caught.txt, missed.txt, unviable.txt (also those of functions that this build does not have), and
alone.txt for those that cannot be built together with others (constants, `const fn`, functions that return `impl Trait`).
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MODULE = """//! Which mutant this process runs.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static FUNCTIONS: [AtomicBool; %d] = [const { AtomicBool::new(false) }; %d];

fn chosen() -> usize {
    static CHOSEN: OnceLock<usize> = OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("AUTHGRANT_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn trace() -> Option<&'static str> {
    static TRACE: OnceLock<Option<String>> = OnceLock::new();
    TRACE.get_or_init(|| std::env::var("AUTHGRANT_MUTANT_TRACE").ok()).as_deref()
}

/// The chosen mutant, if it is one of the function, else 0.
pub fn at(function: usize, first: usize, last: usize) -> usize {
    if let Some(path) = trace() {
        if !FUNCTIONS[function].swap(true, Ordering::Relaxed) {
            if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(path) {
                let _ = file.write_all(format!("{function}\\n").as_bytes());
            }
        }
    }
    let chosen = chosen();
    if (first..=last).contains(&chosen) { chosen } else { 0 }
}
"""
# A test that needs longer than this has hung; three times the duration without a mutant is added.
SECONDS = 10
# The quick tests are run first: as many as fit into this time.
QUICK_SECONDS = 1.0
# And tests that together take longer than this are not run for one mutant.
MOST_SECONDS = 300.0
MEMORY = 8 << 30
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|b?r(?P<hashes>#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?\'(?:\\(?:x..|u\{[^}]*\}|.)|[^\'\\])\'|[{}]', re.S
)


class Source:
    """A file, and where its lines begin."""

    def __init__(self, path):
        self.text = path.read_text(encoding="utf-8")
        self.starts = [0]
        for line in self.text.split("\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)

    def offset(self, place):
        return self.starts[place["line"] - 1] + place["column"] - 1

    def span(self, span):
        return self.offset(span["start"]), self.offset(span["end"])


def body_start(text):
    """The offset of the brace that begins the body of a function, whose text ends with the closing one."""
    open_braces, pairs = [], {}
    for match in TOKEN.finditer(text):
        if match.group() == "{":
            open_braces.append(match.start())
        elif match.group() == "}":
            pairs[match.start()] = open_braces.pop()
    return pairs[len(text) - 1]


def cannot_be_combined(signature):
    signature = re.sub(r"//[^\n]*|#\[[^\]]*\]", "", signature)
    return re.search(r"\bconst\s+(unsafe\s+)?fn\b", signature) or re.search(r"->\s*\(?\s*impl\b", signature) or "fn " not in signature


class Mutant:
    def __init__(self, number, data):
        self.number = number
        self.name, self.file, self.data = data["name"], data["file"], data
        self.function = None


class Function:
    """A function that is not within another one, and its mutants."""

    def __init__(self, file, start, end):
        self.file, self.start, self.end = file, start, end
        self.mutants = []
        self.is_left_out = False


def collect(mutants, sources):
    """The outermost functions that have mutants, the mutants that cannot be combined, and those of functions that this build does not have."""
    spans, alone, absent = collections.defaultdict(set), [], []
    for mutant in mutants:
        if mutant.data["function"]:
            spans[mutant.file].add(sources[mutant.file].span(mutant.data["function"]["span"]))
    functions = {}
    for file, found in spans.items():
        outer = [one for one in found if not any(other[0] <= one[0] and one[1] <= other[1] and other != one for other in found)]
        functions[file] = [Function(file, *span) for span in sorted(outer)]
    for mutant in mutants:
        if not mutant.data["function"]:
            alone.append(mutant)
            continue
        start, _ = sources[mutant.file].span(mutant.data["span"])
        function = next(one for one in functions[mutant.file] if one.start <= start < one.end)
        text = sources[mutant.file].text
        begin = function.start + body_start(text[function.start : function.end])
        if "#[cfg(not(" in text[function.start : begin]:
            absent.append(mutant)
        elif cannot_be_combined(text[function.start : begin]) or start < begin:
            alone.append(mutant)
        else:
            mutant.function = function
            function.mutants.append(mutant)
    return [one for some in functions.values() for one in some if one.mutants], alone, absent


def write_sources(root, functions, sources):
    """Writes the changed files. Returns for each file the ranges of lines that belong to a mutant or, with None, to a function."""
    ranges = collections.defaultdict(list)
    by_file = collections.defaultdict(list)
    for number, function in enumerate(functions):
        function.number = number
        by_file[function.file].append(function)
    for file, source in sources.items():
        output, position, text = [], 0, source.text
        line = 1

        def put(piece):
            nonlocal line
            output.append(piece)
            line += piece.count("\n")

        for function in sorted(by_file[file], key=lambda one: one.start):
            if function.is_left_out or not function.mutants:
                continue
            begin = function.start + body_start(text[function.start : function.end])
            put(text[position:begin])
            numbers = [mutant.number for mutant in function.mutants]
            first_line = line
            put(f"{{ match crate::mutant::at({function.number}, {min(numbers)}, {max(numbers)}) {{\n0 => {text[begin:function.end]}\n")
            ranges[file].append((first_line, line, function, None))
            for mutant in function.mutants:
                start, end = source.span(mutant.data["span"])
                first_line = line
                put(f"{mutant.number} => {text[begin:start]}{mutant.data['replacement']} {text[end:function.end]}\n")
                ranges[file].append((first_line, line - 1, function, mutant))
            put("_ => unreachable!() } }")
            position = function.end
        put(text[position:])
        (root / file).write_text("".join(output), encoding="utf-8")
    (root / "src/mutant.rs").write_text(MODULE % (len(functions), len(functions)), encoding="utf-8")
    # Errors of lints are of no interest.
    allowed = "#![allow(warnings, unsafe_code, missing_docs, clippy::all)]\n"
    (root / "src/lib.rs").write_text(allowed + re.sub(r"#!\[deny\(.*?\)\]", "", sources["src/lib.rs"].text, flags=re.S) + "pub mod mutant;\n", encoding="utf-8")
    return ranges


def build(root, tests):
    """Builds the tests. Returns the programs by test, and the errors as sets of (file, line)."""
    targets = [argument for test in tests for argument in (["--lib"] if test == "lib" else ["--test", test])]
    command = ["cargo", "test", "--quiet", "--no-run", "--package", "authgrant", "--message-format", "json", *targets]
    output = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    programs, errors = {}, []
    for line in output.stdout.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            programs["lib" if "lib" in message["target"]["kind"] or "cdylib" in message["target"]["kind"] else message["target"]["name"]] = message["executable"]
        elif message.get("reason") == "compiler-message" and message["message"]["level"] == "error":
            errors.append([(span["file_name"], span["line_start"], span["is_primary"]) for span in all_spans(message["message"])])
    if output.returncode and not any(errors):
        sys.exit(f"combined.py: the build failed\n{output.stderr[-4000:]}")
    return programs, [error for error in errors if error]


def all_spans(message):
    for span in message["spans"]:
        # The place in our sources where a macro is used.
        while span.get("expansion"):
            span = {**span["expansion"]["span"], "is_primary": span["is_primary"]}
        yield span


def remove_faulty(errors, ranges, unviable):
    """Removes the mutants to which the errors point. Returns whether there were any."""
    removed = False
    for error in errors:
        for file, line, _ in sorted(error, key=lambda span: not span[2]):
            hit = next((one for one in ranges.get(file, []) if one[0] <= line <= one[1]), None)
            if hit is None:
                continue
            _, _, function, mutant = hit
            if mutant is None:
                function.is_left_out = True
                removed = True
            elif mutant in function.mutants:
                function.mutants.remove(mutant)
                unviable.append(mutant)
                removed = True
            else:
                removed = True
            break
        else:
            print(f"combined.py: an error outside of a mutant: {error[:2]}", file=sys.stderr)
    return removed


def limit_process():
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_tests(program, names, environment, timeout, root):
    """Runs tests in one process until one fails. Returns `passed`, `failed` or `timeout`."""
    command = [program, "-Z", "unstable-options", "--fail-fast", "--exact", *names]
    # The option --fail-fast is not stable yet.
    variables = {**os.environ, "RUSTC_BOOTSTRAP": "1", "AUTHGRANT_KEY_FIXTURES": str(root.parent / "keys"), "SCHEDULES": "200", "CARGO_MANIFEST_DIR": str(root), **environment}
    process = subprocess.Popen(
        command, cwd=root, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit_process
    )
    try:
        return "passed" if process.wait(timeout) == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def trace(program, root, jobs):
    """For each test of a program: its duration without a mutant, and the functions that it executes. Failing tests are left out."""
    listed = subprocess.run([program, "--list", "--format", "terse"], cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    names = [line[: -len(": test")] for line in listed.splitlines() if line.endswith(": test")]

    def run(name):
        with tempfile.NamedTemporaryFile("r") as file:
            begin = time.monotonic()
            result = run_tests(program, [name], {"AUTHGRANT_MUTANT_TRACE": file.name}, 300, root)
            return name, result, time.monotonic() - begin, {int(line) for line in file.read().split()}

    tests = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, result, duration, functions in pool.map(run, names):
            if result == "passed":
                tests[name] = (duration, functions)
            else:
                print(f"combined.py: left out, because it fails alone without a mutant: {name}", file=sys.stderr)
            if len(tests) % 200 == 0:
                print(f"{len(tests)} tests traced", file=sys.stderr, flush=True)
    return tests


def covering(tests, function):
    """The tests that execute the function, as (duration, name): first those of its module, each group by duration, while there is time."""
    module = "::".join(pathlib.PurePosixPath(function.file).parts[1:2]) + "::"
    found = [(not name.startswith(module), duration, name) for name, (duration, functions) in tests.items() if function.number in functions]
    chosen, total = [], 0.0
    for _, duration, name in sorted(found):
        total += duration
        if chosen and total > MOST_SECONDS:
            break
        chosen.append((duration, name))
    return chosen


def try_mutant(mutant, program, tests, root):
    """`caught` or `missed`."""
    quick, slow, total = [], [], 0.0
    for duration, name in covering(tests, mutant.function):
        total += duration
        (quick if total <= QUICK_SECONDS else slow).append((duration, name))
    for batch in (quick, slow):
        if batch:
            timeout = SECONDS + 3 * sum(duration for duration, _ in batch)
            result = run_tests(program, [name for _, name in batch], {"AUTHGRANT_MUTANT": str(mutant.number)}, timeout, root)
            if result != "passed":
                return "caught"
    return "missed"


def main():
    list_file, root, results = map(pathlib.Path, sys.argv[1:4])
    root, results, tests = root.resolve(), results.resolve(), sys.argv[4:]
    results.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root.parent / "keys", ignore_errors=True)
    (root.parent / "keys").mkdir()
    jobs = os.cpu_count() or 1
    mutants = [Mutant(number, data) for number, data in enumerate(json.loads(list_file.read_text(encoding="utf-8")), 1)]
    sources = {file: Source(root / file) for file in {mutant.file for mutant in mutants} | {"src/lib.rs"}}
    functions, alone, unviable = collect(mutants, sources)
    rounds = 0
    while True:
        ranges = write_sources(root, functions, sources)
        programs, errors = build(root, tests[:1])
        rounds += 1
        print(f"build {rounds}: {len(errors)} errors, {len(unviable)} mutants do not compile", file=sys.stderr, flush=True)
        if not errors:
            break
        if not remove_faulty(errors, ranges, unviable):
            sys.exit("combined.py: errors that belong to no mutant")
    for function in functions:
        if function.is_left_out:
            alone += function.mutants
            function.mutants = []
    remaining = [mutant for function in functions for mutant in function.mutants]
    caught = []
    for test in tests:
        if not remaining:
            break
        if test not in programs:
            programs, _ = build(root, tests)
        begin = time.monotonic()
        traced = trace(programs[test], root, jobs)
        print(f"{test}: {len(traced)} tests traced in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        missed = []
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for mutant, result in zip(remaining, pool.map(lambda one: try_mutant(one, programs[test], traced, root), remaining)):
                (caught if result == "caught" else missed).append(mutant)
                with open(results / f"log-{test}.txt", "a", encoding="utf-8") as log:
                    log.write(f"{result} {mutant.name}\n")
                if (len(caught) + len(missed)) % 100 == 0:
                    print(f"{test}: {len(missed)} of {len(caught) + len(missed)} survive so far", file=sys.stderr, flush=True)
        print(f"{test}: {len(missed)} of {len(remaining)} survive, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        remaining = missed
    for name, some in (("caught", caught), ("missed", remaining), ("unviable", unviable), ("alone", alone)):
        (results / f"{name}.txt").write_text("".join(f"{mutant.name}\n" for mutant in some), encoding="utf-8")


if __name__ == "__main__":
    main()
