"""Two machines whose clocks differ by ten minutes, and a Redis server on a third one."""

import time

import pytest

from machines import run_machines
from redis_server import PASSWORD, RedisServer
from workers import Fleet, tokens_of

CLOCKS = (300, -300)
PROCESSES = 3


@pytest.fixture
def network(server, stored, tmp_path):
    with run_machines(int(server.url.rsplit(":", 1)[1])) as (machines, store_prefix):
        redis = RedisServer(tmp_path / "redis", prefix=store_prefix, bind="0.0.0.0")
        yield machines, redis
        stored.append(redis.stop())


@pytest.fixture
def start_on(start, server, network):
    """Starts processes on a machine."""
    machines, redis = network

    def start_on(number, count, extra=""):
        machine = machines[number]
        cache = f"TokenCache={redis.url(machine.store_address)};TokenCachePassword={PASSWORD};"
        fleet = start(count, prefix=machine.prefix(), environment=machine.environment(CLOCKS[number]))
        return fleet.open(server.service_string(cache, extra), 5)

    return start_on


def test_machines_share_one_token(start_on, server, network):
    fleet = Fleet([*start_on(0, PROCESSES), *start_on(1, PROCESSES)])
    results = fleet.get()
    assert len(tokens_of(results)) == 1
    assert server.request_count() == 1
    # Each machine has the expiry by its own clock.
    remaining = [result.expires_at - time.time() - CLOCKS[number // PROCESSES] for number, result in enumerate(results)]
    assert all(3500 < seconds <= 3601 for seconds in remaining), remaining


@pytest.mark.parametrize("leader", [0, 1])
def test_log_and_report_name_machine(start_on, server, network, leader):
    writer, reader = start_on(leader, 1), start_on(1 - leader, 1)
    tokens_of(writer.get())
    tokens_of(reader.get())
    assert server.request_count() == 1
    name = network[0][leader].host_name
    (worker,) = reader
    assert any(f"using the token that {name} shared in redis://" in record for record in worker.log())
    assert name in str(worker.explain())


def test_token_is_renewed_before_its_end(start_on, server):
    lifetime, margin, longest_jitter = 10, 3, 1
    server.configure(expires_in={"number": lifetime})
    fleet = Fleet([*start_on(0, PROCESSES, f"RefreshMargin={margin};"), *start_on(1, PROCESSES, f"RefreshMargin={margin};")])
    for _ in range(3 * lifetime):
        tokens = tokens_of(fleet.get())
        assert len(tokens) <= 2, "the old one and the new one"
        assert all(server.accepts(token) for token in tokens)
        time.sleep(1)
    arrivals = [request.at_ms / 1000 for request in server.requests()]
    intervals = [later - earlier for earlier, later in zip(arrivals, arrivals[1:])]
    assert len(intervals) >= 2
    # One request for each renewal: earlier than that none of the processes requests a token.
    assert all(lifetime - margin - longest_jitter <= interval < lifetime for interval in intervals), intervals


def test_disconnected_machine_gets_tokens(start_on, server, network):
    (machine, other), _ = network
    connected, disconnected = start_on(1, PROCESSES), start_on(0, PROCESSES)
    machine.disconnect()
    assert len(tokens_of(connected.get())) == 1
    assert len(tokens_of(disconnected.get())) == PROCESSES, "each requests one"
    assert server.request_count() == 1 + PROCESSES
    assert disconnected.warning_counts() == [1] * PROCESSES
    machine.connect()
    assert connected.warning_counts() == [0] * PROCESSES
