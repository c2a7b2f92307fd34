"""The examples of libcurl: all headers of a connection, and the token by CURLOPT_XOAUTH2_BEARER."""

import http.server
import json
import os
import pathlib
import ssl
import threading

import pytest

from conftest import ROOT, STRICT
from fixtures import run_tool


class Redirector(http.server.BaseHTTPRequestHandler):
    """Redirects every request to `server.target`; records the requests."""

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        self.send_response(302 if self.server.target else 200)
        if self.server.target:
            self.send_header("Location", self.server.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts servers that record requests and redirect to a URL, or answer 200 without one."""
    servers = []

    def start(target=None, tls=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirector)
        server.target, server.requests = target, []
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()



def test_rest_client_sends_headers_of_connection(programs, https_mock):
    called = https_mock.run(programs / "rest_client", f"{https_mock.url}/api/whoami")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["sub"] == "jsmith@example.com"


def test_rest_client_runs_with_gnutls(https_mock, tmp_path):
    library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
    run_tool("make", "-C", ROOT / "examples-c", f"LIB={library}", f"OUT={tmp_path}", "curl_LIBS=-l:libcurl-gnutls.so.4",
        f"CFLAGS={STRICT}", tmp_path / "rest_client")
    called = https_mock.run(tmp_path / "rest_client", f"{https_mock.url}/api/whoami")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["sub"] == "jsmith@example.com"


def test_rest_client_rejected_token_is_replaced_once(programs, https_mock):
    https_mock.control("behavior", [{"token_answer": '{"access_token":"unknown","token_type":"Bearer","expires_in":3600}'}])
    called = https_mock.run(programs / "rest_client", f"{https_mock.url}/api/whoami")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["sub"] == "jsmith@example.com"
    assert len(https_mock.control("requests")) == 2


def test_rest_client_second_rejection_is_reported(programs, https_mock):
    answer = {"token_answer": '{"access_token":"unknown","token_type":"Bearer","expires_in":3600}'}
    https_mock.control("behavior", {"always": answer})
    called = https_mock.run(programs / "rest_client", f"{https_mock.url}/api/whoami")
    assert called.returncode == 1
    assert called.stderr == "HTTP 401\n"
    assert len(https_mock.control("requests")) == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A TLS context for 127.0.0.1 and the file of its certificate."""
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "server.key", directory / "server.pem"
    run_tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=api", "-days", "30",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def test_rest_client_redirect_is_not_followed(programs, mock, serve, certificate, monkeypatch):
    context, file = certificate
    other = serve(tls=context)
    first = serve(other.url, tls=context)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(file))
    called = mock.run(programs / "rest_client", f"{first.url}/data")
    assert called.returncode == 1
    assert called.stderr == f"HTTP 302, redirect not followed: {other.url}/\n"
    [headers] = first.requests
    assert mock.subject_of(headers["Authorization"].removeprefix("Bearer ")) == "jsmith@example.com"
    assert headers["X-Api-Key"] == "key-of-the-application"
    assert other.requests == []


def test_rest_client_sends_no_token_by_plain_http(programs, https_mock, serve):
    server = serve()
    called = https_mock.run(programs / "rest_client", f"{server.url}/")
    assert called.returncode == 1
    assert server.requests == []


def test_rest_client_prints_sqlstate_and_consent_url(programs, https_mock):
    https_mock.control("require-consent", {"sub": "jsmith@example.com"})
    called = https_mock.run(programs / "rest_client", f"{https_mock.url}/api/whoami")
    assert called.returncode == 1
    assert called.stderr.startswith("SQLSTATE 28000: [authgrant]"), called.stderr
    assert f"\nconsent: open {https_mock.url}/oauth/auth?" in called.stderr


def test_curl_bearer_sends_token(programs, mock):
    called = mock.run(programs / "curl_bearer", f"{mock.url}/api/whoami")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["sub"] == "jsmith@example.com"


def test_curl_bearer_sends_no_token_to_other_host(programs, mock, serve):
    other = serve()
    first = serve(other.url.replace("127.0.0.1", "localhost"))
    called = mock.run(programs / "curl_bearer", first.url)
    assert called.returncode == 0, called.stderr
    assert first.requests[0]["Authorization"].startswith("Bearer ")
    assert len(other.requests) == 1 and "Authorization" not in other.requests[0]
