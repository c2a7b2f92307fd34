"""An exception class for each status of the C API, and the category of warnings."""

from __future__ import annotations

from typing import Any, Iterator

from ._library import library


class Error(Exception):
    """An error of the library. Each status of the C API has a subclass.

    ``str(error)`` is the message: ``[authgrant][component] text``. It never contains a secret. Errors can be pickled.
    """

    #: The status of the C API, which is also ODBC's native error code.
    status: int = 0
    #: The SQLSTATE, five characters.
    sqlstate: str
    #: The name of the option that the error is about.
    option: str | None
    #: Whether the same call may succeed later without any change.
    retryable: bool
    #: Seconds to wait before the next attempt, as requested by the server or by the cached error.
    retry_after: int | None
    #: The URL to open in a browser, with ConsentRequired.
    consent_url: str | None
    #: The error code of the provider, such as ``AADSTS700027``.
    provider_code: str | None
    #: The HTTP status of the response.
    http_status: int | None
    #: The ``error`` of the server, such as ``invalid_grant`` (RFC 6749 section 5.2).
    oauth_error: str | None
    #: The ``error_description`` of the server, without control characters.
    oauth_description: str | None

    def __init__(
        self,
        message: str = "",
        *,
        sqlstate: str = "HY000",
        option: str | None = None,
        retryable: bool = False,
        retry_after: int | None = None,
        consent_url: str | None = None,
        provider_code: str | None = None,
        http_status: int | None = None,
        oauth_error: str | None = None,
        oauth_description: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.option = option
        self.retryable = retryable
        self.retry_after = retry_after
        self.consent_url = consent_url
        self.provider_code = provider_code
        self.http_status = http_status
        self.oauth_error = oauth_error
        self.oauth_description = oauth_description
        self._further: tuple[Error, ...] = ()

    @property
    def message(self) -> str:
        """The message, as ``str(error)``."""
        return str(self)

    @property
    def errors(self) -> tuple[Error, ...]:
        """All errors of the call, this one first: MissingOption has one for each missing option."""
        # Not stored, because an error that refers to itself lives until the next garbage collection.
        return (self, *self._further)

    def __repr__(self) -> str:
        option = "" if self.option is None else f", option={self.option!r}"
        return f"{type(self).__name__}({str(self)!r}, sqlstate={self.sqlstate!r}{option})"


class InvalidArgument(Error):
    """An argument is invalid, or the function was called from inside a callback (SQLSTATE HY010)."""

    status = 1


class InvalidConnectionString(Error):
    """The connection string violates the grammar; the message has the offset."""

    status = 2


class InvalidOption(Error):
    """An option is unknown, invalid, in conflict with another one or not allowed by the policy."""

    status = 3


class MissingOption(Error):
    """Required options are missing; ``errors`` has one error for each of them."""

    status = 4


class DataSourceNotFound(Error):
    """The DSN is unknown, or the FILEDSN is missing or unreadable."""

    status = 5


class KeyStoreError(Error):
    """The key store is missing, unreadable, malformed or of an unknown kind; or the signer failed."""

    status = 6


class KeyPasswordError(Error):
    """The key store or the key cannot be decrypted: the password is wrong or missing, or the file was altered."""

    status = 7


class KeyNotFound(Error):
    """The alias is missing, or there are several keys and no alias is set; the message lists the aliases."""

    status = 8


class KeyUnsuitable(Error):
    """The key cannot be used with the algorithm, or is too short."""

    status = 9


class NetworkError(Error):
    """Name resolution, connection or proxy failed. Retryable."""

    status = 10


class TLSError(Error):
    """The TLS handshake or the certificate check failed."""

    status = 11


class Timeout(Error):
    """The deadline of the call passed (SQLSTATE HYT00), or the timeout of one request (HYT01). Retryable."""

    status = 12


class Cancelled(Error):
    """The call was cancelled by :meth:`Connection.cancel` or its :class:`CancelToken`."""

    status = 13


class Denied(Error):
    """The authorization server rejected the request; see ``oauth_error``."""

    status = 14


class ConsentRequired(Error):
    """A user must log in, or a user or an administrator must consent first; see ``consent_url``."""

    status = 15


class Throttled(Error):
    """The server is rate limiting requests; see ``retry_after``. Retryable."""

    status = 16


class ServerError(Error):
    """The authorization server failed. Retryable."""

    status = 17


class BadResponse(Error):
    """The response is not an OAuth response."""

    status = 18


class TokenExpired(Error):
    """The token has expired and cannot be renewed."""

    status = 19


class Unsupported(Error):
    """The authentication method is not supported, or it has headers but no token (use :meth:`Connection.headers`)."""

    status = 20


class OutOfMemory(Error):
    """A size taken from external input is too large."""

    status = 21


class InternalError(Error):
    """An internal error, which is a bug of the library."""

    status = 22


class BufferTooSmall(Error):
    """A buffer is too small. No function of this package returns it."""

    status = 23


class NotCached(Error):
    """No token is cached, and ``network=False`` was passed."""

    status = 24


CLASSES: dict[int, type[Error]] = {kind.status: kind for kind in Error.__subclasses__()}


class AuthgrantWarning(UserWarning):
    """A warning about a connection, such as an unknown option or a disabled certificate check."""

    #: The SQLSTATE, five characters.
    sqlstate: str
    #: The name of the option that the warning is about.
    option: str | None

    def __init__(self, message: str = "", *, sqlstate: str = "01000", option: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.option = option


def decode(text: bytes | None) -> str | None:
    """Decodes a text of the library."""
    return None if text is None else text.decode()


def _chain(pointer: int | None) -> Iterator[int]:
    while pointer:
        yield pointer
        pointer = library.error_next(pointer)


def _read_error(pointer: int) -> Error:
    status: int = library.error_status(pointer)
    error = CLASSES.get(status, Error)(
        library.error_message(pointer).decode(),
        sqlstate=library.error_sqlstate(pointer).decode(),
        option=decode(library.error_option(pointer)),
        retryable=library.error_retryable(pointer) == 1,
        retry_after=library.error_retry_after(pointer) or None,
        consent_url=decode(library.error_consent_url(pointer)),
        provider_code=decode(library.error_provider_code(pointer)),
        http_status=library.error_http_status(pointer) or None,
        oauth_error=decode(library.error_oauth_error(pointer)),
        oauth_description=decode(library.error_oauth_description(pointer)),
    )
    error.status = status
    return error


def take_error(pointer: int) -> Error:
    """Converts an authgrant_error with its chain, and frees it."""
    try:
        error, *further = [_read_error(one) for one in _chain(pointer)]
        error._further = tuple(further)
        return error
    finally:
        library.error_free(pointer)


def take_warnings(pointer: int | None) -> tuple[AuthgrantWarning, ...]:
    """Converts a chain of warnings, and frees it."""

    def read(one: int) -> AuthgrantWarning:
        fields: dict[str, Any] = {"sqlstate": library.error_sqlstate(one).decode()}
        return AuthgrantWarning(library.error_message(one).decode(), option=decode(library.error_option(one)), **fields)

    try:
        return tuple(read(one) for one in _chain(pointer))
    finally:
        library.error_free(pointer)
