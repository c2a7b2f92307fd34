"""Rotating refresh tokens. The authorization server revokes a login if one of its refresh tokens is used twice."""

import random
import time

import pytest

from workers import Fleet, tokens_of

PROCESSES = 20
USER = "jsmith@example.com"


@pytest.fixture
def fleet(start, server, cache):
    """Starts processes that share a login."""

    def fleet(count, refresh_token, user=USER, extra=""):
        return start(count).open(server.refresh_string(cache, refresh_token, extra), TokenCacheUser=user)

    return fleet


# With a margin, tokens are renewed early: one process renews while the others use the old token. A lifetime under 10 s permits none.
@pytest.mark.parametrize(("lifetime", "margin"), [(4, 0), (10, 4)])
def test_refresh_token_is_spent_once(fleet, server, lifetime, margin):
    seconds, renewals = 20, 2
    server.configure(expires_in={"number": lifetime})
    processes = fleet(PROCESSES, server.new_refresh_token(USER), extra=f"RefreshMargin={margin};")
    chance = random.Random(18)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # Not always the same processes, so that several lead.
        assert len(tokens_of(Fleet(chance.sample(processes.workers, PROCESSES // 2)).get())) <= 2
        time.sleep(0.1)
    arrivals = [request.at_ms / 1000 for request in server.requests()]
    assert len(arrivals) >= 1 + renewals
    if margin > 0:
        assert all(later - earlier < lifetime for earlier, later in zip(arrivals, arrivals[1:]))
    assert set(server.spent_refresh_tokens().values()) == {1}
    assert server.reuses() == 0
    assert processes.warning_counts() == [0] * PROCESSES


def test_later_process_adopts_newer_refresh_token(fleet, server):
    server.configure(expires_in={"number": 2})
    first = server.new_refresh_token(USER)
    (early,) = fleet(1, first)
    for _ in range(3):
        tokens_of([early.get()])
        time.sleep(2.1)
    (late,) = fleet(1, first)
    tokens_of([late.get()])
    assert server.spent_refresh_tokens()[first] == 1
    assert server.reuses() == 0


def test_users_do_not_share(fleet, server):
    first, second = fleet(2, server.new_refresh_token("first"), "first"), fleet(2, server.new_refresh_token("second"), "second")
    assert len(tokens_of(first.get())) == 1
    assert len(tokens_of(first.get() + second.get())) == 2
    assert server.reuses() == 0


def test_killed_leader_costs_one_reuse_at_most(fleet, server, cache):
    """A leader that is killed at any time: its successor cannot know whether the server has received the refresh token."""
    # In a folder the lock ends with the process. In Redis the lease lasts for one second more than the call.
    rounds, leader_timeout_ms = (12, 0) if "file:" in cache else (3, 5_500)
    chance = random.Random(18)
    for number in range(rounds):
        user = f"user-{number}"
        leader, *others = fleet(5, server.new_refresh_token(user), user, "TokenCacheWait=60;")
        reuses = server.reuses()
        leader.send("get", leader_timeout_ms)
        time.sleep(chance.uniform(0, 0.5))
        leader.kill()
        for other in others:
            other.send("get")
        results = [other.result() for other in others]
        assert len({result.status for result in results}) == 1, results
        if server.reuses() == reuses:
            assert len(tokens_of(results)) == 1
        else:
            # The answer to the leader was lost, and with it the next refresh token.
            assert server.reuses() == reuses + 1
            assert {result.status for result in results} == {"TOKEN_EXPIRED"}
    assert max(server.spent_refresh_tokens().values()) <= 2
