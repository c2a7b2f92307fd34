#!/usr/bin/env python3
"""third_party.py TARGET DIRECTORY: describes the crates that are linked into the library for TARGET.

Writes DIRECTORY/THIRD-PARTY-NOTICES, the licences of these crates and of Rust's standard library, and DIRECTORY/authgrant.cdx.json, the
same components as a CycloneDX 1.5 software bill of materials.

The crates are those of `cargo tree`. Tools that read `cargo metadata` also list crates of development dependencies, such as ring, and
optional ones. Notices are the licence files of the crates' sources; equal texts are written once. A crate without such a file must permit
Apache-2.0, whose text is always written. Works offline once the crates are downloaded. The output depends on Cargo.lock, the toolchain and
SOURCE_DATE_EPOCH alone. AUTHGRANT_FEATURES names cargo features beside the default ones.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

FEATURES = ("--features", os.environ.get("AUTHGRANT_FEATURES", ""))
ROOT = Path(__file__).resolve().parent.parent
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-_.].*)?", re.IGNORECASE)
# Python has no reader of TOML before 3.11.
LOCKED = re.compile(r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"')
# Sources, and licences of what is not compiled: tests and tools of the C library.
NOT_TEXT = {".c", ".cc", ".go", ".h", ".pl", ".py", ".rs", ".rst", ".toml", ".yml"}
NOT_LINKED = {"tests", "test", "util", "fuzz", "vectors"}


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


class Crate:
    def __init__(self, package, checksum):
        self.name = package["name"]
        self.version = package["version"]
        self.licence = package["license"].replace("/", " OR ")
        self.description = package["description"] or ""
        self.folder = Path(package["manifest_path"]).parent
        self.checksum = checksum
        self.id = package["id"]
        self.purl = f"pkg:cargo/{self.name}@{self.version}"

    def __str__(self):
        return f"{self.name} {self.version}"

    def licence_files(self):
        for path in sorted(self.folder.rglob("*")):
            parts = set(path.relative_to(self.folder).parts)
            if path.is_file() and LICENCE_FILE.fullmatch(path.name) and path.suffix not in NOT_TEXT and not NOT_LINKED & parts:
                yield path


def linked_crates(target, packages):
    """The crates in the library: without procedural macros, build scripts and development dependencies."""
    tree = run("cargo", "tree", "--locked", *FEATURES, "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "none", "--format", "{p}")
    names = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    keys = sorted((name, version[1:]) for name, version in names if name != "authgrant")
    checksums = dict(((name, version), checksum) for name, version, checksum in LOCKED.findall((ROOT / "Cargo.lock").read_text()))
    return [Crate(packages[key], checksums[key]) for key in keys]


def tidy(text):
    return "\n".join(line.rstrip() for line in text.expandtabs().splitlines()).strip("\n")


def notices(crates, rust):
    apache = tidy((ROOT / "LICENSE").read_text())
    listing = [f"Rust standard library {rust}: MIT OR Apache-2.0, copyright The Rust Project Developers"]
    listing += [f"{crate}: {crate.licence}" for crate in crates]
    texts = {" ".join(apache.split()): (apache, ["Apache License 2.0, of each component above that permits it"])}
    for crate in crates:
        files = list(crate.licence_files())
        if not files and "Apache-2.0" not in crate.licence:
            sys.exit(f"third_party.py: {crate} has no licence file, and {crate.licence} needs its text")
        for path in files:
            text = tidy(path.read_text(errors="replace"))
            texts.setdefault(" ".join(text.split()), (text, []))[1].append(f"{crate}: {path.relative_to(crate.folder)}")

    line = "=" * 100
    parts = ["libauthgrant contains the components below, whose authors require these notices.\n\n" + "\n".join(listing) + "\n"]
    parts += [f"\n{line}\n" + "\n".join(sources) + f"\n{line}\n\n{text}\n" for text, sources in texts.values()]
    return "".join(parts)


def component(crate):
    return {
        "type": "library",
        "bom-ref": crate.purl,
        "name": crate.name,
        "version": crate.version,
        "description": " ".join(crate.description.split()),
        "licenses": [{"expression": crate.licence}],
        "purl": crate.purl,
        "hashes": [{"alg": "SHA-256", "content": crate.checksum}],
    }


def bill_of_materials(crates, rust, root, nodes):
    purls = {crate.id: crate.purl for crate in crates}
    purls[root["id"]] = f"pkg:cargo/{root['name']}@{root['version']}"
    standard_library = f"pkg:generic/rust-std@{rust}"
    std = {
        "type": "library",
        "bom-ref": standard_library,
        "name": "rust-std",
        "version": rust,
        "description": "Rust standard library",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": standard_library,
    }
    dependencies = [
        {"ref": purls[node["id"]], "dependsOn": sorted({purls[each] for each in node["dependencies"] if each in purls} | {standard_library})}
        for node in nodes
        if node["id"] in purls
    ]
    metadata = {
        "component": {
            "type": "library",
            "bom-ref": purls[root["id"]],
            "name": root["name"],
            "version": root["version"],
            "description": root["description"],
            "licenses": [{"expression": root["license"]}],
            "purl": purls[root["id"]],
        }
    }
    if "SOURCE_DATE_EPOCH" in os.environ:
        time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
        metadata["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": [component(crate) for crate in crates] + [std],
        "dependencies": sorted(dependencies, key=lambda each: each["ref"]) + [{"ref": standard_library, "dependsOn": []}],
    }
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill))}"
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def main(target, directory):
    metadata = json.loads(run("cargo", "metadata", "--locked", *FEATURES, "--format-version", "1", "--filter-platform", target))
    root = next(package for package in metadata["packages"] if package["name"] == "authgrant")
    crates = linked_crates(target, {(package["name"], package["version"]): package for package in metadata["packages"]})
    rust = run("rustc", "--version").split()[1]
    Path(directory, "THIRD-PARTY-NOTICES").write_text(notices(crates, rust), encoding="utf-8")
    Path(directory, "authgrant.cdx.json").write_text(bill_of_materials(crates, rust, root, metadata["resolve"]["nodes"]), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
