"""Tests of libauthgrant against Ory Hydra (hydra_server.py), by `make interop`. It is the strictest server for the JWT bearer grant.

AUTHGRANT_LIBRARY is the path of the library, HYDRA_SERVER that of Hydra. Headless Chromium acts as the user.
"""

import os
import pathlib
import sys

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, run_server
from user import log_in_and_refresh

SERVER = pathlib.Path(__file__).with_name("hydra_server.py")
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"


@pytest.fixture(scope="module")
def url(signer):
    options = ["--hydra", os.environ["HYDRA_SERVER"], "--redirect-uri", REDIRECT, "--signer", signer[1]]
    with run_server(sys.executable, SERVER, *options, timeout=180) as url:
        yield url


def test_jwt_bearer_gets_and_revokes_token(library, url, signer):
    string = (
        f"Provider=hydra;AuthenticationMethod=55;ClientID=jwt-bearer;ClientSecret=s3cret;ClientCredentialsMode=Basic;"
        f"ClaimsIssuer=https://idp.example.com;ClaimsSubject=jo;JWTCertStore={signer[0]};JWTCertPassword=secret;JWTKeyID=key1;"
        f"Scope=read;TokenURI=POST {url}/oauth2/token;LogoffURI={url}/oauth2/revoke;"
    )
    with library.connect(string) as connection:
        token = connection.get_token()
        assert token.scope == "read"
        connection.log_off()
        assert connection.get_token().value != token.value


def test_client_assertion_gets_and_revokes_token(library, url, signer):
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID=signing;ClaimsIssuer=signing;ClaimsSubject=signing;"
        f"JWTCertStore={signer[0]};JWTCertPassword=secret;JWTKeyID=key1;Scope=read;TokenURI=POST {url}/oauth2/token;"
        f"LogoffURI={url}/oauth2/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()


def test_login_rotates_and_logs_off(library, url):
    string = (
        f"AuthenticationMethod=56;ClientID=app;RedirectURI={REDIRECT};Scope=openid offline_access;AuthURI={url}/oauth2/auth;"
        f"TokenURI=POST {url}/oauth2/token;LogoffURI={url}/oauth2/revoke;ConsentTimeout=120;"
    )
    with library.connect(string) as connection:
        refresh_tokens = log_in_and_refresh(connection, "hydra", REDIRECT)
        connection.log_off()
    string = f"AuthenticationMethod=54;ClientID=app;RefreshToken={refresh_tokens[-1]};TokenURI=POST {url}/oauth2/token;"
    with library.connect(string) as connection, pytest.raises(AuthgrantError) as failed:
        connection.get_token()
    assert (failed.value.status, failed.value.oauth_error) == ("TOKEN_EXPIRED", "invalid_grant"), failed.value.message
