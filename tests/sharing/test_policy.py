"""Which connection strings and credentials may share tokens, and what is stored."""

import pytest

from authorization_server import CLIENT_SECRET, SHARING_SECRET
from workers import tokens_of

USER = "jsmith@example.com"


def test_connection_string_needs_permission(start, server, folder):
    (worker,) = start(1)
    worker.run("policy", 0)
    worker.run("open", 1, server.service_string(f"TokenCache=file:{folder};"))
    result = worker.get()
    assert (result.status, result.tokens) == ("INVALID_OPTION", [])
    assert "AUTHGRANT_ALLOW_TOKEN_CACHE" in result.message
    assert server.request_count() == 0 and not folder.exists()


def test_application_needs_no_permission(start, server, folder):
    workers = start(2)
    for worker in workers:
        worker.run("policy", 0)
        worker.run("open", 1, server.service_string(""))
        worker.run("set", "TokenCache", f"file:{folder}")
    assert len(tokens_of(workers.get())) == 1
    assert server.request_count() == 1


def test_user_in_connection_string_is_refused(start, server, folder):
    string = server.refresh_string(f"TokenCache=file:{folder};", server.new_refresh_token(USER), f"TokenCacheUser={USER};")
    (worker,) = start(1).open(string)
    assert worker.get().status == "INVALID_OPTION"
    assert server.request_count() == 0


@pytest.mark.parametrize("secret", ["s3cret", "correct horse battery staple, and then some more words"])
def test_guessable_secret_needs_key(start, server, cache, secret):
    server.post("register", {"issuer": "service", "options": {"secret": secret}})
    string = server.service_string(cache).replace(CLIENT_SECRET, secret)
    (worker,) = start(1).open(string)
    result = worker.get()
    assert result.status == "INVALID_OPTION" and "TokenCacheSecret" in result.message
    assert server.request_count() == 0
    assert secret not in result.message
    with_key = start(2).open(string, TokenCacheSecret=SHARING_SECRET)
    assert len(tokens_of(with_key.get())) == 1


def test_login_is_not_shared_by_default(start, server, cache):
    string = server.refresh_string(cache, server.new_refresh_token(USER)).replace("TokenCachePrompted=1;", "")
    first, second = start(2).open(string)
    tokens_of([first.get()])
    # As without a store, the second process sends the refresh token again.
    assert second.get().status != "OK"
    assert server.reuses() == 1


def test_store_is_not_empty(start, server, redis, folder):
    """The fixture `stored` searches what this test shows to be there."""
    for cache in (redis.options, f"TokenCache=file:{folder};"):
        tokens_of(start(1).open(server.service_string(cache)).get())
        (worker,) = start(1).open(server.refresh_string(cache, server.new_refresh_token(USER)), TokenCacheUser=USER)
        tokens_of([worker.get()])
    assert len({key.split("}")[0] for key in redis.cli("KEYS", "authgrant:*").split()}) == 2
    assert redis.commands.read_bytes().count(b'"SET"') >= 2
    assert sum(len(path.read_bytes()) > 200 for path in folder.iterdir()) == 2
