"""Fixtures: the mock authorization server (AUTHGRANT_MOCK_SERVER is its program), and an API that requires a token."""

import contextlib
import http.server
import json
import os
import threading
import urllib.request

import pytest

import authgrant
from fixtures import ISSUER, make_openssl_pkcs12, run_server


class MockServer:
    """The control API of tests/mock_server."""

    def __init__(self, url, store):
        self.url = url
        #: JWT bearer.
        self.connection_string = (
            f"AuthenticationMethod=55;ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;Scope=signature impersonation;"
            f"JWTCertStore={store};JWTCertPassword=secret;TokenURI=POST {url}/oauth/token;"
        )
        #: Client credentials, with a cache of its own for each connection.
        self.client_string = (
            f"AuthenticationMethod=53;ClientID=app;ClientSecret=s3cret;CacheScope=Connection;TokenURI=POST {url}/oauth/token;"
        )

    def get(self, path):
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=30) as response:
            return json.load(response)

    def post(self, path, body=None):
        request = urllib.request.Request(f"{self.url}/control/{path}", data=json.dumps(body or {}).encode(), method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def behave(self, behavior):
        """The response to the next token requests."""
        self.post("behavior", behavior)

    def wait_for_requests(self, count):
        """Waits until that many token requests have arrived."""
        for _ in range(3000):
            if len(self.get("requests")) >= count:
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"expected {count} token requests, but there are {self.get('requests')}")


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def signing_store(directory):
    """The path of a PKCS#12 file with a signing key, and that of its certificate."""
    return make_openssl_pkcs12(directory, "jwtcert")


def run_mock_server(signing_store):
    store, certificate = signing_store
    program = os.environ["AUTHGRANT_MOCK_SERVER"]
    return run_server(program, "--http", "--register", f"{ISSUER}={certificate}", "--client", "app:s3cret")


@pytest.fixture(scope="session")
def running_server(signing_store):
    with run_mock_server(signing_store) as url:
        yield MockServer(url, signing_store[0])


@pytest.fixture
def server(running_server):
    """The mock server without recorded requests, and the library without cached tokens."""
    running_server.post("reset")
    authgrant.clear_caches()
    return running_server


@pytest.fixture
def own_server(signing_store):
    """A mock server for one test, because the library remembers the errors of an endpoint."""
    with run_mock_server(signing_store) as url:
        yield MockServer(url, signing_store[0])


class Api(http.server.ThreadingHTTPServer):
    """An API: `/api` requires a token that is not in `revoked`, `/redirect?URL` redirects. Records the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.revoked = set()
        self.revoke_all = False
        self.requests = []

    def revoke(self, token):
        self.revoked.add(f"Bearer {token.value}")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds for a body that is shorter than announced

    def do_GET(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        authorization = self.headers.get("Authorization")
        self.server.requests.append((self.path, dict(self.headers), body))
        path, _, target = self.path.partition("?")
        if path == "/redirect":
            self.send_response(302)
            self.send_header("Location", target)
        elif authorization is None or self.server.revoke_all or authorization in self.server.revoked:
            self.send_response(401)
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def run_api():
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()


@pytest.fixture
def api():
    with run_api() as api:
        yield api


@pytest.fixture
def other_api():
    with run_api() as api:
        yield api
