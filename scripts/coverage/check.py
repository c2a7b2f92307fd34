#!/usr/bin/env python3
"""check.py LCOV UNREACHED: checks the coverage that cargo-llvm-cov measured, and writes the lines that no test executes to UNREACHED.

Fails if fewer than MINIMUM of the lines of src are executed, if a line of a module in complete.txt is neither executed nor listed in
unreached.txt, or if a listed line is executed or does not exist any more. Lines of tests, and lines of punctuation alone, are not counted.
"""

import collections
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIRECTORY = pathlib.Path(__file__).resolve().parent
MINIMUM = 0.95
# Modules of tests that have files of their own, and what is compiled for loom alone.
TEST_FILES = ("*/tests/*", "*/tests.rs", "*/testing.rs", "*/fixtures.rs")
TEST_MODULE = re.compile(r"(pub\(crate\) )?mod (tests|testing) {")


def read_counts(lcov):
    """The number of executions of each line, by file."""
    counts = collections.defaultdict(lambda: collections.defaultdict(int))
    file = None
    for line in lcov.read_text(encoding="utf-8").splitlines():
        if line.startswith("SF:"):
            path = pathlib.Path(line[3:])
            file = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else None
        elif line.startswith("DA:") and file:
            number, count = line[3:].split(",")[:2]
            counts[file][int(number)] = max(counts[file][int(number)], int(count))
    return {file: lines for file, lines in counts.items() if file.startswith("src/") and not is_test_file(file)}


def is_test_file(file):
    return any(fnmatch.fnmatch(file, pattern) for pattern in TEST_FILES)


def source_lines(file):
    """The lines of a source file before its module of tests."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    for number, (line, following) in enumerate(zip(lines, lines[1:])):
        if line.startswith("#[cfg(") and "test" in line and TEST_MODULE.match(following):
            return lines[:number]
    return lines


def read_list(name):
    lines = (DIRECTORY / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def read_unreached():
    """The listed lines, as `FILE: TEXT # reason`."""
    listed = collections.Counter()
    for line in read_list("unreached.txt"):
        entry, separator, reason = line.rpartition(" # ")
        if not separator or not reason.strip():
            sys.exit(f"unreached.txt: a line without a reason: {line}")
        listed[entry] += 1
    return listed


def module_of(file):
    parts = pathlib.PurePosixPath(file).parts
    return "/".join(parts[1:-1][:2]) or parts[-1]


def main():
    lcov, report = map(pathlib.Path, sys.argv[1:])
    complete = read_list("complete.txt")
    totals, unreached = collections.defaultdict(lambda: [0, 0]), []
    for file, counts in sorted(read_counts(lcov).items()):
        source = source_lines(file)
        for number, count in sorted(counts.items()):
            if number > len(source) or not any(character.isalnum() for character in source[number - 1]):
                continue
            total = totals[module_of(file)]
            total[0] += count > 0
            total[1] += 1
            if count == 0:
                unreached.append((file, number, source[number - 1].strip()))
    report.write_text("".join(f"{file}:{number}: {text}\n" for file, number, text in unreached), encoding="utf-8")

    for module, (executed, lines) in sorted(totals.items()):
        print(f"{module:32} {executed:6} of {lines:6}  {executed / lines:7.2%}")
    executed, lines = (sum(total[place] for total in totals.values()) for place in (0, 1))
    print(f"{'all':32} {executed:6} of {lines:6}  {executed / lines:7.2%}")
    failed = executed < MINIMUM * lines
    print(f"{'not ok' if failed else 'ok'} at least {MINIMUM:.0%} of the lines are executed")

    listed = read_unreached()
    found = collections.Counter(f"{file}: {text}" for file, _, text in unreached if any(fnmatch.fnmatch(file, name) for name in complete))
    for entry in (found - listed).elements():
        print(f"not ok is not executed: {entry}")
    for entry in (listed - found).elements():
        print(f"not ok is executed or gone, but is in unreached.txt: {entry}")
    if found == listed:
        print(f"ok all lines of the modules in complete.txt are executed, but for {sum(listed.values())} with a reason")
    sys.exit(failed or found != listed)


if __name__ == "__main__":
    main()
