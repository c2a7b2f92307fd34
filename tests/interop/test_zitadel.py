"""Tests of libauthgrant against the example server of zitadel/oidc, a certified OpenID library in Go (zitadel/main.go).

AUTHGRANT_LIBRARY is the path of the library, ZITADEL_SERVER that of the server. Headless Chromium acts as the user.
"""

import os

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, make_openssl_pkcs12, run_server
from user import log_in_and_refresh

REDIRECT = f"http://127.0.0.1:{free_port()}/cb"


@pytest.fixture(scope="module")
def url(signer):
    with run_server(os.environ["ZITADEL_SERVER"], signer[1], REDIRECT) as url:
        yield url


def assertion_connection_string(url, store):
    return (
        f"AuthenticationMethod=55;ClaimsIssuer=service;ClaimsSubject=service;JWTCertStore={store};JWTCertPassword=secret;"
        f"JWTKeyID=key1;ClaimsAudience={url}/;Scope=openid;TokenURI=POST {url}/oauth/token;"
    )


def test_jwt_bearer_gets_token(library, url, signer):
    with library.connect(assertion_connection_string(url, signer[0])) as connection:
        token = connection.get_token()
    assert token.value and token.type == "Bearer"


def test_wrong_key_is_denied(library, url, tmp_path):
    store, _ = make_openssl_pkcs12(tmp_path, "other")
    with library.connect(assertion_connection_string(url, store)) as connection, pytest.raises(AuthgrantError) as failed:
        connection.get_token()
    assert failed.value.status == "DENIED", failed.value.message


@pytest.mark.parametrize("logoff", ["LogoffURI={url}/revoke;", "LogoffURI={url}/end_session;LogoffMode=EndSession;"])
def test_login_rotates_and_logs_off(library, url, logoff):
    string = (
        f"AuthenticationMethod=56;ClientID=native;RedirectURI={REDIRECT};Scope=openid offline_access;AuthURI={url}/auth;"
        f"TokenURI=POST {url}/oauth/token;ConsentTimeout=60;"
    )
    with library.connect(string + logoff.format(url=url)) as connection:
        refresh_tokens = log_in_and_refresh(connection, "zitadel", REDIRECT, user="test-user@localhost", password="verysecure")
        connection.log_off()
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
        assert failed.value.status == "CONSENT_REQUIRED" and failed.value.consent_url
    string = f"AuthenticationMethod=54;ClientID=native;RefreshToken={refresh_tokens[-1]};TokenURI=POST {url}/oauth/token;"
    with library.connect(string) as revoked, pytest.raises(AuthgrantError) as failed:
        revoked.get_token()
    assert (failed.value.status, failed.value.oauth_error) == ("TOKEN_EXPIRED", "invalid_grant")


def test_end_session_endpoint_is_no_logoff_uri(library, url, signer):
    string = assertion_connection_string(url, signer[0]) + f"LogoffURI={url}/end_session;"
    with library.connect(string) as connection:
        connection.get_token()
        with pytest.raises(AuthgrantError) as failed:
            connection.log_off()
    assert failed.value.option == "LogoffURI"
    assert "revocation endpoint" in failed.value.message
