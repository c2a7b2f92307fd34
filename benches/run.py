"""Runs all benchmarks, prints the table, and writes docs/performance.md with its picture. scripts/bench.sh starts it."""

import datetime
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import chart
import figures
import report
from programs import Program
from fixture import Fixture

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD_DIR = ROOT / "build" / "bench"
LIBRARY = ROOT / "build" / "lib" / "libauthgrant.so.0"


def commands():
    python = str(ROOT / "target" / "bench-venv" / "bin" / "python")
    peers = str(ROOT / "benches" / "python" / "peers.py")
    return {
        "authgrant": [str(BUILD_DIR / "ours")],
        "floor": [str(BUILD_DIR / "floor")],
        "Go": [str(BUILD_DIR / "go")],
        "Rust": [str(BUILD_DIR / "rust")],
        "google-auth": [python, "-W", "ignore", peers, "google"],
        "Authlib": [python, "-W", "ignore", peers, "authlib"],
        "host": [str(BUILD_DIR / "host")],
    }


def measure_all(fixture):
    programs_of = commands()
    programs = {name: Program(*command) for name, command in programs_of.items() if name != "host"}
    yield from figures.measure_cached_read(programs)
    yield from figures.measure_signing(programs)
    yield from figures.measure_fetch(programs, fixture)
    yield from figures.measure_first_token(programs_of, fixture)
    yield from figures.measure_thundering_herd(programs_of, lambda command: Program(*command), fixture)
    yield from figures.measure_full_cache(programs_of, lambda command: Program(*command))
    yield from figures.measure_impersonation(programs, fixture)
    yield from figures.measure_library(programs_of, str(LIBRARY), LIBRARY)
    yield from figures.measure_instructions(programs_of)
    for program in programs.values():
        program.stop()


def command_output(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def locked_versions(manifest, *names):
    """Versions that a Cargo.lock gives."""
    lines = (ROOT / manifest).read_text(encoding="utf-8").splitlines()
    found = {lines[i].split('"')[1]: lines[i + 1].split('"')[1] for i in range(len(lines) - 1) if lines[i].startswith("name = ")}
    return [f"{name} {found[name]}" for name in names]


def required_versions(manifest, *names):
    """Versions that a requirements.txt or go.mod gives."""
    text = (ROOT / manifest).read_text(encoding="utf-8").replace("==", " ").split("\n")
    return [line.strip() for line in text if line.split() and line.split()[0] in names]


def describe_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{figures.CORES} × {model}, Linux {platform.release()}"


def tool_versions():
    return [
        f"authgrant {command_output('git', 'describe', '--always', '--dirty')}", command_output("rustc", "--version"), command_output("cc", "--version"),
        command_output("openssl", "version"), command_output("curl-config", "--version"), command_output("nginx", "-v"), command_output("go", "version"),
        f"Python {platform.python_version()}",
        *locked_versions("Cargo.lock", "aws-lc-rs", "rustls"), *locked_versions("benches/rust/Cargo.lock", "jsonwebtoken", "ureq", "yup-oauth2"),
        *required_versions("benches/go/go.mod", "golang.org/x/oauth2", "software.sslmate.com/src/go-pkcs12"),
        *required_versions("benches/python/requirements.txt", "google-auth", "Authlib", "cryptography", "requests"),
    ]


def load_average():
    return pathlib.Path("/proc/loadavg").read_text(encoding="ascii").split()[0]


def write_report(rows, took, loads):
    notes = (ROOT / "benches" / "notes.md").read_text(encoding="utf-8")
    page = f"""# Performance

Written by `make bench`, which measures all of this anew in {took:.0f} s; only what stands under *Notes* is written by hand, in
`benches/notes.md`.

{datetime.date.today().isoformat()}, {describe_machine()}; load of the machine {loads[0]} before and {loads[1]} after.
{"; ".join(tool_versions())}.

![How many times the floor each takes](performance.svg)

{report.format_markdown(rows)}

{notes}"""
    (ROOT / "docs" / "performance.md").write_text(page, encoding="utf-8")
    (ROOT / "docs" / "performance.svg").write_text(chart.render_svg(chart.chart_groups(rows)), encoding="utf-8")


def main():
    started, before, rows = time.monotonic(), load_average(), []
    with tempfile.TemporaryDirectory(prefix="authgrant-bench.") as directory:
        fixture = Fixture(directory)
        try:
            for row in measure_all(fixture):
                rows.append(row)
                print(report.format_row(row), flush=True)
        finally:
            fixture.stop()
    took = time.monotonic() - started
    if "--keep" not in sys.argv:
        write_report(rows, took, (before, load_average()))
    missed = sum(row.met is False for row in rows)
    print(f"{len(rows)} figures in {took:.0f} s, {missed} targets missed")


if __name__ == "__main__":
    main()
