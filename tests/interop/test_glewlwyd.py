"""Tests of libauthgrant against Glewlwyd, a third-party OpenID provider in C (glewlwyd_server.py).

AUTHGRANT_LIBRARY is the path of the library. The user is logged in at the provider and has consented, so that the authorization endpoint
redirects at once; an HTTP client with the session cookie takes the place of the browser.
"""

import json
import pathlib
import sys
import threading
import urllib.request

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, run_server

SERVER = pathlib.Path(__file__).with_name("glewlwyd_server.py")
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"


@pytest.fixture(scope="module")
def url(signer):
    with run_server(sys.executable, SERVER, "--redirect-uri", REDIRECT, "--jwt-client", f"signing=RS256={signer[1]}") as url:
        yield url


class CookieUser:
    """A logged-in user: `open_url` opens a URL in the background; `page` waits for the last page."""

    def __init__(self, url):
        body = json.dumps({"username": "alice", "password": "correct horse"}).encode()
        request = urllib.request.Request(url.removesuffix("/oidc") + "/auth/", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            self.cookie = response.headers["Set-Cookie"].split(";")[0]
        self.text, self.thread = None, None

    def open_url(self, url):
        self.thread = threading.Thread(target=self.load, args=(url,))
        self.thread.start()

    def load(self, url):
        # The login page, which is a script, sends a user with a session back to the same URL with this parameter.
        url += "&g_continue"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Cookie": self.cookie}), timeout=60) as response:
            self.text = response.read().decode()

    def page(self):
        self.thread.join(timeout=60)
        return self.text


@pytest.mark.parametrize("mode, client", [("Basic", "service-basic"), ("Post", "service-post")])
def test_secret_gets_and_revokes_token(library, url, mode, client):
    string = (
        f"AuthenticationMethod=53;ClientID={client};ClientSecret=s3cret;ClientCredentialsMode={mode};Scope=read;"
        f"TokenURI=POST {url}/token;LogoffURI={url}/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()


def test_client_assertion_gets_token(library, url, signer):
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID=signing;ClaimsIssuer=signing;ClaimsSubject=signing;"
        f"JWTCertStore={signer[0]};JWTCertPassword=secret;JWTKeyID=signing;ClaimsAudience={url}/token;Scope=read;"
        f"TokenURI=POST {url}/token;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value


def test_login_has_nonce_rotates_and_logs_off(library, url):
    string = (
        f"AuthenticationMethod=56;ClientID=app;ClientSecret=s3cret;ClientCredentialsMode=Post;RedirectURI={REDIRECT};Scope=openid read;"
        f"AuthURI={url}/auth;TokenURI=POST {url}/token;LogoffURI={url}/revoke;ConsentTimeout=60;"
    )
    refresh_tokens, user = [], CookieUser(url)
    with library.connect(string) as connection:
        connection.set_refresh_token_callback(refresh_tokens.append)
        connection.authorize(user.open_url)
        assert "You are logged in" in user.page()
        first = connection.get_token()
        connection.reject_token()
        assert connection.get_token().value != first.value
        assert len(set(refresh_tokens)) == 2, "expected the initial and the rotated refresh token"
        connection.log_off()
    string = (
        f"AuthenticationMethod=54;ClientID=app;ClientSecret=s3cret;ClientCredentialsMode=Post;RefreshToken={refresh_tokens[-1]};"
        f"TokenURI=POST {url}/token;"
    )
    with library.connect(string) as revoked, pytest.raises(AuthgrantError):
        revoked.get_token()
