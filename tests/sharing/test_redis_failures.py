"""A Redis server that fails while one process requests a token and the others wait for it.

Every caller gets a token, and each process gives one warning at most. The leader requests one token. A process that finds the store
unreachable requests one, too, and does not wait; so there are at most as many requests as processes.
"""

import time

import pytest

from workers import tokens_of

PROCESSES = 6
CONNECTIONS = 20
RECOVERY_TIMEOUT = 100


@pytest.fixture
def herd(start, server, redis, relay):
    """Processes whose leader waits for its token, and that have polled the store."""
    cache = redis.options.replace(f":{redis.port}/", f":{relay.port}/")
    fleet = start(PROCESSES).open(server.service_string(cache, "TokenCacheWait=60;"), CONNECTIONS)
    redis.cli("CONFIG", "RESETSTAT")
    server.behave("gate")
    fleet.send("get")
    server.wait_for_gate(1)
    while redis.command_counts().get("get", 0) < 3 * PROCESSES:
        time.sleep(0.01)
    return fleet


def finish(server, fleet):
    """Answers the token requests. Returns the number of the requests."""
    server.open_gate()
    tokens_of(fleet.results())
    return server.request_count()


def assert_shares_again(server, fleet):
    """The processes share one token as soon as they ask the store again: after 1, 2, 4 ... s, and at most the rest of a lost lease."""
    server.open_gate()
    end = time.monotonic() + RECOVERY_TIMEOUT
    while True:
        before = server.request_count()
        if len(tokens_of(fleet.get_again())) == 1:
            assert server.request_count() <= before + 1
            return
        assert time.monotonic() < end
        time.sleep(0.1)


def test_killed_server_costs_one_request_per_process(herd, server, redis):
    redis.kill()
    server.wait_for_gate(PROCESSES)
    assert finish(server, herd) == PROCESSES
    assert herd.warning_counts() == [1] * PROCESSES
    redis.start()
    assert_shares_again(server, herd)
    assert herd.warning_counts() == [1] * PROCESSES


def test_paused_server_costs_one_request_per_process(herd, server, redis):
    redis.pause()
    server.wait_for_gate(PROCESSES)
    assert finish(server, herd) == PROCESSES
    assert herd.warning_counts() == [1] * PROCESSES
    redis.resume()
    assert_shares_again(server, herd)


def test_server_without_memory_costs_one_request_per_process(herd, server, redis):
    redis.cli("CONFIG", "SET", "maxmemory", 1)
    # The lease that the leader has is not released, and the others cannot acquire it.
    server.wait_for_gate(PROCESSES)
    assert finish(server, herd) == PROCESSES
    assert herd.warning_counts() == [1] * PROCESSES
    redis.cli("CONFIG", "SET", "maxmemory", 0)
    assert_shares_again(server, herd)


def test_restarted_server_costs_one_request_per_process_at_most(herd, server, redis):
    redis.kill()
    redis.start()
    # The lease is lost, so that one of the others leads, unless all found the store unreachable.
    server.wait_for_gate(2)
    assert 2 <= finish(server, herd) <= PROCESSES
    assert max(herd.warning_counts()) <= 1
    assert_shares_again(server, herd)


def test_promoted_replica_continues(herd, server, redis, replica, relay):
    redis.kill()
    replica.promote()
    relay.switch(("127.0.0.1", replica.port))
    # The replica has the lease, so that a process that did not notice the failure waits for the leader.
    assert 1 <= finish(server, herd) <= PROCESSES
    assert max(herd.warning_counts()) <= 1
    assert_shares_again(server, herd)


def test_read_only_replica_costs_one_request_per_process(herd, server, replica, relay):
    relay.switch(("127.0.0.1", replica.port))
    server.wait_for_gate(PROCESSES)
    assert finish(server, herd) == PROCESSES
    assert herd.warning_counts() == [1] * PROCESSES
    replica.promote()
    assert_shares_again(server, herd)


def test_wrong_password_costs_one_request_per_process(start, server, redis):
    fleet = start(3).open(server.service_string(redis.options.replace("TokenCachePassword=", "TokenCachePassword=wrong-")), CONNECTIONS)
    assert len(tokens_of(fleet.get())) == 3
    assert server.request_count() == 3
    assert fleet.warning_counts() == [1] * 3


def test_unusable_folder_costs_one_request_per_process(start, server, folder):
    folder.mkdir(mode=0o755)
    fleet = start(3).open(server.service_string(f"TokenCache=file:{folder};"), CONNECTIONS)
    assert len(tokens_of(fleet.get())) == 3
    assert server.request_count() == 3
    assert fleet.warning_counts() == [1] * 3
    assert list(folder.iterdir()) == []
