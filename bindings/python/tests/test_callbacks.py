"""Callbacks: on which thread they run, and what happens to their exceptions."""

import contextvars
import gc
import logging
import threading
import urllib.request

import pytest

import authgrant
from authgrant import _call
from fixtures import free_port, run_tool

variable = contextvars.ContextVar("variable", default="default")


def login_string(server):
    redirect = f"http://127.0.0.1:{free_port()}/cb"
    server.post("register", {"issuer": "login", "options": {"redirect_uris": [redirect]}})
    return (
        f"AuthenticationMethod=56;ClientID=login;RedirectURI={redirect};AuthURI={server.url}/oauth/auth;ConsentTimeout=60;"
        f"TokenURI=POST {server.url}/oauth/token;Scope=offline_access;"
    )


def browse(url):
    """Opens the URL as a browser does, in the background: the login waits for it."""
    thread = threading.Thread(target=lambda: urllib.request.urlopen(url, timeout=30).close())
    thread.start()
    return thread


def test_login_reports_refresh_tokens(server):
    seen, refresh_tokens, browsers = [], [], []

    def open_url(url):
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))
        browsers.append(browse(url))

    variable.set("of the caller")
    with authgrant.Connection(login_string(server)) as connection:
        connection.set_refresh_token_callback(refresh_tokens.append)
        connection.authorize(open_url)
        browsers[0].join()
        first = connection.token()
        connection.reject(first)
        assert connection.token().value != first.value
        connection.set_refresh_token_callback(None)
    assert seen == [(False, "of the caller")], "expected the helper thread with the caller's context"
    assert len(set(refresh_tokens)) == 2, "expected the initial and the rotated refresh token"


def test_failing_open_url_is_cause_of_error(server):
    def open_url(_):
        raise LookupError("no display")

    with authgrant.Connection(login_string(server)) as connection:
        with pytest.raises(authgrant.Unsupported) as failed:
            connection.authorize(open_url)
    assert isinstance(failed.value.__cause__, LookupError)


def test_failing_refresh_token_callback_is_raised(server):
    def lose(_):
        raise OSError("disk full")

    browsers = []
    with authgrant.Connection(login_string(server)) as connection:
        connection.set_refresh_token_callback(lose)
        with pytest.raises(OSError, match="disk full"):
            connection.authorize(lambda url: browsers.append(browse(url)))
        browsers[0].join()


def test_signer_signs_assertion(server, signing_store, tmp_path):
    key = signing_store[0].with_name("jwtcert.key")

    def sign(message):
        (tmp_path / "message").write_bytes(message)
        run_tool("openssl", "dgst", "-sha256", "-sign", key, "-out", tmp_path / "signature", tmp_path / "message")
        return (tmp_path / "signature").read_bytes()

    string = server.connection_string.replace("JWTCertStore", "Description").replace("JWTCertPassword=secret;", "")
    with authgrant.Connection(string) as connection:
        connection.set_signer("RS256", sign)
        assert connection.token().value in server.get("issued")
        connection.set_signer(None, None)
        with pytest.raises(authgrant.MissingOption):
            connection.token()


@pytest.mark.parametrize("result", [b"", b"x" * 2000, None], ids=["empty", "long", "none"])
def test_invalid_signature_is_key_store_error(server, result):
    with authgrant.Connection(server.connection_string) as connection:
        connection.set_signer("RS256", lambda _: result)
        with pytest.raises(authgrant.KeyStoreError):
            connection.create_assertion()


def test_failing_signer_is_cause_of_error(server):
    def sign(_):
        raise ConnectionError("no key service")

    with authgrant.Connection(server.connection_string) as connection:
        connection.set_signer("RS256", sign)
        with pytest.raises(authgrant.KeyStoreError) as failed:
            connection.create_assertion()
    assert isinstance(failed.value.__cause__, ConnectionError)


def test_failing_signer_of_cached_token_is_cause_of_error(server, signing_store, tmp_path):
    """The first attempt is without a helper thread and without an error object."""
    results = [b"s" * 256]
    with authgrant.Connection("AuthenticationMethod=JWT;ClaimsIssuer=app;ClaimsAudience=api") as connection:
        connection.set_signer("RS256", lambda _: results.pop())
        assert connection.token().value
        authgrant.clear_caches()
        with pytest.raises(authgrant.KeyStoreError) as failed:
            connection.token()
    assert isinstance(failed.value.__cause__, IndexError)


class CallingHandler(logging.Handler):
    """Uses a connection inside the log callback."""

    def __init__(self, use):
        super().__init__()
        self.use, self.errors = use, []

    def emit(self, record):
        try:
            self.use()
        except Exception as error:
            self.errors.append(error)


def logger_with(use):
    logger = logging.Logger("authgrant.callback", logging.DEBUG)
    logger.addHandler(CallingHandler(use))
    return logger


def test_call_inside_callback_is_error(server):
    with authgrant.Connection(server.client_string) as connection:
        logger = logger_with(connection.token)
        connection.set_log(logger)
        connection.token()
    errors = logger.handlers[0].errors
    assert errors and {type(error) for error in errors} == {authgrant.InvalidArgument}
    assert {error.sqlstate for error in errors} == {"HY010"}


def test_connection_released_inside_callback_is_closed_later(server):
    others = [authgrant.Connection(f"{server.client_string}LogoffURI={server.url}/oauth/logoff;")]
    others[0].token()

    def release():
        others.clear()
        gc.collect()
        assert server.get("counts")["logoffs"] == 0

    with authgrant.Connection(server.client_string) as connection:
        logger = logger_with(release)
        connection.set_log(logger)
        connection.token()
    assert logger.handlers[0].errors == []
    assert not _call._unclosed and server.get("counts")["logoffs"] == 1


def test_call_inside_callback_of_either_thread_is_error():
    """The first token is signed on the helper thread, the next one on the main thread, because it needs no network."""
    seen = []

    def sign(_):
        with pytest.raises(authgrant.InvalidArgument) as failed:
            connection.explain()
        seen.append((threading.current_thread() is threading.main_thread(), failed.value.sqlstate))
        return b"s" * 256

    with authgrant.Connection("AuthenticationMethod=JWT;ClaimsIssuer=app;ClaimsAudience=api") as connection:
        connection.set_signer("RS256", sign)
        connection.token()
        authgrant.clear_caches()
        connection.token()
    assert seen == [(False, "HY010"), (True, "HY010")]


def test_interrupt_in_callback_of_main_thread_is_raised():
    """Ctrl-C may arrive while a callback runs on the main thread."""
    interrupted = []

    def sign(_):
        if interrupted:
            interrupted.pop()
            raise KeyboardInterrupt
        return b"s" * 256

    with authgrant.Connection("AuthenticationMethod=JWT;ClaimsIssuer=app;ClaimsAudience=api") as connection:
        connection.set_signer("RS256", sign)
        connection.token()
        interrupted.append(True)
        authgrant.clear_caches()
        with pytest.raises(KeyboardInterrupt):
            connection.token()
