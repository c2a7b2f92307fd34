"""Declarations of the C functions in include/authgrant.h, and the library that the package contains.

Pointers to objects are always c_void_p. A result that must be freed is never c_char_p, which would lose the pointer.
"""

from __future__ import annotations

import ctypes
import pathlib
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Callable

OUT = POINTER(c_void_p)

OPEN_URL = CFUNCTYPE(c_int32, c_char_p, c_void_p)
REFRESH_TOKEN = CFUNCTYPE(None, c_char_p, c_void_p)
AUDIT = CFUNCTYPE(None, c_char_p, c_void_p)
LOG = CFUNCTYPE(None, c_int32, c_char_p, c_void_p)
SIGN = CFUNCTYPE(c_int32, POINTER(c_uint8), c_size_t, POINTER(c_uint8), c_size_t, POINTER(c_size_t), c_void_p)
STORE_GET = CFUNCTYPE(c_int32, c_char_p, POINTER(c_uint8), c_size_t, POINTER(c_size_t), POINTER(c_int64), c_void_p)
STORE_LEASE = CFUNCTYPE(c_int32, c_char_p, POINTER(c_uint8), c_int64, POINTER(c_int32), c_void_p)
STORE_PUT = CFUNCTYPE(
    c_int32, c_char_p, POINTER(c_uint8), c_uint64, c_uint64, POINTER(c_uint8), c_size_t, c_int64, POINTER(c_int32), c_void_p
)
STORE_RELEASE = CFUNCTYPE(c_int32, c_char_p, POINTER(c_uint8), c_void_p)


class OpenOptions(ctypes.Structure):
    """authgrant_open_options."""

    _fields_ = [
        ("size", c_size_t),
        ("connection_string", c_void_p),
        ("length", c_ssize_t),
        ("unit_size", c_size_t),
        ("driver_keywords", POINTER(c_char_p)),
        ("driver_keyword_count", c_size_t),
    ]


class CallOptions(ctypes.Structure):
    """authgrant_call_options."""

    _fields_ = [
        ("size", c_size_t),
        ("timeout_ms", c_int32),
        ("min_validity_s", c_int32),
        ("flags", c_uint32),
        ("cancel_token", c_void_p),
    ]


class TokenStoreFunctions(ctypes.Structure):
    """authgrant_token_store."""

    _fields_ = [
        ("size", c_size_t),
        ("context", c_void_p),
        ("get", STORE_GET),
        ("lease", STORE_LEASE),
        ("put", STORE_PUT),
        ("release", STORE_RELEASE),
    ]


NO_PROMPT, NO_NETWORK = 1, 2
WITH_SECRETS, WITH_TOKENS, AS_GIVEN = 1, 2, 4

OK, NOT_CACHED, UNSUPPORTED = 0, 24, 20

# Name without "authgrant_": the types of the result and of the arguments.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "open": (c_int32, c_char_p, OUT, OUT),
    "open_wide": (c_int32, c_void_p, c_ssize_t, c_size_t, OUT, OUT),
    "open_with": (c_int32, POINTER(OpenOptions), OUT, OUT),
    "close": (None, c_void_p),
    "set_option": (c_int32, c_void_p, c_char_p, c_char_p, OUT),
    "set_options": (c_int32, c_void_p, POINTER(c_char_p), POINTER(c_char_p), c_size_t, OUT),
    "get_option": (c_int32, c_void_p, c_char_p, OUT, OUT),
    "browse": (c_int32, c_void_p, OUT, OUT),
    "completed_string": (c_int32, c_void_p, c_uint32, OUT, OUT),
    "option_table": (c_char_p,),
    "quote_value": (c_int32, c_char_p, OUT, OUT),
    "get_token": (c_int32, c_void_p, OUT, OUT),
    "get_token_with": (c_int32, c_void_p, POINTER(CallOptions), OUT, OUT),
    "reject_token": (c_int32, c_void_p, c_void_p, OUT),
    "copy_token": (c_int32, c_void_p, c_void_p, c_size_t, POINTER(c_size_t), OUT),
    "token_value": (c_char_p, c_void_p),
    "token_length": (c_size_t, c_void_p),
    "token_type": (c_char_p, c_void_p),
    "token_expires_at": (c_int64, c_void_p),
    "token_scope": (c_char_p, c_void_p),
    "token_field": (c_char_p, c_void_p, c_char_p),
    "token_refresh_at": (c_int64, c_void_p),
    "token_free": (None, c_void_p),
    "get_headers": (c_int32, c_void_p, OUT, OUT),
    "get_request_headers": (c_int32, c_void_p, c_char_p, c_char_p, POINTER(CallOptions), OUT, OUT),
    "headers_count": (c_size_t, c_void_p),
    "headers_name": (c_char_p, c_void_p, c_size_t),
    "headers_value": (c_char_p, c_void_p, c_size_t),
    "headers_token": (c_void_p, c_void_p),
    "headers_free": (None, c_void_p),
    "consent_url": (c_int32, c_void_p, OUT, OUT),
    "authorize": (c_int32, c_void_p, OPEN_URL, c_void_p, OUT),
    "authorize_with": (c_int32, c_void_p, POINTER(CallOptions), OPEN_URL, c_void_p, OUT),
    "logoff": (c_int32, c_void_p, OUT),
    "set_refresh_token_callback": (c_int32, c_void_p, REFRESH_TOKEN, c_void_p, OUT),
    "create_assertion": (c_int32, c_void_p, OUT, OUT),
    "validate": (c_int32, c_void_p, OUT, OUT),
    "validate_string": (c_int32, c_char_p, OUT, OUT),
    "explain": (c_int32, c_void_p, OUT, OUT),
    "test_connection": (c_int32, c_void_p, OUT, OUT),
    "get_warnings": (c_int32, c_void_p, OUT, OUT),
    "take_warnings": (c_int32, c_void_p, OUT, OUT),
    "get_stats": (c_int32, OUT, OUT),
    "set_log": (c_int32, c_void_p, LOG, c_void_p, c_int32, OUT),
    "error_status": (c_int32, c_void_p),
    "error_sqlstate": (c_char_p, c_void_p),
    "error_message": (c_char_p, c_void_p),
    "error_option": (c_char_p, c_void_p),
    "error_oauth_error": (c_char_p, c_void_p),
    "error_oauth_description": (c_char_p, c_void_p),
    "error_provider_code": (c_char_p, c_void_p),
    "error_consent_url": (c_char_p, c_void_p),
    "error_http_status": (c_int32, c_void_p),
    "error_retry_after": (c_int32, c_void_p),
    "error_retryable": (c_int32, c_void_p),
    "error_next": (c_void_p, c_void_p),
    "error_free": (None, c_void_p),
    "cancel": (c_int32, c_void_p, OUT),
    "set_signer": (c_int32, c_void_p, c_char_p, SIGN, c_void_p, OUT),
    "set_policy": (c_int32, c_uint32, c_uint32, OUT),
    "allow_directory": (c_int32, c_char_p, OUT),
    "set_audit": (c_int32, AUDIT, c_void_p, OUT),
    "set_token_store": (c_int32, POINTER(TokenStoreFunctions), OUT),
    "clear_caches": (None,),
    "cancel_token_new": (c_int32, OUT, OUT),
    "cancel_token_cancel": (None, c_void_p),
    "cancel_token_reset": (None, c_void_p),
    "cancel_token_free": (None, c_void_p),
    "to_wide": (c_int32, c_char_p, c_void_p, c_size_t, c_size_t, POINTER(c_size_t), OUT),
    "from_wide": (c_int32, c_void_p, c_ssize_t, c_size_t, OUT, OUT),
    "string_free": (None, c_void_p),
    "status_name": (c_char_p, c_int32),
    "version": (c_char_p,),
}


def find_library() -> pathlib.Path:
    """Returns the path of the library that the package contains."""
    directory = pathlib.Path(__file__).parent / "_lib"
    found = list(directory.glob("libauthgrant-py-*.so"))
    if len(found) != 1:
        raise ImportError(f"{directory} must contain one libauthgrant-py-*.so but has {len(found)}; reinstall authgrant")
    return found[0]


class Library:
    """The functions of FUNCTIONS as attributes."""

    def __init__(self, path: pathlib.Path) -> None:
        self.loaded = ctypes.CDLL(str(path))
        for name, (result, *arguments) in FUNCTIONS.items():
            function = self.loaded["authgrant_" + name]
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Reached only by a name that FUNCTIONS does not have; it gives the attributes their type.
        raise AttributeError(name)

    def untyped(self, name: str) -> Callable[..., Any]:
        """Returns the function without checks of the arguments, which take longer than the call.

        The arguments must be instances of ctypes types: an int would be truncated to 32 bits.
        """
        function = self.loaded["authgrant_" + name]
        function.restype = FUNCTIONS[name][0]
        return function


library = Library(find_library())
