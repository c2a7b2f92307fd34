"""Tests of libauthgrant against Canaille, a third-party OpenID provider in Python (canaille_server.py).

AUTHGRANT_LIBRARY is the path of the library, CANAILLE_PYTHON the Python interpreter of the server. Headless Chromium acts as the user.
"""

import os
import pathlib

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, make_openssl_pkcs12, run_server
from user import BrowserUser

SERVER = pathlib.Path(__file__).with_name("canaille_server.py")
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"
SECRET = "s3c:r+t /&=%ü"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store, _ = make_openssl_pkcs12(tmp_path_factory.mktemp("stores"), "signer")
    return store


@pytest.fixture(scope="module")
def url(store):
    options = ["--redirect-uri", REDIRECT, "--key", store.with_suffix(".key")]
    with run_server(os.environ["CANAILLE_PYTHON"], SERVER, *options) as url:
        yield url


def log_in(connection, screenshot):
    with BrowserUser(screenshot, REDIRECT, user="alice", password="correct horse 9") as user:
        connection.authorize(user.open_url)
        return user.visited_pages()


def login_connection_string(url, client):
    return (
        f"AuthenticationMethod=56;ClientID={client};RedirectURI={REDIRECT};Scope=openid profile;AuthURI={url}/oauth/authorize;"
        f"TokenURI=POST {url}/oauth/token;ConsentTimeout=60;"
    )


def assertion_connection_string(url, store, client):
    return (
        f"AuthenticationMethod=55;ClaimsIssuer={client};ClaimsSubject=alice;JWTCertStore={store};JWTCertPassword=secret;"
        f"ClaimsAudience={url}/oauth/token;Scope=openid profile;TokenURI=POST {url}/oauth/token;"
    )


def test_jwt_bearer_of_trusted_client_gets_token(library, url, store):
    with library.connect(assertion_connection_string(url, store, "trusted")) as connection:
        assert connection.get_token().value


def test_jwt_bearer_gets_token_after_consent(library, url, store):
    string = assertion_connection_string(url, store, "other")
    with library.connect(string) as connection, pytest.raises(AuthgrantError) as failed:
        connection.get_token()
    assert (failed.value.status, failed.value.oauth_error) == ("CONSENT_REQUIRED", "invalid_client")
    with library.connect(login_connection_string(url, "other")) as connection:
        log_in(connection, "canaille-consent")
    library.clear_caches()
    with library.connect(string) as connection:
        assert connection.get_token().value


def test_login_has_demanded_nonce_and_refreshes(library, url):
    with library.connect(login_connection_string(url, "app")) as connection:
        *_, result = log_in(connection, "canaille-login")
        assert (result["url"], result["heading"]) == (REDIRECT, "Logged in")
        first = connection.get_token()
        connection.reject_token()
        assert connection.get_token().value != first.value, "expected a token by the refresh token"


def test_secret_is_form_encoded_and_revocation_authenticated(library, url):
    string = (
        f"AuthenticationMethod=53;ClientID=basic;ClientSecret={{{SECRET}}};ClientCredentialsMode=Basic;Scope=profile;"
        f"TokenURI=POST {url}/oauth/token;LogoffURI={url}/oauth/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()
    with library.connect(string.replace("%", "")) as connection, pytest.raises(AuthgrantError) as failed:
        connection.get_token()
    assert (failed.value.status, failed.value.oauth_error) == ("DENIED", "invalid_client")
