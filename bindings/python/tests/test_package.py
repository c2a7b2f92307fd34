"""The package: its library, types, documentation and the samples of the README."""

import ctypes
import importlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import pkgutil
import re
import shutil
import subprocess
import sys

import pytest

import authgrant
from authgrant import _library
from fixtures import ISSUER

README = pathlib.Path(__file__).parents[1] / "README.md"
MODULES = ["authgrant", "authgrant.requests", "authgrant.httpx", "authgrant.sqlserver"]


def test_package_is_installed_with_library():
    path = _library.find_library()
    assert path.parent.parent == pathlib.Path(authgrant.__file__).parent
    assert pathlib.Path(sys.prefix) in path.parents, "the tests must run with the installed wheel"
    assert (path.parents[1] / "py.typed").exists()


def test_package_has_licences_and_bill_of_materials():
    files = {path.name: path.locate() for path in importlib.metadata.files("authgrant")}
    components = json.loads(pathlib.Path(files["authgrant.cdx.json"]).read_text())["components"]
    assert "aws-lc-sys" in {component["name"] for component in components}
    assert "aws-lc-sys" in pathlib.Path(files["THIRD-PARTY-NOTICES"]).read_text()
    assert "Apache License" in pathlib.Path(files["LICENSE"]).read_text()


def test_library_has_its_own_soname(tmp_path):
    """A library of the system with the usual SONAME is another library in the same process."""
    path = _library.find_library()
    dynamic = subprocess.run(["readelf", "-d", str(path)], check=True, capture_output=True, text=True).stdout
    assert re.findall(r"Library soname: \[(.*)\]", dynamic) == [path.name]
    system = tmp_path / "libauthgrant.so.0"
    shutil.copy(path, system)
    other = ctypes.CDLL(str(system))
    first, second = (ctypes.cast(library.authgrant_version, ctypes.c_void_p).value for library in (_library.library.loaded, other))
    assert first != second
    with pytest.raises(AttributeError):
        ctypes.CDLL(None).authgrant_version  # not visible to other libraries


def test_import_takes_no_optional_package():
    code = "import sys, authgrant, authgrant.sqlserver; print([n for n in ('requests', 'httpx', 'anyio') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def public_objects():
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield module_name, module
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{module_name}.{name}", value
            if inspect.isclass(value) and value.__module__.startswith("authgrant"):
                yield from (
                    (f"{module_name}.{name}.{member}", attribute) for member, attribute in vars(value).items()
                    if not member.startswith("_") and (inspect.isfunction(attribute) or isinstance(attribute, property))
                )


def test_everything_public_is_documented():
    # The methods of httpx.Auth have their documentation there.
    objects = {name: value for name, value in public_objects() if not name.endswith("_auth_flow")}
    assert len(objects) > 60
    assert [name for name, value in objects.items() if not inspect.getdoc(value)] == []


def test_modules_are_those_of_this_page():
    public = {f"authgrant.{module.name}" for module in pkgutil.iter_modules(authgrant.__path__) if not module.name.startswith("_")}
    assert public == set(MODULES) - {"authgrant"}


def test_types_are_complete():
    pytest.importorskip("mypy", reason="one version of Python checks the types for all")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "-p", "authgrant"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_samples_of_readme_run(server, signing_store, tmp_path, monkeypatch, capsys):
    """Runs the blocks of the README in order, with the hosts and the key store of the tests."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    code = "\n".join(blocks).replace("https://account-d.docusign.com", server.url).replace("https://demo.docusign.net", server.url)
    assert "https://" not in code and ISSUER in code
    shutil.copy(signing_store[0], tmp_path / "jwtcert.p12")
    monkeypatch.chdir(tmp_path)
    for variable in ("http_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Bearer signature impersonation 20")
    assert lines[1:4] == ["200", "200", "KeyStoreError 28000 JWTCertStore False"]
    assert "missing.p12" in lines[4]


def test_login_sample_of_readme_compiles():
    blocks = re.findall(r"^```python no-run\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "connection.authorize(" in block]
    for method in re.findall(r"connection\.(\w+)\(", block):
        assert callable(getattr(authgrant.Connection, method))
