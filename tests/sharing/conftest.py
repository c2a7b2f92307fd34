"""Fixtures of the tests of tokens that processes and machines share.

AUTHGRANT_LIBRARY is the path of the library, AUTHGRANT_MOCK_SERVER that of the program of tests/mock_server. The tests need Redis.
"""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "bindings" / "python" / "tests"))

from authorization_server import run_authorization_server  # noqa: E402
from fixtures import make_key_and_certificate, run_tool  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from relay import run_relay  # noqa: E402
from workers import Fleet, Programs, Worker  # noqa: E402


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    return Programs(tmp_path_factory.mktemp("programs"), run_tool)


@pytest.fixture(scope="session")
def key_and_certificate(tmp_path_factory):
    return make_key_and_certificate(tmp_path_factory.mktemp("keys"), "shared")


@pytest.fixture
def server(key_and_certificate):
    with run_authorization_server(key_and_certificate[1]) as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def redis(stored, tmp_path):
    redis = RedisServer(tmp_path / "redis")
    yield redis
    stored.append(redis.stop())


@pytest.fixture
def replica(stored, redis, tmp_path):
    replica = RedisServer(tmp_path / "replica")
    replica.follow(redis)
    yield replica
    stored.append(replica.stop())


@pytest.fixture
def relay(redis):
    """An address that is that of `redis` at first."""
    with run_relay(("127.0.0.1", redis.port)) as relay:
        yield relay


@pytest.fixture(params=["file", "redis"])
def cache(request, folder):
    """The options of a store, of each kind."""
    if request.param == "file":
        return f"TokenCache=file:{folder};"
    return request.getfixturevalue("redis").options


@pytest.fixture
def start(programs):
    """Starts workers: start(3) in C, start(2, "go") in another language."""
    workers = []

    def start(count, language="c", prefix=(), environment=None):
        started = [Worker([*prefix, *getattr(programs, language)], environment) for _ in range(count)]
        workers.extend(started)
        return Fleet(started)

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture(autouse=True)
def stored(server, folder):
    """What the stores of a test contain at its end, and the commands that Redis servers received: no token and no secret."""
    stored = []
    yield stored
    stored += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    found = [secret for secret in server.secrets() if any(secret.encode() in content for content in stored)]
    assert not found, f"{len(found)} tokens or secrets are in a store"
