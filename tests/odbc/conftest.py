"""Fixtures of the tests of examples-c/odbc: the driver for both driver managers, their configuration, and a REST API.

The package authgrant is importable. AUTHGRANT_LIBRARY is the path of the library, AUTHGRANT_MOCK_SERVER that of the program of
tests/mock_server, AUTHGRANT_IODBC the directory with the headers of iODBC and its program iodbctestw.
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
IODBC = pathlib.Path(os.environ["AUTHGRANT_IODBC"])
STRICT = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
DATADIRECT_DRIVER = "DataDirect 8.0 Autonomous REST Connector"
MANAGERS = ("unixodbc", "iodbc")

sys.path[:0] = [str(ROOT / "bindings" / "python" / folder) for folder in ("tests", "examples")]

from fixtures import ISSUER, make_openssl_pkcs12, run_server, run_tool  # noqa: E402
from rest_server import RestServer  # noqa: E402

IODBC_FLAGS = f"-isystem {IODBC}/usr/include/iodbc"


class AuthorizationServer:
    def __init__(self, url, store):
        self.url = url
        self.store = store

    def control(self, action, body=None):
        """Sends a control request to the mock server: POST with a body, otherwise GET."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/control/{action}", data, timeout=10) as response:
            return json.load(response)

    def issued(self):
        return self.control("counts")["issued"]


class Driver:
    """The driver for a manager, and the environment in which the programs of that manager find it."""

    def __init__(self, manager, path, configuration):
        self.manager = manager
        self.path = path
        self.configuration = configuration
        if manager == "unixodbc":
            self.variables = {"ODBCSYSINI": str(configuration), "ODBCINI": str(configuration / "odbc.ini")}
        else:
            self.variables = {"ODBCINI": str(configuration / "odbc.ini"), "ODBCINSTINI": str(configuration / "odbcinst.ini")}

    def run(self, *command, **options):
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **self.variables, **options.pop("env", {})}
        words = [str(word) for word in command]
        # Programs cut text between the bytes of a character.
        return subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=300, env=environment, check=False, **options)


@pytest.fixture(scope="session")
def authorization_server(tmp_path_factory):
    store, certificate = make_openssl_pkcs12(tmp_path_factory.mktemp("stores"), "jwtcert")
    with run_server(os.environ["AUTHGRANT_MOCK_SERVER"], "--http", "--register", f"{ISSUER}={certificate}") as url:
        yield AuthorizationServer(url, store)


@pytest.fixture(scope="session")
def rest_server(authorization_server):
    server = RestServer(authorization_server.url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rest(rest_server, authorization_server):
    """The REST API, with nothing recorded and no request at its gate; the authorization server behaves normally again."""
    rest_server.reset()
    authorization_server.control("behavior", {"always": None})
    authorization_server.control("behavior", [])
    yield rest_server
    rest_server.gate.set()


@pytest.fixture(scope="session")
def options(authorization_server, rest_server):
    """A dictionary of options for a connection."""
    url = authorization_server.url
    return {
        "AuthenticationMethod": "55",
        "ClaimsIssuer": ISSUER,
        "ClaimsSubject": "jsmith@example.com",
        "JWTCertStore": str(authorization_server.store),
        "JWTCertPassword": "secret",
        "TokenURI": f"POST {url}/oauth/token",
        "Scope": "signature impersonation",
        "RestURL": rest_server.url,
        "Tables": "countries, numbers",
    }


def make_string(options, **changes):
    """A connection string; a change to None removes an option."""
    return "".join(f"{name}={value};" for name, value in {**options, **changes}.items() if value is not None)


@pytest.fixture(scope="session")
def drivers(tmp_path_factory, options):
    """The drivers by manager, with a DSN `rest` in odbc.ini, and the driver under the name of DataDirect's in odbcinst.ini."""
    out = tmp_path_factory.mktemp("drivers")
    library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
    run_tool("make", "--no-print-directory", "-C", ROOT / "examples-c" / "odbc",
        f"LIB={library}", f"OUT={out}", f"CFLAGS=-g {STRICT}", f"IODBC_CFLAGS={IODBC_FLAGS}")
    built = {}
    for manager in MANAGERS:
        configuration = tmp_path_factory.mktemp(manager)
        path = out / f"libauthgrant_rest_{manager}.so"
        lines = "".join(f"{name}={value}\n" for name, value in options.items())
        (configuration / "odbcinst.ini").write_text(f"[{DATADIRECT_DRIVER}]\nDriver={path}\n")
        (configuration / "odbc.ini").write_text(f"[rest]\nDriver={path}\n{lines}")
        built[manager] = Driver(manager, path, configuration)
    return built


@pytest.fixture(params=MANAGERS)
def driver(request, drivers):
    return drivers[request.param]


def compile_calls(out, *options):
    """Compiles direct.c for each SQLWCHAR."""
    source = pathlib.Path(__file__).parent / "direct.c"
    for manager, flags, library in (("unixodbc", "", "-lodbc"), ("iodbc", IODBC_FLAGS, "-l:libiodbc.so.2")):
        run_tool("cc", "-std=c99", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", *flags.split(), *options, source, "-o", out / manager,
            "-ldl", "-pthread", *([library] if options else []))
    return out


@pytest.fixture(scope="session")
def direct(tmp_path_factory):
    """Programs that load the driver without a manager, by manager whose headers they are compiled with."""
    return compile_calls(tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="session")
def managed(tmp_path_factory):
    """The same programs, linked with the manager."""
    return compile_calls(tmp_path_factory.mktemp("managed"), "-DMANAGER")


@pytest.fixture(scope="session")
def pyodbc(drivers):
    """The module, without the pooling of the driver manager."""
    os.environ.update(drivers["unixodbc"].variables)
    import pyodbc as module

    module.pooling = False
    return module


@pytest.fixture
def connect(pyodbc, drivers, options, rest):
    """Connects with changed options: connect(PageSize=4)."""
    opened = []

    def open_connection(*, timeout=0, attrs_before=None, **changes):
        string = f"DRIVER={drivers['unixodbc'].path};" + make_string(options, **changes)
        opened.append(pyodbc.connect(string, timeout=timeout, attrs_before=attrs_before or {}, autocommit=True))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()
