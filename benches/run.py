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
from scene import Scene

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "bench"
LIBRARY = ROOT / "build" / "lib" / "libauthgrant.so.0"


def commands():
    python = str(ROOT / "target" / "bench-venv" / "bin" / "python")
    peers = str(ROOT / "benches" / "python" / "peers.py")
    return {
        "authgrant": [str(BUILT / "ours")],
        "floor": [str(BUILT / "floor")],
        "Go": [str(BUILT / "go")],
        "Rust": [str(BUILT / "rust")],
        "google-auth": [python, "-W", "ignore", peers, "google"],
        "Authlib": [python, "-W", "ignore", peers, "authlib"],
        "host": [str(BUILT / "host")],
    }


def all_rows(scene):
    programs_of = commands()
    programs = {name: Program(*command) for name, command in programs_of.items() if name != "host"}
    yield from figures.reading(programs)
    yield from figures.signing(programs)
    yield from figures.fetching(programs, scene)
    yield from figures.first_tokens(programs_of, scene)
    yield from figures.herding(programs_of, lambda command: Program(*command), scene)
    yield from figures.crowding(programs_of, lambda command: Program(*command))
    yield from figures.impersonating(programs, scene)
    yield from figures.library(programs_of, str(LIBRARY), LIBRARY)
    yield from figures.counting(programs_of)
    for program in programs.values():
        program.stop()


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def locked(manifest, *names):
    """Versions that a Cargo.lock gives."""
    lines = (ROOT / manifest).read_text(encoding="utf-8").splitlines()
    found = {lines[i].split('"')[1]: lines[i + 1].split('"')[1] for i in range(len(lines) - 1) if lines[i].startswith("name = ")}
    return [f"{name} {found[name]}" for name in names]


def required(manifest, *names):
    """Versions that a requirements.txt or go.mod gives."""
    text = (ROOT / manifest).read_text(encoding="utf-8").replace("==", " ").split("\n")
    return [line.strip() for line in text if line.split() and line.split()[0] in names]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{figures.CORES} × {model}, Linux {platform.release()}"


def versions():
    return [
        f"authgrant {said('git', 'describe', '--always', '--dirty')}", said("rustc", "--version"), said("cc", "--version"),
        said("openssl", "version"), said("curl-config", "--version"), said("nginx", "-v"), said("go", "version"),
        f"Python {platform.python_version()}",
        *locked("Cargo.lock", "aws-lc-rs", "rustls"), *locked("benches/rust/Cargo.lock", "jsonwebtoken", "ureq", "yup-oauth2"),
        *required("benches/go/go.mod", "golang.org/x/oauth2", "software.sslmate.com/src/go-pkcs12"),
        *required("benches/python/requirements.txt", "google-auth", "Authlib", "cryptography", "requests"),
    ]


def load():
    return pathlib.Path("/proc/loadavg").read_text(encoding="ascii").split()[0]


def write(rows, took, loads):
    notes = (ROOT / "benches" / "notes.md").read_text(encoding="utf-8")
    page = f"""# Performance

Written by `make bench`, which measures all of this anew in {took:.0f} s; only what stands under *Notes* is written by hand, in
`benches/notes.md`.

{datetime.date.today().isoformat()}, {machine()}; load of the machine {loads[0]} before and {loads[1]} after.
{"; ".join(versions())}.

![How many times the floor each takes](performance.svg)

{report.markdown(rows)}

{notes}"""
    (ROOT / "docs" / "performance.md").write_text(page, encoding="utf-8")
    (ROOT / "docs" / "performance.svg").write_text(chart.picture(chart.groups_of(rows)), encoding="utf-8")


def main():
    started, before, rows = time.monotonic(), load(), []
    with tempfile.TemporaryDirectory(prefix="authgrant-bench.") as directory:
        scene = Scene(directory)
        try:
            for row in all_rows(scene):
                rows.append(row)
                print(report.plain(row), flush=True)
        finally:
            scene.stop()
    took = time.monotonic() - started
    if "--keep" not in sys.argv:
        write(rows, took, (before, load()))
    missed = sum(row.met is False for row in rows)
    print(f"{len(rows)} figures in {took:.0f} s, {missed} targets missed")


if __name__ == "__main__":
    main()
