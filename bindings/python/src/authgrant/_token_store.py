"""The store of the application, in which processes share tokens."""

from __future__ import annotations

import ctypes
import logging
import math
from typing import Any, Callable, Protocol

from . import _call
from ._library import STORE_GET, STORE_LEASE, STORE_PUT, STORE_RELEASE, TokenStoreFunctions, library

OWNER_LENGTH = 16

logger = logging.getLogger("authgrant")

# What the library calls until the process ends.
_registered: list[TokenStoreFunctions] = []


class TokenStore(Protocol):
    """A store of the application, in which processes share tokens, for :func:`set_token_store`.

    It has entries and leases, both by name, and is the same store for all processes. It needs no secrets: values are encrypted.
    What each method must guarantee, and what happens if it does not, is documented at ``authgrant_token_store`` in ``authgrant.h``
    (docs/reference.md). Times are in seconds, by the clock of the store.

    The methods are called by threads that request tokens, possibly by several at once. They must not call methods of a connection,
    and must return within TokenCacheTimeout by themselves. An exception means that the store failed: it is logged with its
    traceback by the logger ``authgrant``, the token is requested without the store, and the store is not asked for 1, 2, 4 ... 60 s.
    """

    def get(self, name: str) -> tuple[bytes, float] | None:
        """Returns the value of an entry and what is left of its ``ttl``; None if there is no entry or it has expired."""

    def lease(self, name: str, owner: bytes, ttl: float) -> bool:
        """Acquires a lease for ``owner``, which ends after ``ttl``; in one atomic step. False if another owner holds it."""

    def put(self, name: str, owner: bytes, expected_generation: int, generation: int, value: bytes, ttl: float) -> bool:
        """Writes an entry, in one transaction: only if ``owner`` holds the lease and the entry has the expected generation.

        No entry and an expired one have generation 0. Generations have 64 bits without a sign. Returns whether it wrote.
        """

    def release(self, name: str, owner: bytes) -> None:
        """Ends a lease if ``owner`` holds it."""


def set_token_store(store: TokenStore) -> None:
    """Sets the store in which connections with the option TokenCache ``application:`` share tokens with other processes.

    Call it once, before the first connection is opened. A forked child keeps the store; it must not use a connection to a server that
    its parent opened. Errors: InvalidArgument.
    """
    functions = make_functions(store)
    _call.call(library.set_token_store, ctypes.byref(functions))
    _registered.append(functions)


def make_functions(store: TokenStore) -> TokenStoreFunctions:
    """Returns the C functions that call the methods of a store. They must be referenced as long as they can be called."""
    return TokenStoreFunctions(
        ctypes.sizeof(TokenStoreFunctions),
        None,
        STORE_GET(_make_get(store)),
        STORE_LEASE(_make_lease(store)),
        STORE_PUT(_make_put(store)),
        STORE_RELEASE(_make_release(store)),
    )


def _make_get(store: TokenStore) -> Callable[..., int]:
    def get(name: bytes, buffer: Any, capacity: int, length: Any, ttl_ms: Any, _: object) -> int:
        def read() -> None:
            found = store.get(name.decode())
            if found is None:
                return
            value, ttl = found
            if len(value) <= capacity:
                ctypes.memmove(buffer, bytes(value), len(value))
            length[0], ttl_ms[0] = len(value), math.floor(ttl * 1000)

        return _run("get", read)

    return get


def _make_lease(store: TokenStore) -> Callable[..., int]:
    def lease(name: bytes, owner: Any, ttl_ms: int, taken: Any, _: object) -> int:
        def acquire() -> None:
            taken[0] = bool(store.lease(name.decode(), _owner(owner), ttl_ms / 1000))

        return _run("lease", acquire)

    return lease


def _make_put(store: TokenStore) -> Callable[..., int]:
    def put(
        name: bytes, owner: Any, expected: int, generation: int, value: Any, length: int, ttl_ms: int, written: Any, _: object
    ) -> int:
        def write() -> None:
            content = ctypes.string_at(value, length)
            written[0] = bool(store.put(name.decode(), _owner(owner), expected, generation, content, ttl_ms / 1000))

        return _run("put", write)

    return put


def _make_release(store: TokenStore) -> Callable[..., int]:
    def release(name: bytes, owner: Any, _: object) -> int:
        return _run("release", lambda: store.release(name.decode(), _owner(owner)))

    return release


def _owner(pointer: Any) -> bytes:
    return ctypes.string_at(pointer, OWNER_LENGTH)


def _run(name: str, function: Callable[[], None]) -> int:
    """Runs a method of the store. Returns 0, or 1 if it raised."""

    def report_error() -> int:
        try:
            function()
        except Exception:
            logger.exception("the method %s of the token store failed", name)
            return 1
        return 0

    status = _call.run_callback(report_error)
    return 1 if status is None else status
