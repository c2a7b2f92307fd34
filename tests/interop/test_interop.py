"""libauthgrant against an authorization server that others wrote: Authlib, with the keys that others make.

AUTHGRANT_LIBRARY is the library. Every connection string is DataDirect's own; only store and host differ.
"""

import os
import pathlib
import sys
import time

import pytest

from authgrant_ctypes import Failed, Library
from person import Person
from surroundings import ISSUER, free_port, key_and_certificate, keytool_store, openssl_pkcs12, page, server

SERVER = pathlib.Path(__file__).with_name("authlib_server.py")


@pytest.fixture(scope="module")
def library():
    return Library(os.environ["AUTHGRANT_LIBRARY"])


def authlib(certificate, *more):
    return server(sys.executable, SERVER, "--client", f"{ISSUER}={certificate}", *more)


def gets_a_token(library, store, certificate):
    with authlib(certificate) as url, library.connect(page(store, url)) as connection:
        token = connection.get_token()
    assert token.value and token.type == "Bearer"
    assert token.scope == "signature impersonation"
    assert 3500 < token.expires_at - time.time() <= 3601


def is_refused(library, connection_string):
    with library.connect(connection_string) as connection:
        with pytest.raises(Failed) as failed:
            connection.get_token()
    error = failed.value
    assert (error.status, error.sqlstate, error.oauth_error) == ("DENIED", "28000", "invalid_grant"), error.message
    assert error.http_status == 400
    assert "127.0.0.1" in error.message
    return error


def test_a_jks_of_keytool_gets_a_token(library, tmp_path):
    store, certificate = keytool_store(tmp_path, "jwtcert.jks", "JKS")
    assert store.read_bytes()[:4] == b"\xfe\xed\xfe\xed"
    gets_a_token(library, store, certificate)


def test_a_pkcs12_of_keytool_that_is_called_jks_gets_a_token(library, tmp_path):
    store, certificate = keytool_store(tmp_path, "jwtcert.jks", "PKCS12")
    assert store.read_bytes()[:1] == b"\x30"
    gets_a_token(library, store, certificate)


def test_a_pkcs12_of_openssl_gets_a_token(library, tmp_path):
    gets_a_token(library, *openssl_pkcs12(tmp_path, "jwtcert"))


def test_a_pem_file_gets_a_token(library, tmp_path):
    key, certificate = key_and_certificate(tmp_path, "jwtcert")
    store = tmp_path / "both.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    gets_a_token(library, store, certificate)


def test_a_key_that_the_server_does_not_know_is_refused(library, tmp_path):
    store, _ = openssl_pkcs12(tmp_path, "ours")
    _, registered = key_and_certificate(tmp_path, "registered")
    with authlib(registered) as url:
        is_refused(library, page(store, url))


def test_an_audience_that_is_not_the_server_is_refused_and_shown(library, tmp_path):
    store, certificate = openssl_pkcs12(tmp_path, "jwtcert")
    with authlib(certificate) as url:
        error = is_refused(library, page(store, url, "ClaimsAudience=another.example.com;"))
        assert "another.example.com" in error.message and f"{url}/oauth/token" in error.message


def test_an_assertion_that_has_ended_by_the_servers_clock_is_refused(library, tmp_path):
    store, certificate = openssl_pkcs12(tmp_path, "jwtcert")
    with authlib(certificate, "--clock-ahead", "7200") as url:
        is_refused(library, page(store, url))


def test_a_token_is_fetched_once_for_many_connections(library, tmp_path):
    store, certificate = openssl_pkcs12(tmp_path, "jwtcert")
    with authlib(certificate) as url:
        values = set()
        for _ in range(5):
            with library.connect(page(store, url)) as connection:
                values.add(connection.get_token().value)
    assert len(values) == 1


def needing_consent(store, url, redirect):
    string = page(store, url).replace("http://localhost:3000", redirect)
    return string + f"AuthURI={url}/oauth/auth;ClientID={ISSUER};ApplicationName=Quarterly Reports;ConsentTimeout=60;"


def test_consent_is_asked_for_given_in_the_browser_and_then_there_is_a_token(library, tmp_path):
    store, certificate = openssl_pkcs12(tmp_path, "jwtcert")
    redirect = f"http://127.0.0.1:{free_port()}/done"
    with authlib(certificate, "--consent") as url, library.connect(needing_consent(store, url, redirect)) as connection:
        with pytest.raises(Failed) as failed:
            connection.get_token()
        assert failed.value.status == "CONSENT_REQUIRED"
        assert failed.value.consent_url.startswith(f"{url}/oauth/auth?response_type=code&scope=signature%20impersonation&")
        with Person("authlib-consent", redirect) as person:
            connection.authorize(person.is_shown)
            asked, thanked = person.saw()
        assert (asked["url"], asked["heading"]) == (f"{url}/oauth/auth", "Consent")
        assert (thanked["url"], thanked["status"], thanked["heading"]) == (redirect, 200, "Consent received")
        assert "Quarterly Reports" in thanked["text"]
        assert connection.get_token().value
        # It is the server that remembers: whoever comes next is not asked.
        library.clear()
        with library.connect(needing_consent(store, url, redirect)) as another:
            assert another.get_token().value
