"""Tokens that the API rejects, and credentials that the authorization server refuses."""

import pytest

from workers import tokens_of

PROCESSES = 20


def test_rejected_token_is_replaced_once(start, server, cache):
    fleet = start(PROCESSES).open(server.service_string(cache))
    before = tokens_of(fleet.get())
    fleet.run("reject")
    after = tokens_of(fleet.get())
    assert len(before) == len(after) == 1 and before != after
    assert server.request_count() == 2


def test_rejected_token_is_not_offered_to_new_process(start, server, cache):
    string = server.service_string(cache)
    (first,) = start(1).open(string)
    before = tokens_of([first.get()])
    first.run("reject")
    after = tokens_of([first.get()])
    (later,) = start(1).open(string)
    assert tokens_of([later.get()]) == after != before
    assert server.request_count() == 2


def test_refusal_is_shared_for_its_lifetime(start, server, cache):
    refusal = {"status": 401, "body": {"error": "invalid_client"}, "headers": [["Retry-After", "60"]]}
    server.behave({"json": refusal})
    string = server.service_string(cache)
    results = start(PROCESSES).open(string, 5).get() + start(1).open(string).get()
    assert {(result.status, result.sqlstate) for result in results} == {("DENIED", "28000")}
    assert server.request_count() == 1


def test_repeated_refusals_back_off(start, server, cache):
    server.behave({"json": {"status": 401, "body": {"error": "invalid_client"}}})
    fleet = start(PROCESSES).open(server.service_string(cache))
    requests = 0
    while requests < 4:
        assert {result.status for result in fleet.get_again()} == {"DENIED"}
        requests = server.request_count()
    arrivals = [request.at_ms / 1000 for request in server.requests()]
    intervals = [later - earlier for earlier, later in zip(arrivals, arrivals[1:])]
    # The store measures the lifetime from the write, which follows the request.
    assert all(interval >= 2**number for number, interval in enumerate(intervals)), intervals


def test_corrected_secret_is_not_refused(start, server, cache):
    """Another secret is another entry."""
    wrong = server.service_string(cache).replace("ClientSecret=b3", "ClientSecret=c4")
    assert {result.status for result in start(2).open(wrong).get()} == {"DENIED"}
    tokens_of(start(2).open(server.service_string(cache)).get())
    assert server.request_count() == 2


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_fleet_waits(start, server, cache, status):
    server.behave({"json": {"status": status, "body": {}, "headers": [["Retry-After", "30"]]}})
    results = start(PROCESSES).open(server.service_string(cache, "LoginTimeout=10;")).get()
    assert all(result.status != "OK" for result in results)
    assert server.request_count() == 1
