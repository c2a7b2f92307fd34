"""A leader that is killed, or that waits for long, while it requests a token."""

from workers import tokens_of

PROCESSES = 6
CONNECTIONS = 20

# A lease lasts one second longer than the call of its owner.
LEADER_TIMEOUT_MS = 3_000
LEASE_MS = 4_000
# The longest time between two attempts of a follower to acquire the lease.
ATTEMPT_INTERVAL_MS = 350
# Only delays of the machine.
SLACK_MS = 10_000


def test_leader_killed_costs_rest_of_lease(start, server, redis):
    string = server.service_string(redis.options, "TokenCacheWait=60;")
    (leader,) = start(1).open(string)
    fleet = start(PROCESSES).open(string, CONNECTIONS)
    server.hold_next()
    leader.run("start", LEADER_TIMEOUT_MS)
    server.wait_for_gate(1)
    leader.kill()
    assert len(tokens_of(fleet.get())) == 1
    first, second = (request.at_ms for request in server.requests())
    assert second - first < LEASE_MS + ATTEMPT_INTERVAL_MS + SLACK_MS
    assert fleet.warning_counts() == [0] * PROCESSES


def test_killed_leader_frees_lock_of_folder(start, server, folder):
    string = server.service_string(f"TokenCache=file:{folder};", "TokenCacheWait=60;")
    (leader,) = start(1).open(string)
    fleet = start(PROCESSES).open(string, CONNECTIONS)
    server.hold_next()
    leader.run("start")
    server.wait_for_gate(1)
    fleet.send("get")
    leader.kill()
    results = fleet.results()
    assert len(tokens_of(results)) == 1
    assert server.request_count() == 2
    # The lock ends with the process, and not with the time to wait.
    assert max(result.finished - result.started for result in results) / 1e6 < ATTEMPT_INTERVAL_MS + SLACK_MS


def test_slow_leader_delays_others_by_time_to_wait(start, server, cache):
    wait_ms = 1_000
    string = server.service_string(cache, f"TokenCacheWait={wait_ms // 1000};")
    (leader,) = start(1).open(string)
    fleet = start(PROCESSES).open(string, CONNECTIONS)
    server.hold_next()
    leader.run("start")
    server.wait_for_gate(1)
    results = fleet.get()
    assert len(tokens_of(results)) == PROCESSES, "each requests one"
    assert min(result.finished - result.started for result in results) / 1e6 >= wait_ms
    # Only the leader writes.
    server.open_gate()
    (token,) = tokens_of([leader.wait()])
    assert tokens_of(start(1).open(string).get()) == {token}
    assert server.request_count() == 1 + PROCESSES
    assert fleet.warning_counts() == [0] * PROCESSES
