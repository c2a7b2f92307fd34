"""OAuth access tokens from an ODBC-style connection string.

    import authgrant

    with authgrant.Connection("AuthenticationMethod=55;ClaimsIssuer=...;JWTCertStore=jwtcert.p12;...") as connection:
        token = connection.token()
        print(token.type, token.expires_at)

Call :meth:`Connection.token` before each request. :class:`authgrant.requests.Auth` and :class:`authgrant.httpx.Auth` do that, and handle
HTTP 401. Errors are subclasses of :class:`Error`, one for each status.

:func:`set_policy`, :func:`allow_directory`, :func:`set_audit`, :func:`set_token_store` and :func:`clear_caches` act on the whole process
and belong to the application, not to a library in it.
"""

from __future__ import annotations

import enum
import json
import os
from typing import Any

from . import _call
from ._audit import set_audit
from ._cancel import CancelToken
from ._connection import Connection, OptionValue, quote_value
from ._errors import (
    AuthgrantWarning,
    BadResponse,
    BufferTooSmall,
    Cancelled,
    ConsentRequired,
    DataSourceNotFound,
    Denied,
    Error,
    InternalError,
    InvalidArgument,
    InvalidConnectionString,
    InvalidOption,
    KeyNotFound,
    KeyPasswordError,
    KeyStoreError,
    KeyUnsuitable,
    MissingOption,
    NetworkError,
    NotCached,
    OutOfMemory,
    ServerError,
    Throttled,
    Timeout,
    TLSError,
    TokenExpired,
    Unsupported,
)
from ._library import library
from ._token import Headers, Token
from ._token_store import TokenStore, set_token_store

__all__ = [
    "Allow",
    "AuthgrantWarning",
    "BadResponse",
    "BufferTooSmall",
    "CancelToken",
    "Cancelled",
    "Connection",
    "ConsentRequired",
    "DataSourceNotFound",
    "Denied",
    "Error",
    "Forbid",
    "Headers",
    "InternalError",
    "InvalidArgument",
    "InvalidConnectionString",
    "InvalidOption",
    "KeyNotFound",
    "KeyPasswordError",
    "KeyStoreError",
    "KeyUnsuitable",
    "MissingOption",
    "NetworkError",
    "NotCached",
    "OptionValue",
    "OutOfMemory",
    "ServerError",
    "TLSError",
    "Throttled",
    "Timeout",
    "Token",
    "TokenExpired",
    "TokenStore",
    "Unsupported",
    "allow_directory",
    "clear_caches",
    "option_table",
    "quote_value",
    "set_audit",
    "set_policy",
    "set_token_store",
    "stats",
    "validate",
    "version",
]


class Allow(enum.IntFlag):
    """Permissions of :func:`set_policy`."""

    #: Secrets as ``env:NAME`` and ``file:PATH``, and ClientAssertionFile, in a connection string.
    SECRET_REFERENCES = 1
    #: A PKCS#11 module that a connection string names by path.
    PKCS11_MODULE_PATH = 2
    #: TokenCache and the options that begin with TokenCache in a connection string.
    TOKEN_CACHE = 4


class Forbid(enum.IntFlag):
    """Restrictions of :func:`set_policy`."""

    #: Token requests by GET.
    HTTP_GET = 1
    #: ValidateServerCertificate=0.
    INSECURE_TLS = 2
    #: http:// URLs of this machine, except RedirectURI.
    LOOPBACK_HTTP = 4
    #: EnableLoginPrompt=1, and ``authorize()`` without a function.
    PROMPT = 8
    #: Key stores with weak encryption.
    WEAK_KEY_ENCRYPTION = 16
    #: Tokens shared between connections.
    SHARED_TOKENS = 32
    #: File paths in a connection string, except below the directories of :func:`allow_directory`.
    FILE_PATHS = 64
    #: TLS 1.2: only TLS 1.3 is offered.
    TLS12 = 128


def set_policy(allow: Allow = Allow(0), forbid: Forbid = Forbid(0)) -> None:
    """Sets what connection strings may do in this process (SECURITY.md).

    After the first connection the policy can only be tightened; otherwise InvalidArgument is raised.
    """
    _call.call(library.set_policy, int(allow), int(forbid))


def allow_directory(path: str | os.PathLike[str]) -> None:
    """Allows file paths in connection strings below a directory although Forbid.FILE_PATHS is set.

    Call it before the first connection is opened. Errors: InvalidArgument.
    """
    _call.call(library.allow_directory, _call.encode(os.fspath(path)))


def clear_caches() -> None:
    """Clears the caches of the process: tokens, opened keys and idle connections to servers. Secrets are overwritten."""
    library.clear_caches()


def validate(connection_string: str) -> dict[str, Any]:
    """Checks a connection string offline, as :meth:`Connection.validate`, even one that cannot be opened."""
    report: dict[str, Any] = json.loads(_call.call_for_text(library.validate_string, _call.encode(connection_string)))
    return report


def stats() -> dict[str, Any]:
    """Returns the counters of the process, for monitoring (docs/stats.md)."""
    counters: dict[str, Any] = json.loads(_call.call_for_text(library.get_stats))
    return counters


def option_table() -> list[dict[str, Any]]:
    """Returns all options: name, aliases, type, values, default, secret and help."""
    table: list[dict[str, Any]] = json.loads(library.option_table())
    return table


def version() -> str:
    """Returns the version of the library."""
    return str(library.version().decode())
