"""Tests of libauthgrant against oidc-provider, a certified third-party OpenID provider (oidc/server.mjs).

AUTHGRANT_LIBRARY is the path of the library. Headless Chromium acts as the user who signs in and consents.
"""

import json
import pathlib
import time
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, make_keytool_store, make_openssl_pkcs12, run_server
from user import BrowserUser

SERVER = pathlib.Path(__file__).parent / "oidc" / "server.mjs"
SECRET = "s3cret +%&=:"
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"
STORES = {
    "PKCS#12": lambda directory, kind: make_openssl_pkcs12(directory, kind, kind=kind),
    "JKS": lambda directory, kind: make_keytool_store(directory, f"{kind}.jks", "JKS", kind=kind),
}
MAGIC_BYTES = {"PKCS#12": b"\x30", "JKS": b"\xfe\xed\xfe\xed"}
ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Maps (kind of store, kind of key) to (store, certificate)."""
    stores = {}
    for store, make in STORES.items():
        directory = tmp_path_factory.mktemp("stores")
        for key in ("RSA", "EC"):
            stores[store, key] = make(directory, key)
            assert stores[store, key][0].read_bytes().startswith(MAGIC_BYTES[store])
    return stores


def client_id(store, algorithm):
    return f"{store}-{algorithm}".replace("#", "")


@pytest.fixture(scope="module")
def url(stores):
    clients = []
    for store in STORES:
        for algorithm, key in ALGORITHMS.items():
            clients += ["--jwt-client", f"{client_id(store, algorithm)}={algorithm}={stores[store, key][1]}"]
    with run_server("node", SERVER, *clients, "--redirect-uri", REDIRECT) as url:
        yield url


def assertion_connection_string(url, stores, store, algorithm):
    """The connection string of a client that authenticates by a JWT (RFC 7523 section 2.2)."""
    file, _ = stores[store, ALGORITHMS[algorithm]]
    client = client_id(store, algorithm)
    return (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID={client};ClaimsIssuer={client};ClaimsSubject={client};"
        f"JWTCertStore={file};JWTCertPassword=secret;JWTAlgorithm={algorithm};ClaimsAudience={url};"
        f"TokenURI=POST {url}/token;Scope=api:read;"
    )


def assert_valid_token(token):
    assert token.value and token.type == "Bearer"
    assert token.scope == "api:read"
    assert token.expires_at > time.time()


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_client_assertion_is_accepted(library, url, stores, store, algorithm):
    with library.connect(assertion_connection_string(url, stores, store, algorithm)) as connection:
        assert_valid_token(connection.get_token())


def assert_invalid_client(library, string):
    library.clear_caches()
    with library.connect(string) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
    error = failed.value
    assert (error.status, error.sqlstate, error.oauth_error) == ("DENIED", "28000", "invalid_client"), error.message


def test_assertion_with_wrong_key_is_denied(library, url, stores):
    string = assertion_connection_string(url, stores, "JKS", "RS256")
    assert_invalid_client(library, string.replace(str(stores["JKS", "RSA"][0]), str(stores["PKCS#12", "RSA"][0])))


def test_replayed_assertion_is_denied(library, url, stores):
    with library.connect(assertion_connection_string(url, stores, "JKS", "RS256")) as connection:
        assertion = connection.create_assertion()
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientAssertion={assertion};"
        f"TokenURI=POST {url}/token;Scope=api:read;"
    )
    with library.connect(string) as connection:
        assert_valid_token(connection.get_token())
    library.clear_caches()
    with library.connect(string) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
    assert (failed.value.status, failed.value.http_status) == ("TOKEN_EXPIRED", 0), "the library sends it once"
    parameters = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    with pytest.raises(HTTPError) as denied:
        urlopen(f"{url}/token", urlencode(parameters).encode())
    assert json.load(denied.value)["error"] == "invalid_client"


@pytest.mark.parametrize("mode, client", [("Basic", "service-basic"), ("Post", "service-post")])
def test_secret_with_special_characters_is_encoded(library, url, mode, client):
    string = (
        f"AuthenticationMethod=53;ClientID={client};ClientSecret={{{SECRET}}};ClientCredentialsMode={mode};"
        f"TokenURI=POST {url}/token;Scope=api:read;"
    )
    with library.connect(string) as connection:
        assert_valid_token(connection.get_token())
    assert_invalid_client(library, string.replace("%&", "%"))


def login_connection_string(url):
    return (
        f"AuthenticationMethod=56;ClientID=app;RedirectURI={REDIRECT};Scope=openid offline_access api:read;"
        f"AuthURI={url}/auth;TokenURI=POST {url}/token;ApplicationName=Quarterly Reports;ConsentTimeout=60;"
    )


def log_in_with_browser(connection, screenshot, first=None):
    with BrowserUser(screenshot, REDIRECT, first) as user:
        connection.authorize(user.open_url)
        return user.visited_pages()


def test_login_refreshes_with_rotation(library, url):
    refresh_tokens = []
    with library.connect(login_connection_string(url)) as connection:
        connection.set_refresh_token_callback(refresh_tokens.append)
        sign_in, consent, result = log_in_with_browser(connection, "oidc-login")
        assert (sign_in["heading"], consent["heading"]) == ("Sign-in", "Authorize")
        assert "api:read" in consent["text"]
        assert (result["url"], result["status"], result["heading"]) == (REDIRECT, 200, "Logged in")
        assert "Quarterly Reports" in result["text"]
        first = connection.get_token()
        assert "api:read" in first.scope.split()
        connection.reject_token()
        second = connection.get_token()
        assert second.value != first.value
        assert len(refresh_tokens) == len(set(refresh_tokens)) == 2, "expected the initial and the rotated refresh token"
        # The rotated token is invalid. This provider revokes all tokens of the login if a refresh token is reused.
        stale_string = f"AuthenticationMethod=54;ClientID=app;RefreshToken={refresh_tokens[0]};TokenURI=POST {url}/token;"
        with library.connect(stale_string) as stale, pytest.raises(AuthgrantError) as failed:
            stale.get_token()
        assert (failed.value.status, failed.value.oauth_error) == ("TOKEN_EXPIRED", "invalid_grant")


def test_login_resumes_after_restart(library, url):
    refresh_tokens = []
    with library.connect(login_connection_string(url)) as connection:
        connection.set_refresh_token_callback(refresh_tokens.append)
        log_in_with_browser(connection, "oidc-restart")
    string = f"AuthenticationMethod=54;ClientID=app;RefreshToken={refresh_tokens[-1]};TokenURI=POST {url}/token;"
    with library.connect(string) as connection:
        assert connection.get_token().value


def test_wrong_state_is_rejected_and_wait_continues(library, url):
    with library.connect(login_connection_string(url)) as connection:
        rejected, *_, result = log_in_with_browser(connection, "oidc-state", first=f"{REDIRECT}?code=stolen&state=wrong")
        assert (rejected["url"], rejected["status"]) == (REDIRECT, 400)
        assert rejected["heading"] == "This visit was not expected"
        assert result["heading"] == "Logged in"
        assert connection.get_token().value
