"""Profiles a cached read, an assertion, a fetch and a first token with callgrind. Started by `scripts/bench.sh profile`."""

import re
import subprocess
import tempfile

from run import BUILD_DIR
from fixture import Fixture

MAX_FUNCTIONS_SHOWN = 28


def profile_functions(fixture, name, commands=(), arguments=()):
    """Runs the program `ours` under callgrind; returns the instructions of each function, without callees."""
    out = fixture.file(f"{name}.callgrind")
    command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", str(BUILD_DIR / "ours"), *arguments]
    subprocess.run(command, input="".join(f"{line}\n" for line in commands), stdout=subprocess.DEVNULL, text=True, check=True)
    listing = subprocess.run(["callgrind_annotate", "--threshold=100", out], capture_output=True, text=True,
                             check=True).stdout
    counts = {}
    for line in listing.splitlines():
        found = re.match(r"\s*([\d,]+) \([^)]*\)\s+(.*)", line)
        if found:
            function = re.sub(r"^[^:]*:|\s*\[.*\]$|'\d+", "", found[2])
            counts[function] = counts.get(function, 0) + int(found[1].replace(",", ""))
    counts.pop("PROGRAM TOTALS", None)
    return counts


def print_profile(title, counts, count=1):
    total = sum(counts.values())
    print(f"\n== {title}: {total / count:,.0f} instructions")
    for function, used in sorted(counts.items(), key=lambda item: -item[1])[:MAX_FUNCTIONS_SHOWN]:
        print(f"{used / count:14,.0f} {100 * used / total:5.1f} %  {function[:140]}")


def print_difference(fixture, title, command, few, many):
    less = profile_functions(fixture, "less", [f"{command} {few}"])
    more = profile_functions(fixture, "more", [f"{command} {many}"])
    print_profile(title, {name: used - less.get(name, 0) for name, used in more.items()}, many - few)


def main():
    with tempfile.TemporaryDirectory(prefix="authgrant-bench.") as directory:
        fixture = Fixture(directory)
        try:
            print_difference(fixture, "a cached read", "steps", 500, 1500)
            print_difference(fixture, "an ES256 assertion", "sign ES256", 20, 120)
            print_difference(fixture, "a fetch on a reused connection", "fetch", 5, 20)
            print_profile("a first token from a PKCS#12", profile_functions(fixture, "first", arguments=("first", fixture.file("store.p12"))))
        finally:
            fixture.stop()


if __name__ == "__main__":
    main()
