"""A store of the application, in which processes share tokens."""

import ctypes
import logging
import subprocess
import sys
import time

import pytest

import authgrant
from authgrant import _token_store

OWNERS = [bytes([number]) * 16 for number in range(2)]


class MemoryStore:
    """A store in memory."""

    def __init__(self):
        self.entries, self.leases, self.ttls = {}, {}, []

    def get(self, name):
        _, value, end = self.entries.get(name, (0, None, 0))
        return None if value is None else (value, end - time.monotonic())

    def lease(self, name, owner, ttl):
        self.ttls.append(ttl)
        return self.leases.setdefault(name, owner) == owner

    def put(self, name, owner, expected_generation, generation, value, ttl):
        self.ttls.append(ttl)
        if self.leases.get(name) != owner or self.entries.get(name, (0,))[0] != expected_generation:
            return False
        self.entries[name] = generation, value, time.monotonic() + ttl
        return True

    def release(self, name, owner):
        if self.leases.get(name) == owner:
            del self.leases[name]


class Caller:
    """Calls the functions of a store as the library does. A failure is a ValueError."""

    def __init__(self, store):
        self.functions = _token_store.make_functions(store)

    def get(self, name, capacity=100):
        """Returns what was written to the buffer, the length and the lifetime."""
        buffer, length, ttl = (ctypes.c_uint8 * capacity)(), ctypes.c_size_t(), ctypes.c_int64(-1)
        check(self.functions.get(name, buffer, capacity, ctypes.byref(length), ctypes.byref(ttl), None))
        return bytes(buffer[: length.value]), length.value, ttl.value

    def lease(self, name, owner, ttl_ms=1500):
        taken = ctypes.c_int32(-1)
        check(self.functions.lease(name, to_array(owner), ttl_ms, ctypes.byref(taken), None))
        return taken.value

    def put(self, name, owner, expected, generation, value, ttl_ms=60500):
        written = ctypes.c_int32(-1)
        arguments = name, to_array(owner), expected, generation, to_array(value), len(value), ttl_ms
        check(self.functions.put(*arguments, ctypes.byref(written), None))
        return written.value

    def release(self, name, owner):
        check(self.functions.release(name, to_array(owner), None))


def to_array(data):
    return (ctypes.c_uint8 * len(data))(*data)


def check(status):
    if status != 0:
        raise ValueError(status)


def test_functions_call_methods_of_store():
    store = MemoryStore()
    caller = Caller(store)
    assert caller.get(b"a") == (b"", 0, -1)
    assert [caller.lease(b"a", owner) for owner in OWNERS] == [1, 0]
    assert [caller.put(b"a", owner, 0, 2**64 - 1, b"\x00\xff") for owner in reversed(OWNERS)] == [0, 1]
    assert store.entries["a"][:2] == (2**64 - 1, b"\x00\xff")
    value, length, ttl = caller.get(b"a")
    assert (value, length) == (b"\x00\xff", 2) and 0 < ttl <= 60500
    assert caller.get(b"a", capacity=1)[:2] == (b"\x00", 2), "the buffer is too small and unchanged"
    assert store.ttls == [1.5, 1.5, 60.5, 60.5]
    caller.release(b"a", OWNERS[1])
    assert caller.lease(b"a", OWNERS[1]) == 0
    caller.release(b"a", OWNERS[0])
    assert caller.lease(b"a", OWNERS[1]) == 1


class FailingStore:
    def __getattribute__(self, name):
        def fail(*_):
            raise LookupError(f"{name} is closed")

        return fail


def test_exception_is_logged_and_failure(caplog):
    caller = Caller(FailingStore())
    with caplog.at_level(logging.ERROR, "authgrant"):
        for name, arguments in {
            "get": (b"a",), "lease": (b"a", OWNERS[0]), "put": (b"a", OWNERS[0], 0, 1, b"x"), "release": (b"a", OWNERS[0]),
        }.items():
            with pytest.raises(ValueError):
                getattr(caller, name)(*arguments)
            assert f"{name} is closed" in caplog.text
            caplog.clear()


def test_result_of_wrong_type_is_failure(caplog):
    store = MemoryStore()
    store.get = lambda _: "text"
    with pytest.raises(ValueError):
        Caller(store).get(b"a")
    assert "token store" in caplog.text


def test_store_after_first_connection_is_rejected():
    authgrant.Connection("").close()
    with pytest.raises(authgrant.InvalidArgument) as failed:
        authgrant.set_token_store(MemoryStore())
    assert failed.value.sqlstate == "HY010"


def run_program(code):
    """Runs a program in a process of its own, in which no connection was opened. Returns the words that it prints."""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=__file__.rpartition("/")[0])
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


def test_store_is_set_once():
    assert run_program("""
import authgrant
from test_token_store import MemoryStore
authgrant.set_token_store(MemoryStore())
try:
    authgrant.set_token_store(MemoryStore())
except authgrant.InvalidArgument as error:
    print(error.sqlstate)
""") == ["HY010"]


def test_connections_share_token_through_store(server):
    code = f"""
import authgrant
from test_token_store import MemoryStore
store = MemoryStore()
authgrant.set_token_store(store)
tokens = []
for _ in range(2):
    with authgrant.Connection({server.connection_string!r}, TokenCache="application:") as connection:
        tokens.append(connection.token().value)
    authgrant.clear_caches()
[(generation, value, _)] = store.entries.values()
print(len(set(tokens)), generation > 0, tokens[0].encode() in value, store.leases)
"""
    assert run_program(code) == ["1", "True", "False", "{}"]
    assert len(server.get("requests")) == 1


def test_store_that_fails_costs_no_token(server):
    code = f"""
import authgrant, logging, warnings
from test_token_store import FailingStore
warnings.simplefilter("ignore")
logging.disable()
authgrant.set_token_store(FailingStore())
with authgrant.Connection({server.connection_string!r}, TokenCache="application:") as connection:
    print(len(connection.token().value) > 0, len(connection.warnings))
"""
    assert run_program(code) == ["True", "1"]
