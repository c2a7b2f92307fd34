"""Tests of libauthgrant from Python by ctypes, including a forked child.

AUTHGRANT_LIBRARY is the path of the library, AUTHGRANT_MOCK_SERVER that of the program of tests/mock_server.
"""

import multiprocessing
import os
import threading
import time

import pytest

from authgrant_ctypes import NO_NETWORK, AuthgrantError, Library
from fixtures import ISSUER, datadirect_string, make_openssl_pkcs12, run_server


@pytest.fixture(scope="module")
def library():
    return Library(os.environ["AUTHGRANT_LIBRARY"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("ctypes")


@pytest.fixture(scope="module")
def connection_string(directory):
    store, certificate = make_openssl_pkcs12(directory, "jwtcert")
    trust_store = directory / "ca.pem"
    mock_server = os.environ["AUTHGRANT_MOCK_SERVER"]
    with run_server(mock_server, "--https", "--register", f"{ISSUER}={certificate}", "--ca-out", trust_store) as url:
        yield datadirect_string(store, url, f"TrustStore={trust_store};")


def test_cached_token_needs_no_network(library, connection_string):
    with library.connect(connection_string) as connection:
        token = connection.get_token()
        assert token.type == "Bearer"
        assert token.length == len(token.value) > 0
        assert token.expires_at > token.refresh_at > time.time()
        assert connection.get_token(flags=NO_NETWORK).value == token.value
        assert connection.get_token().value == token.value


def test_no_network_without_token_is_not_cached(library, connection_string):
    library.clear_caches()
    with library.connect(connection_string) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token(flags=NO_NETWORK)
    assert (failed.value.status_code, failed.value.status, failed.value.sqlstate) == (24, "NOT_CACHED", "HY000")


def test_wrong_password_names_store(library, connection_string, directory):
    wrong = connection_string.replace("JWTCertPassword=secret", "JWTCertPassword=another")
    with library.connect(wrong) as connection:
        with pytest.raises(AuthgrantError) as failed:
            connection.get_token()
    assert failed.value.status == "KEY_PASSWORD"
    assert failed.value.sqlstate == "28000"
    assert str(directory / "jwtcert.p12") in failed.value.message
    assert "another" not in failed.value.message


def test_many_connections_share_token(library, connection_string):
    values = set()
    for _ in range(100):
        with library.connect(connection_string) as connection:
            values.add(connection.get_token().value)
    assert len(values) == 1


def test_threads_share_one_connection(library, connection_string):
    values = []
    with library.connect(connection_string) as connection:
        threads = [threading.Thread(target=lambda: values.append(connection.get_token().value)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(values) == 16 and len(set(values)) == 1


def get_token_in_child(library, connection_string, results):
    with library.connect(connection_string) as connection:
        results.put(connection.get_token().value)


def test_forked_child_gets_token(library, connection_string):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with library.connect(connection_string) as connection:
        parent_token = connection.get_token().value
        child = context.Process(target=get_token_in_child, args=(library, connection_string, results))
        child.start()
        child_token = results.get(timeout=30)
        child.join(timeout=30)
        if child.is_alive():
            child.kill()
        assert child.exitcode == 0
        assert child_token
        assert connection.get_token().value == parent_token
        library.clear_caches()
        assert connection.get_token().value
