"""Tests of libauthgrant against Authlib, a third-party authorization server, with keys created by third-party tools.

AUTHGRANT_LIBRARY is the path of the library. All connection strings are from DataDirect's documentation, except store and host.
"""

import pathlib
import sys
import time

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import (
    ISSUER, datadirect_string, free_port, make_key_and_certificate, make_keytool_store, make_openssl_pkcs12, run_server,
)
from user import BrowserUser

SERVER = pathlib.Path(__file__).with_name("authlib_server.py")


def run_authlib_server(certificate, *options):
    return run_server(sys.executable, SERVER, "--client", f"{ISSUER}={certificate}", *options)


def assert_gets_token(library, store, certificate):
    with run_authlib_server(certificate) as url, library.connect(datadirect_string(store, url)) as connection:
        token = connection.get_token()
    assert token.value and token.type == "Bearer"
    assert token.scope == "signature impersonation"
    assert 3500 < token.expires_at - time.time() <= 3601


def assert_denied(library, connection_string):
    with library.connect(connection_string) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
    error = failed.value
    assert (error.status, error.sqlstate, error.oauth_error) == ("DENIED", "28000", "invalid_grant"), error.message
    assert error.http_status == 400
    assert "127.0.0.1" in error.message
    return error


def test_keytool_jks_gets_token(library, tmp_path):
    store, certificate = make_keytool_store(tmp_path, "jwtcert.jks", "JKS")
    assert store.read_bytes()[:4] == b"\xfe\xed\xfe\xed"
    assert_gets_token(library, store, certificate)


def test_keytool_pkcs12_named_jks_gets_token(library, tmp_path):
    store, certificate = make_keytool_store(tmp_path, "jwtcert.jks", "PKCS12")
    assert store.read_bytes()[:1] == b"\x30"
    assert_gets_token(library, store, certificate)


def test_openssl_pkcs12_gets_token(library, tmp_path):
    assert_gets_token(library, *make_openssl_pkcs12(tmp_path, "jwtcert"))


def test_pem_file_gets_token(library, tmp_path):
    key, certificate = make_key_and_certificate(tmp_path, "jwtcert")
    store = tmp_path / "both.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    assert_gets_token(library, store, certificate)


def test_unknown_key_is_denied(library, tmp_path):
    store, _ = make_openssl_pkcs12(tmp_path, "unregistered")
    _, registered = make_key_and_certificate(tmp_path, "registered")
    with run_authlib_server(registered) as url:
        assert_denied(library, datadirect_string(store, url))


def test_wrong_audience_is_denied_and_shown(library, tmp_path):
    store, certificate = make_openssl_pkcs12(tmp_path, "jwtcert")
    with run_authlib_server(certificate) as url:
        error = assert_denied(library, datadirect_string(store, url, "ClaimsAudience=another.example.com;"))
        assert "another.example.com" in error.message and f"{url}/oauth/token" in error.message


def test_expired_assertion_is_denied(library, tmp_path):
    store, certificate = make_openssl_pkcs12(tmp_path, "jwtcert")
    with run_authlib_server(certificate, "--clock-skew", "7200") as url:
        assert_denied(library, datadirect_string(store, url))


def test_connections_share_one_token(library, tmp_path):
    store, certificate = make_openssl_pkcs12(tmp_path, "jwtcert")
    with run_authlib_server(certificate) as url:
        values = set()
        for _ in range(5):
            with library.connect(datadirect_string(store, url)) as connection:
                values.add(connection.get_token().value)
    assert len(values) == 1


def consent_connection_string(store, url, redirect):
    string = datadirect_string(store, url).replace("http://localhost:3000", redirect)
    return string + f"AuthURI={url}/oauth/auth;ClientID={ISSUER};ApplicationName=Quarterly Reports;ConsentTimeout=60;"


def test_browser_consent_yields_token(library, tmp_path):
    store, certificate = make_openssl_pkcs12(tmp_path, "jwtcert")
    redirect = f"http://127.0.0.1:{free_port()}/done"
    with run_authlib_server(certificate, "--consent") as url, library.connect(consent_connection_string(store, url, redirect)) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
        assert failed.value.status == "CONSENT_REQUIRED"
        assert failed.value.consent_url.startswith(f"{url}/oauth/auth?response_type=code&scope=signature%20impersonation&")
        with BrowserUser("authlib-consent", redirect) as user:
            connection.authorize(user.open_url)
            consent, result = user.visited_pages()
        assert (consent["url"], consent["heading"]) == (f"{url}/oauth/auth", "Consent")
        assert (result["url"], result["status"], result["heading"]) == (redirect, 200, "Consent received")
        assert "Quarterly Reports" in result["text"]
        assert connection.get_token().value
        # The server stores the consent, so another connection needs none.
        library.clear_caches()
        with library.connect(consent_connection_string(store, url, redirect)) as another:
            assert another.get_token().value
