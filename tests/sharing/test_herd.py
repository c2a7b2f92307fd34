"""One token request for all processes that start at the same time."""

import pytest

from fixtures import make_key_and_certificate, run_tool
from workers import tokens_of

PROCESSES = 8
CONNECTIONS = 100


def get_together(*fleets):
    for fleet in fleets:
        fleet.send("get")
    return tokens_of(result for fleet in fleets for result in fleet.results())


def test_processes_share_one_token(start, server, cache):
    fleet = start(PROCESSES).open(server.service_string(cache), CONNECTIONS)
    assert len(get_together(fleet)) == 1
    assert server.request_count() == 1
    later = start(1).open(server.service_string(cache))
    assert tokens_of(later.get()) == set(server.get("issued"))
    assert server.request_count() == 1
    assert fleet.warning_counts() == [0] * PROCESSES


def test_processes_without_store_share_nothing(start, server):
    fleet = start(2).open(server.service_string(""))
    assert len(get_together(fleet)) == 2


def test_languages_share_one_token(start, server, cache):
    string = server.service_string(cache)
    fleets = [start(3, language).open(string, 10) for language in ("c", "python", "go")]
    assert len(get_together(*fleets)) == 1
    assert server.request_count() == 1


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_formats_of_one_key_share_one_token(start, server, cache, tmp_path, kind):
    key, certificate = make_key_and_certificate(tmp_path, "signer", kind)
    server.post("register", {"issuer": "1a2b3c4d5e_6f7g8h9g", "keys": [certificate.read_text()]})
    pkcs12, der = tmp_path / "signer.p12", tmp_path / "signer.der"
    run_tool("openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate, "-out", pkcs12, "-passout", "pass:secret")
    run_tool("openssl", "rsa" if kind == "RSA" else "ec", "-in", key, "-outform", "DER", "-out", der)
    fleets = [
        start(2, "c").open(server.jwt_string(cache, key), 10),
        start(2, "python").open(server.jwt_string(cache, pkcs12, "JWTCertPassword=secret;"), 10),
        start(2, "go").open(server.jwt_string(cache, der), 10),
    ]
    assert len(get_together(*fleets)) == 1
    assert server.request_count() == 1


def test_different_scopes_share_nothing(start, server, cache):
    string = server.service_string(cache)
    fleets = [start(2).open(string), start(2).open(string.replace("Scope=reports", "Scope=other"))]
    assert len(get_together(*fleets)) == 2
    assert server.request_count() == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_shares_one_token(start, server, cache, method):
    (worker,) = start(1, "python").open(server.service_string(cache))
    status, tokens = worker.call("pool", method, PROCESSES, server.service_string(cache))
    assert (status, tokens.split(",")) == ("OK", server.get("issued"))
    assert server.request_count() == 1
