"""Logoff removes a token for all processes; closing connections does not."""

from workers import tokens_of

USER = "jsmith@example.com"


def logoff_option(server):
    return f"LogoffURI={server.url}/oauth/logoff;"


def test_logoff_removes_token_for_all(start, server, cache):
    string = server.service_string(cache, logoff_option(server))
    first, second = start(2).open(string)
    before = tokens_of([first.get()])
    assert tokens_of([second.get()]) == before
    first.run("logoff")
    assert server.get("counts")["logoffs"] >= 1
    second.run("clear")
    after = tokens_of([second.get()])
    assert after != before
    (later,) = start(1).open(string)
    assert tokens_of([later.get()]) == after
    assert server.request_count() == 2


def test_logoff_removes_login_for_all(start, server, cache):
    string = server.refresh_string(cache, server.new_refresh_token(USER), logoff_option(server))
    first, second = start(2).open(string, TokenCacheUser=USER)
    assert tokens_of([first.get()]) == tokens_of([second.get()])
    second.run("logoff")
    assert server.get("counts")["logoffs"] >= 1
    # Without the entry there is only the configured refresh token, which is spent.
    (later,) = start(1).open(string, TokenCacheUser=USER)
    assert later.get().tokens == []
    assert server.request_count() == 2


def test_close_does_not_revoke_shared_token(start, server, cache):
    string = server.service_string(cache, logoff_option(server))
    first, second = start(2).open(string, 10)
    before = tokens_of([first.get(), second.get()])
    first.run("close")
    second.run("close")
    assert server.get("counts")["logoffs"] == 0
    (later,) = start(1).open(string)
    assert tokens_of([later.get()]) == before
    assert server.request_count() == 1


def test_close_revokes_token_without_store(start, server):
    (worker,) = start(1).open(server.service_string("", logoff_option(server)))
    tokens_of([worker.get()])
    worker.run("close")
    assert server.get("counts")["logoffs"] == 1
