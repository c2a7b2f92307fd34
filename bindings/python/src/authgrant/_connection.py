"""Connections: the options of a connection string, and the calls on them."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import sys
import warnings
from time import time
from typing import Any, Callable, Iterable, Mapping, NoReturn, TypeVar, Union

from . import _call
from ._call import ConnectionHandle, call, call_for_optional_text, call_for_pointer, call_for_text, encode, run_interruptibly
from ._cancel import CancelToken
from ._errors import AuthgrantWarning, Error, take_warnings
from ._library import (
    AS_GIVEN,
    LOG,
    NO_NETWORK,
    NO_PROMPT,
    OK,
    OPEN_URL,
    REFRESH_TOKEN,
    SIGN,
    UNSUPPORTED,
    WITH_SECRETS,
    WITH_TOKENS,
    CallOptions,
    OpenOptions,
    library,
)
from ._token import Headers, HeadersHandle, Token, TokenHandle, read_headers

T = TypeVar("T")

#: The value of an option.
OptionValue = Union[str, int, bool, "os.PathLike[str]"]

# Options that only a connection string can have.
STRING_OPTIONS = {"dsn", "datasourcename", "filedsn"}

# Levels of the library and of logging. Trace has no level of its own there.
LOG_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: 5}

# The C API has one handle for each CPU, up to 8; more are of earlier options or token periods.
MAX_HANDLES = 16

PACKAGE = os.path.dirname(os.path.abspath(__file__))

# The fast path of Connection.token(): ctypes takes longer to convert arguments than the function runs, so they are converted here.
_get_token_fast = library.untyped("get_token_with")
_token_free_fast = library.untyped("token_free")
_no_network = CallOptions(ctypes.sizeof(CallOptions), flags=NO_NETWORK)
_no_network_reference = ctypes.byref(_no_network)


def quote_value(value: str) -> str:
    """Quotes a value for use in a connection string, adding braces if needed."""
    return call_for_text(library.quote_value, encode(value))


def _option_text(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    return os.fspath(value)


def _call_options(
    timeout: float | None, min_validity: float | None, prompt: bool, network: bool, cancel_token: CancelToken
) -> CallOptions:
    # 0 is the default of the C API, so a timeout of 0 is the shortest one.
    timeout_ms = 0 if timeout is None else max(1, math.ceil(timeout * 1000))
    flags = (0 if prompt else NO_PROMPT) | (0 if network else NO_NETWORK)
    if not 0 <= timeout_ms < 2**31 or not 0 <= (min_validity or 0) < 2**31 or (timeout or 0) < 0:
        raise ValueError("timeout and min_validity must be between 0 and 2**31 (milliseconds and seconds)")
    return CallOptions(ctypes.sizeof(CallOptions), timeout_ms, math.ceil(min_validity or 0), flags, cancel_token._handle)


def _open(text: str, driver_keywords: Iterable[str]) -> ConnectionHandle:
    encoded = encode(text)
    names = [encode(name) for name in driver_keywords]
    keywords = (ctypes.c_char_p * len(names))(*names)
    string = ctypes.cast(ctypes.c_char_p(encoded), ctypes.c_void_p)
    options = OpenOptions(ctypes.sizeof(OpenOptions), string, 0, 0, keywords, len(names))
    return ConnectionHandle(call_for_pointer(library.open_with, ctypes.byref(options)))


def _new_slot() -> tuple[ctypes.c_void_p, Any]:
    """An out-parameter for a pointer, and the argument that refers to it."""
    slot = ctypes.c_void_p()
    return slot, ctypes.byref(slot)


def _cancel(handle: ConnectionHandle) -> None:
    call(library.cancel, handle)


def _stack_level() -> int:
    """The `stacklevel` of warnings.warn() in the caller of this function for the frame that called this package."""
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == PACKAGE:
        level, frame = level + 1, frame.f_back
    return level + 1


class Connection:
    """A connection: the options of a connection string plus options set later.

    ``connection_string`` is an ODBC connection string as the user wrote it. Keyword arguments are options by their name, such as
    ``AuthenticationMethod=55``; they count as set by :meth:`set_options`, except DSN and FILEDSN, which become part of the string.
    ``driver_keywords`` are keywords of a driver, such as ``"Schema"`` or, with an alias, ``"Table;T"``: they may occur in the string
    and are options from then on. Opens no key file and sends nothing. Errors: InvalidConnectionString, DataSourceNotFound;
    InvalidOption for a keyword argument.

    All methods may be called from any thread, also at the same time. The connection may be used in a forked child. A method that
    may wait for a server or a user runs the C function on a helper thread if it is called on the main thread, so that Ctrl-C
    cancels it; on other threads there is no helper thread. Callbacks run on the thread of the C function, possibly on several threads
    at once. Inside a callback no method of a connection may be called. An exception in a callback is raised by the method during
    which it ran.

    Use the connection as a context manager, or call :meth:`close`.
    """

    def __init__(self, connection_string: str = "", *, driver_keywords: Iterable[str] = (), **options: OptionValue) -> None:
        in_string = {name: value for name, value in options.items() if name.lower() in STRING_OPTIONS}
        # First, because the first occurrence of an option counts.
        text = "".join(f"{name}={quote_value(_option_text(value))};" for name, value in in_string.items()) + connection_string
        #: None after close().
        self._handle: ConnectionHandle | None = _open(text, driver_keywords)
        # The tokens of the last handles by their address. An address stays valid as long as its token is here.
        self._tokens: dict[int | None, Token] = {}
        # The last token and its headers.
        self._last_headers: tuple[Token | None, Headers | None] = (None, None)
        # Out-parameters of the fast path that are not in use.
        self._slots: list[tuple[ctypes.c_void_p, Any]] = []
        # The texts of the warnings that were issued.
        self._warned: set[str] = set()
        if others := {name: value for name, value in options.items() if name not in in_string}:
            self.set_options(others)
        self._issue_warnings()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<authgrant.Connection{' closed' if self._handle is None else ''} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection has secrets and cannot be pickled; open one in each process")

    def close(self) -> None:
        """Closes the connection. Calls in progress on other threads finish first; later ones raise ValueError.

        Tokens, headers and errors stay valid. With LogoffURI, closing the last connection that uses a token revokes the token, and
        waits at most 5 s. A connection without a reference is closed, too.
        """
        self._tokens, self._last_headers = {}, (None, None)
        self._handle = None

    def _open_handle(self) -> ConnectionHandle:
        handle = self._handle
        if handle is None:
            raise ValueError("the connection is closed")
        return handle

    def _with_handle(self, work: Callable[[ConnectionHandle], T]) -> T:
        """Runs `work`, which does not block."""
        handle = self._open_handle()
        try:
            return work(handle)
        except Error as error:
            # The frames of `work` have the handle, and would keep the connection open as long as the error.
            raise error.with_traceback(None)
        finally:
            del handle

    def _run(self, work: Callable[[ConnectionHandle], T], cancel: Callable[[ConnectionHandle], None] = _cancel) -> T:
        """Runs `work`, which may block, so that Ctrl-C cancels it with `cancel`."""
        result = self._with_handle(lambda handle: run_interruptibly(lambda: work(handle), lambda: cancel(handle)))
        self._issue_warnings()
        return result

    def _register(self, thunk: Any, register: Callable[[ConnectionHandle], None]) -> None:
        """Registers a callback, which lives as long as the connection: calls in progress may still invoke an earlier one."""

        def keep(handle: ConnectionHandle) -> None:
            handle.thunks.append(thunk)
            register(handle)

        self._with_handle(keep)

    # ---- options

    def set_option(self, name: str, value: OptionValue) -> None:
        """Sets one option by any of its names. An empty value removes the option.

        The value is used verbatim. That of a secret option may be a reference: ``env:NAME``, ``file:PATH`` or ``literal:TEXT``. Errors:
        InvalidOption.
        """
        texts = encode(name), encode(_option_text(value))
        self._with_handle(lambda handle: call(library.set_option, handle, *texts))

    def set_options(self, options: Mapping[str, OptionValue]) -> None:
        """Sets several options, or none of them on an error. Errors: InvalidOption, one in ``errors`` for each invalid option."""
        names = [encode(name) for name in options]
        values = [encode(_option_text(value)) for value in options.values()]
        array = ctypes.c_char_p * len(names)
        arrays = array(*names), array(*values)
        self._with_handle(lambda handle: call(library.set_options, handle, *arrays, len(names)))

    def get_option(self, name: str) -> str | None:
        """Returns the value in force of an option, by any of its names and whatever set it; None if nothing does.

        It may be a secret. References such as ``env:NAME`` are not resolved. Errors: InvalidOption.
        """
        text = encode(name)
        return self._with_handle(lambda handle: call_for_optional_text(library.get_option, handle, text))

    def browse(self) -> str | None:
        """Returns the options that are still missing, in the syntax of SQLBrowseConnect; None if none is."""
        return self._with_handle(lambda handle: call_for_optional_text(library.browse, handle))

    def completed_string(self, *, secrets: bool = False, tokens: bool = False, as_given: bool = False) -> str:
        """Returns the options in force as one connection string, on request with secrets and the current tokens.

        With ``as_given`` it is the string as it was given, with what was changed since: the data source is named and not copied
        out, and secrets are those of the string; ``secrets`` must be false.
        """
        include = (WITH_SECRETS if secrets else 0) | (WITH_TOKENS if tokens else 0) | (AS_GIVEN if as_given else 0)
        return self._with_handle(lambda handle: call_for_text(library.completed_string, handle, include))

    # ---- tokens

    def token(
        self,
        *,
        timeout: float | None = None,
        min_validity: float | None = None,
        prompt: bool = True,
        network: bool = True,
        cancel_token: CancelToken | None = None,
    ) -> Token:
        """Returns the access token to send, requesting a new one only if the cached token is missing or about to expire.

        Call it before each request: a cached token takes about a microsecond, and concurrent callers wait for one request. ``timeout``
        limits the call in seconds (default: LoginTimeout); ``min_validity`` is the minimum remaining lifetime in seconds, capped at
        90 % of the token's lifetime; ``prompt=False`` forbids opening a browser; ``network=False`` raises NotCached if a request would be
        needed; ``cancel_token`` cancels this call alone.

        Errors: ConsentRequired, MissingOption, InvalidOption, KeyStoreError, KeyPasswordError, KeyNotFound, KeyUnsuitable, NetworkError,
        TLSError, Timeout, Cancelled, Denied, Throttled, ServerError, BadResponse, TokenExpired, Unsupported, NotCached.
        """
        cached = self._cached_token() if min_validity is None and cancel_token is None else None
        if cached is not None:
            return cached
        of_call = CancelToken() if cancel_token is None else cancel_token
        options = _call_options(timeout, min_validity, prompt, network, of_call)
        if not network:
            return self._with_handle(lambda handle: self._get_token_with(handle, options))

        def interrupt(handle: ConnectionHandle) -> None:
            # A token of the caller would stay cancelled.
            if cancel_token is None:
                of_call.cancel()
            else:
                _cancel(handle)

        return self._run(lambda handle: self._get_token_with(handle, options), interrupt)

    def _cached_token(self) -> Token | None:
        """Returns the token that the next requests should carry, if the connection had a token and needs no network for this one.

        The C API checks everything that makes a token invalid; here the conversion of its result is cached.
        """
        tokens = self._tokens
        if not tokens:
            return None
        slots = self._slots
        try:
            entry = slots.pop()
        except IndexError:
            entry = _new_slot()
        slot, reference = entry
        handle = self._handle
        if _get_token_fast(handle, _no_network_reference, reference, None):
            del handle
            _call.raise_callback_error(interrupts_only=True)
            return None
        token = tokens.get(slot.value)
        if token is None:
            token = self._adopt(TokenHandle(slot.value))
            _call.raise_callback_error(interrupts_only=False)
        else:
            _token_free_fast(slot)
        slots.append(entry)
        # Without network the C API does not refresh the token before it expires.
        return token if token._refresh_at > time() else None

    def _get_token_with(self, handle: ConnectionHandle, options: CallOptions) -> Token:
        return self._adopt(TokenHandle(call_for_pointer(library.get_token_with, handle, ctypes.byref(options))))

    def _adopt(self, handle: TokenHandle) -> Token:
        """Returns the token of `handle`, and keeps it for the fast path."""
        token, known = Token(handle), self._tokens
        if len(known) >= MAX_HANDLES or any(other.value != token.value for other in known.values()):
            known = {}
        # Replaced and not changed, because other threads read it. The last of two threads wins, which only costs time.
        self._tokens = {**known, handle.value: token}
        return token

    def reject(self, token: Token) -> None:
        """Reports that the API rejected this token (HTTP 401), so that the next call requests a new one.

        Rejecting an already replaced token has no effect. Consecutive rejections count only if they are 1, 2, 4 ... 60 s apart; until
        then the same token is returned.
        """
        self._with_handle(lambda handle: call(library.reject_token, handle, token._handle))

    def headers(self) -> Headers:
        """Returns the headers that a request to the API must carry, by name.

        They are Authorization with the token, the header of AuthHeader and SecurityToken, and the headers of the model file. Errors: as
        :meth:`token`.
        """
        headers = self._cached_headers()
        return self._run(self._get_headers) if headers is None else headers

    def _cached_headers(self) -> Headers | None:
        """Returns the headers if that needs no network."""
        token = self._cached_token()
        if token is not None:
            # Other options would have another handle and so another token.
            known, headers = self._last_headers
            if known is token and headers is not None:
                return Headers(headers, headers.token)
        elif not self._needs_no_network():
            return None
        headers = self._with_handle(self._get_headers)
        if token is not None and headers.token is not None and headers.token.value == token.value:
            self._last_headers = token, headers
        return Headers(headers, headers.token)

    def _needs_no_network(self) -> bool:
        """Returns whether a token is cached, or the authentication method has none."""
        slot = ctypes.c_void_p()
        options = ctypes.byref(_no_network)
        status = self._with_handle(lambda handle: library.get_token_with(handle, options, ctypes.byref(slot), None))
        library.token_free(slot)
        _call.raise_callback_error(interrupts_only=status != OK)
        return status in (OK, UNSUPPORTED)

    @staticmethod
    def _get_headers(handle: ConnectionHandle) -> Headers:
        return read_headers(HeadersHandle(call_for_pointer(library.get_headers, handle)))

    def request_headers(
        self,
        method: str,
        url: str,
        *,
        timeout: float | None = None,
        prompt: bool = True,
        network: bool = True,
        cancel_token: CancelToken | None = None,
    ) -> Headers:
        """Returns the headers of one request to the API, with its method and URL.

        They are those of :meth:`headers`; method and URL are for a proof of possession (DPoP), which no option enables yet. The other
        arguments are those of :meth:`token`. Errors: as :meth:`token`.
        """
        of_call = CancelToken() if cancel_token is None else cancel_token
        options = _call_options(timeout, None, prompt, network, of_call)
        arguments = encode(method), encode(url), ctypes.byref(options)

        def get(handle: ConnectionHandle) -> Headers:
            return read_headers(HeadersHandle(call_for_pointer(library.get_request_headers, handle, *arguments)))

        return self._run(get)

    # ---- authorization by a user

    def consent_url(self) -> str:
        """Returns the URL that a user opens to give consent. Nothing is sent. Errors: MissingOption, InvalidOption."""
        return self._with_handle(lambda handle: call_for_text(library.consent_url, handle))

    def authorize(
        self,
        open_url: Callable[[str], object] | None = None,
        *,
        timeout: float | None = None,
        cancel_token: CancelToken | None = None,
    ) -> None:
        """Lets a user log in, or consent to what the grant needs, and waits for the redirect to RedirectURI.

        ``open_url`` is called with the URL and shows it to the user, without waiting; None opens the system browser. Waits at most
        ConsentTimeout seconds for the user; ``timeout`` limits the whole call in seconds instead, and ``cancel_token`` cancels this call
        alone. Errors: as :meth:`token`; Unsupported if the URL cannot be shown.
        """

        def show(url: bytes, _: object) -> int:
            def show_url() -> bool:
                assert open_url is not None
                open_url(url.decode())
                return True

            return 0 if _call.run_callback(show_url) else 1

        thunk = OPEN_URL() if open_url is None else OPEN_URL(show)
        of_call = CancelToken() if cancel_token is None else cancel_token
        options = _call_options(timeout, None, True, True, of_call)
        self._run(lambda handle: call(library.authorize_with, handle, ctypes.byref(options), thunk, None))

    def logoff(self) -> None:
        """Removes the token from the cache and ends the login; with LogoffURI, revokes the tokens there (RFC 7009)."""
        self._run(lambda handle: call(library.logoff, handle))

    def set_refresh_token_callback(self, function: Callable[[str], object] | None) -> None:
        """Registers a function that receives every new or rotated refresh token before the access token is returned; None unregisters it.

        To restore a stored token, set the option RefreshToken to it with the prefix ``literal:``.
        """

        def receive(refresh_token: bytes, _: object) -> None:
            assert function is not None
            _call.run_callback(lambda: function(refresh_token.decode()))

        thunk = REFRESH_TOKEN() if function is None else REFRESH_TOKEN(receive)
        self._register(thunk, lambda handle: call(library.set_refresh_token_callback, handle, thunk, None))

    def create_assertion(self) -> str:
        """Returns a newly signed JWT of the grant without sending it. It is a secret. Errors: those of the key; Unsupported."""
        return self._run(lambda handle: call_for_text(library.create_assertion, handle))

    # ---- diagnostics

    def validate(self) -> dict[str, Any]:
        """Checks the connection offline and reports all problems at once (docs/reports.md): ``valid``, ``problems``, ..."""
        return self._report(library.validate)

    def explain(self) -> dict[str, Any]:
        """Reports what the connection would send and why, with the origin of each value (docs/reports.md). Nothing is sent."""
        return self._report(library.explain)

    def test(self) -> dict[str, Any]:
        """Gets a token, sends a request to HealthURI or RestSamplePath and reports it (docs/reports.md): ``ok``, ``message``, ..."""
        return self._report(library.test_connection)

    def _report(self, function: Callable[..., int]) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._run(lambda handle: call_for_text(function, handle)))
        return report

    @property
    def warnings(self) -> tuple[AuthgrantWarning, ...]:
        """The warnings collected so far. They are also issued by :func:`warnings.warn`, once each."""
        return self._with_handle(lambda handle: take_warnings(call_for_pointer(library.get_warnings, handle)))

    def _issue_warnings(self) -> None:
        if _call.is_in_callback() or self._handle is None:
            return
        for warning in self.warnings:
            if str(warning) not in self._warned:
                self._warned.add(str(warning))
                warnings.warn(warning, stacklevel=_stack_level())

    def set_log(self, logger: logging.Logger | None, level: int | None = None) -> None:
        """Sends the log records of later calls to ``logger``; None ends that. They never contain a secret.

        ``level`` is a level of :mod:`logging`, by default the effective level of the logger. Trace records have the level 5.
        """

        def log(number: int, message: bytes, _: object) -> None:
            assert logger is not None
            _call.run_callback(logger.log, LOG_LEVELS.get(number, logging.DEBUG), "%s", message.decode())

        number = 0
        if logger is not None:
            threshold = logger.getEffectiveLevel() if level is None else level
            number = max((own for own, other in LOG_LEVELS.items() if other >= threshold), default=0)
        thunk = LOG(log) if number else LOG()
        self._register(thunk, lambda handle: call(library.set_log, handle, thunk, None, number or 1))

    # ---- control

    def cancel(self) -> None:
        """Cancels the calls in progress on this connection: each raises Cancelled within 0.25 s, plus the time of a running callback."""
        self._with_handle(_cancel)

    def set_signer(self, algorithm: str | None, sign: Callable[[bytes], bytes] | None) -> None:
        """Registers a function that signs the JWTs of this connection, for a key in a hardware module or a key service.

        ``algorithm`` is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA. ``sign`` receives the signing input, not
        its hash, and returns the signature; ECDSA as r and s concatenated or in DER. None restores the key of the options.
        """

        def write_signature(message: Any, length: int, signature: Any, capacity: int, signature_length: Any, _: object) -> int:
            assert sign is not None
            result = _call.run_callback(sign, ctypes.string_at(message, length))
            if result is None or len(result) > capacity:
                return 1
            ctypes.memmove(signature, bytes(result), len(result))
            signature_length[0] = len(result)
            return 0

        thunk = SIGN() if sign is None else SIGN(write_signature)
        name = None if algorithm is None else encode(algorithm)
        self._register(thunk, lambda handle: call(library.set_signer, handle, name, thunk, None))

