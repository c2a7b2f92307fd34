"""Access tokens and headers of API requests."""

from __future__ import annotations

import ctypes
import datetime
import math
from typing import Any, Callable, Dict, Mapping, NoReturn

from ._call import encode
from ._errors import decode
from ._library import library


class TokenHandle(ctypes.c_void_p):
    """An authgrant_token, freed with the last reference."""

    def __del__(self, free: Callable[[int | None], None] = library.token_free) -> None:
        free(self.value)


class HeadersHandle(ctypes.c_void_p):
    """An authgrant_headers, freed with the last reference."""

    def __del__(self, free: Callable[[int | None], None] = library.headers_free) -> None:
        free(self.value)


def _to_datetime(seconds: int) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc) if seconds else None


class Token:
    """An access token. Immutable and thread-safe; it stays valid after the connection is closed.

    ``value`` is the secret. ``str()`` and ``repr()`` do not show it, so that a token in a log message is harmless; a token cannot be
    pickled.
    """

    __slots__ = ("value", "_handle", "_owner", "_refresh_at")

    #: The access token, to be sent in ``Authorization: Bearer ...``. A secret: do not log it.
    value: str

    def __init__(self, handle: ctypes.c_void_p, owner: HeadersHandle | None = None) -> None:
        # `owner` has the reference if `handle` has none of its own.
        self._handle = handle
        self._owner = owner
        self.value = library.token_value(handle).decode()
        self._refresh_at: float = library.token_refresh_at(handle) or math.inf

    @property
    def type(self) -> str:
        """The token type, ``Bearer``."""
        return str(library.token_type(self._handle).decode())

    @property
    def expires_at(self) -> datetime.datetime | None:
        """The time at which the token expires, in UTC; None if it is unknown."""
        return _to_datetime(library.token_expires_at(self._handle))

    @property
    def refresh_at(self) -> datetime.datetime | None:
        """The time from which :meth:`Connection.token` refreshes the token, in UTC; None if the expiry is unknown."""
        return _to_datetime(library.token_refresh_at(self._handle))

    @property
    def scope(self) -> str | None:
        """The granted scope; None if the response has none, which means the requested scope (RFC 6749 section 5.1)."""
        return decode(library.token_scope(self._handle))

    def field(self, name: str) -> str | None:
        """Returns another member of the token response, such as ``instance_url``: a string verbatim, other values as JSON."""
        return decode(library.token_field(self._handle, encode(name)))

    def __repr__(self) -> str:
        return f"<authgrant.Token ****, expires_at={self.expires_at}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is a secret and cannot be pickled; use its value")


class Headers(Dict[str, str]):
    """The headers that a request to the API must carry, by name. ``repr()`` does not show the values, which are secrets."""

    #: The token in the headers, to be passed to :meth:`Connection.reject`; None if the authentication method has no token.
    token: Token | None

    def __init__(self, headers: Mapping[str, str], token: Token | None) -> None:
        super().__init__(headers)
        self.token = token

    def __repr__(self) -> str:
        return "<authgrant.Headers {" + ", ".join(f"{name}: ****" for name in self) + "}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("headers are secrets and cannot be pickled; copy them with dict()")


def read_headers(handle: HeadersHandle) -> Headers:
    """Copies the headers; their token keeps `handle`."""
    count: int = library.headers_count(handle)
    names: list[Any] = [library.headers_name(handle, index) for index in range(count)]
    values: list[Any] = [library.headers_value(handle, index) for index in range(count)]
    token = library.headers_token(handle)
    return Headers(
        {name.decode(): value.decode() for name, value in zip(names, values)},
        Token(ctypes.c_void_p(token), handle) if token else None,
    )
