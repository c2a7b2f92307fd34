"""libauthgrant against oidc-provider, a certified OpenID provider that others wrote (oidc/server.mjs).

AUTHGRANT_LIBRARY is the library. The person who signs in and agrees is headless Chromium.
"""

import os
import pathlib
import time

import pytest

from authgrant_ctypes import AuthgrantError, Library
from user import Person
from fixtures import free_port, keytool_store, openssl_pkcs12, server

SERVER = pathlib.Path(__file__).parent / "oidc" / "server.mjs"
SECRET = "s3cret +%&=:"
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"
STORES = {
    "PKCS#12": lambda folder, kind: openssl_pkcs12(folder, kind, kind=kind),
    "JKS": lambda folder, kind: keytool_store(folder, f"{kind}.jks", "JKS", kind=kind),
}
MAGIC_BYTES = {"PKCS#12": b"\x30", "JKS": b"\xfe\xed\xfe\xed"}
ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}


@pytest.fixture(scope="module")
def library():
    return Library(os.environ["AUTHGRANT_LIBRARY"])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """(kind of store, kind of key): the store, the certificate."""
    made = {}
    for store, make in STORES.items():
        folder = tmp_path_factory.mktemp("stores")
        for key in ("RSA", "EC"):
            made[store, key] = make(folder, key)
            assert made[store, key][0].read_bytes().startswith(MAGIC_BYTES[store])
    return made


def client_id(store, algorithm):
    return f"{store}-{algorithm}".replace("#", "")


@pytest.fixture(scope="module")
def url(stores):
    clients = []
    for store in STORES:
        for algorithm, key in ALGORITHMS.items():
            clients += ["--jwt-client", f"{client_id(store, algorithm)}={algorithm}={stores[store, key][1]}"]
    with server("node", SERVER, *clients, "--redirect-uri", REDIRECT) as url:
        yield url


def assertion_connection_string(url, stores, store, algorithm):
    """The connection string of a client that proves itself by a JWT (RFC 7523 section 2.2)."""
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
    library.clear()
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
        assertion = connection.make_assertion()
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientAssertion={assertion};"
        f"TokenURI=POST {url}/token;Scope=api:read;"
    )
    with library.connect(string) as connection:
        assert_valid_token(connection.get_token())
    assert_invalid_client(library, string)


@pytest.mark.parametrize("mode, client", [("Basic", "service-basic"), ("Post", "service-post")])
def test_secret_with_special_characters_is_encoded(library, url, mode, client):
    string = (
        f"AuthenticationMethod=53;ClientID={client};ClientSecret={{{SECRET}}};ClientCredentialsMode={mode};"
        f"TokenURI=POST {url}/token;Scope=api:read;"
    )
    with library.connect(string) as connection:
        assert_valid_token(connection.get_token())
    assert_invalid_client(library, string.replace("%&", "%"))


def login_connection_string(url, more=""):
    return (
        f"AuthenticationMethod=56;ClientID=app;RedirectURI={REDIRECT};Scope=openid offline_access api:read;"
        f"AuthURI={url}/auth;TokenURI=POST {url}/token;ApplicationName=Quarterly Reports;ConsentTimeout=60;{more}"
    )


def log_in_with_browser(connection, shot, first=None):
    with Person(shot, REDIRECT, first) as person:
        connection.authorize(person.is_shown)
        return person.saw()


def test_login_refreshes_with_rotation(library, url):
    told = []
    with library.connect(login_connection_string(url)) as connection:
        connection.on_refresh_token(told.append)
        sign_in, consent, thanks = log_in_with_browser(connection, "oidc-login")
        assert (sign_in["heading"], consent["heading"]) == ("Sign-in", "Authorize")
        assert "api:read" in consent["text"]
        assert (thanks["url"], thanks["status"], thanks["heading"]) == (REDIRECT, 200, "Logged in")
        assert "Quarterly Reports" in thanks["text"]
        first = connection.get_token()
        assert "api:read" in first.scope.split()
        connection.reject_token()
        second = connection.get_token()
        assert second.value != first.value
        assert len(told) == len(set(told)) == 2, "the login's refresh token, and the one that took its place"
        # This provider ends the whole login where a refresh token is used twice: the first one is dead indeed.
        old = f"AuthenticationMethod=54;ClientID=app;RefreshToken={told[0]};TokenURI=POST {url}/token;"
        with library.connect(old) as stale, pytest.raises(AuthgrantError) as failed:
            stale.get_token()
        assert (failed.value.status, failed.value.oauth_error) == ("EXPIRED", "invalid_grant")


def test_login_resumes_after_restart(library, url):
    told = []
    with library.connect(login_connection_string(url)) as connection:
        connection.on_refresh_token(told.append)
        log_in_with_browser(connection, "oidc-restart")
    kept = f"AuthenticationMethod=54;ClientID=app;RefreshToken={told[-1]};TokenURI=POST {url}/token;"
    with library.connect(kept) as connection:
        assert connection.get_token().value


def test_wrong_state_is_rejected_and_wait_continues(library, url):
    with library.connect(login_connection_string(url)) as connection:
        strange, *_, thanks = log_in_with_browser(connection, "oidc-state", first=f"{REDIRECT}?code=stolen&state=somebody-elses")
        assert (strange["url"], strange["status"]) == (REDIRECT, 400)
        assert strange["heading"] == "This visit was not expected"
        assert thanks["heading"] == "Logged in"
        assert connection.get_token().value
