"""ctypes binding of libauthgrant, limited to what the tests in this directory need. The library is that of AUTHGRANT_LIBRARY, while the
package of bindings/python contains one.

Handles are always c_void_p, because ctypes would truncate a plain int to 32 bits when passing it to C. Text owned by an
object is returned as c_char_p and copied before the object is freed.
"""

import ctypes
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p

HANDLE = POINTER(c_void_p)
OPEN_URL = CFUNCTYPE(c_int32, c_char_p, c_void_p)
REFRESH_TOKEN = CFUNCTYPE(None, c_char_p, c_void_p)

# name: (result type, argument types...)
FUNCTIONS = {
    "open": (c_int32, c_char_p, HANDLE, HANDLE),
    "close": (None, c_void_p),
    "get_token": (c_int32, c_void_p, HANDLE, HANDLE),
    "get_token_with": (c_int32, c_void_p, c_void_p, HANDLE, HANDLE),
    "reject_token": (c_int32, c_void_p, c_void_p, HANDLE),
    "authorize": (c_int32, c_void_p, OPEN_URL, c_void_p, HANDLE),
    "logoff": (c_int32, c_void_p, HANDLE),
    "create_assertion": (c_int32, c_void_p, HANDLE, HANDLE),
    "set_refresh_token_callback": (c_int32, c_void_p, REFRESH_TOKEN, c_void_p, HANDLE),
    "string_free": (None, c_void_p),
    "token_value": (c_char_p, c_void_p),
    "token_length": (c_size_t, c_void_p),
    "token_type": (c_char_p, c_void_p),
    "token_expires_at": (c_int64, c_void_p),
    "token_refresh_at": (c_int64, c_void_p),
    "token_scope": (c_char_p, c_void_p),
    "token_free": (None, c_void_p),
    "clear_caches": (None,),
    "status_name": (c_char_p, c_int32),
    "version": (c_char_p,),
    "error_status": (c_int32, c_void_p),
    "error_sqlstate": (c_char_p, c_void_p),
    "error_message": (c_char_p, c_void_p),
    "error_option": (c_char_p, c_void_p),
    "error_oauth_error": (c_char_p, c_void_p),
    "error_oauth_description": (c_char_p, c_void_p),
    "error_consent_url": (c_char_p, c_void_p),
    "error_http_status": (c_int32, c_void_p),
    "error_next": (c_void_p, c_void_p),
    "error_free": (None, c_void_p),
}

NO_PROMPT, NO_NETWORK = 1, 2


class CallOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("timeout_ms", c_int32), ("min_validity_s", c_int32), ("flags", c_uint32)]


class AuthgrantError(Exception):
    """A copy of an authgrant_error."""

    def __init__(self, library, error):
        def text(getter):
            value = getter(error)
            return None if value is None else value.decode()

        self.status_code = library.error_status(error)
        self.status = library.status_name(self.status_code).decode().removeprefix("AUTHGRANT_")
        self.sqlstate = text(library.error_sqlstate)
        self.message = text(library.error_message)
        self.option = text(library.error_option)
        self.oauth_error = text(library.error_oauth_error)
        self.oauth_description = text(library.error_oauth_description)
        self.consent_url = text(library.error_consent_url)
        self.http_status = library.error_http_status(error)
        super().__init__(f"{self.status} {self.sqlstate} {self.message}")


class Token:
    """A copy of an authgrant_token."""

    def __init__(self, library, token):
        self.value = library.token_value(token).decode()
        self.length = library.token_length(token)
        self.type = library.token_type(token).decode()
        self.expires_at = library.token_expires_at(token)
        self.refresh_at = library.token_refresh_at(token)
        scope = library.token_scope(token)
        self.scope = None if scope is None else scope.decode()


class Library:
    def __init__(self, path):
        loaded = ctypes.CDLL(path)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(loaded, "authgrant_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def call_with_result(self, function, *arguments):
        """Calls a function whose last two arguments are out-parameters for a handle and the error; returns the handle."""
        result = c_void_p(0xDEAD)
        try:
            self.call_checked(function, *arguments, byref(result))
        except AuthgrantError:
            assert result.value is None, "failure must set the result to NULL"
            raise
        return result

    def call_checked(self, function, *arguments):
        """Calls a function whose last argument is the out-parameter for the error."""
        error = c_void_p(0xDEAD)
        status = function(*arguments, byref(error))
        if status == 0:
            assert error.value is None, "success must set the error to NULL"
            return
        try:
            assert self.error_status(error) == status
            raise AuthgrantError(self, error)
        finally:
            self.error_free(error)

    def connect(self, connection_string):
        return Connection(self, connection_string)


class Connection:
    def __init__(self, library, connection_string):
        self.library = library
        self.handle = library.call_with_result(library.open, connection_string.encode())
        self.callbacks = []  # keeps callbacks alive that the library may still call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.library.close(self.handle)
        self.handle = c_void_p()

    def get_token(self, flags=0):
        library = self.library
        if flags:
            options = CallOptions(ctypes.sizeof(CallOptions), 0, 0, flags)
            token = library.call_with_result(library.get_token_with, self.handle, ctypes.addressof(options))
        else:
            token = library.call_with_result(library.get_token, self.handle)
        try:
            return Token(library, token)
        finally:
            library.token_free(token)

    def reject_token(self):
        """Reports that the API rejected the current token with 401."""
        library = self.library
        token = library.call_with_result(library.get_token, self.handle)
        try:
            library.call_checked(library.reject_token, self.handle, token)
        finally:
            library.token_free(token)

    def authorize(self, open_url):
        """Runs the browser login; `open_url` receives the URL as str and shows it to the user."""

        def open_url_callback(url, _):
            open_url(url.decode())
            return 0

        self.library.call_checked(self.library.authorize, self.handle, OPEN_URL(open_url_callback), None)

    def log_off(self):
        self.library.call_checked(self.library.logoff, self.handle)

    def create_assertion(self):
        library = self.library
        text = library.call_with_result(library.create_assertion, self.handle)
        try:
            return ctypes.string_at(text).decode()
        finally:
            library.string_free(text)

    def set_refresh_token_callback(self, callback):
        self.callbacks.append(REFRESH_TOKEN(lambda token, _: callback(token.decode())))
        self.library.call_checked(self.library.set_refresh_token_callback, self.handle, self.callbacks[-1], None)
