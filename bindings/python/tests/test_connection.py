"""Connections and tokens."""

import datetime
import gc
import json
import logging
import pickle
import threading
import warnings
import weakref

import pytest

import authgrant
from authgrant import _library
from authgrant._call import call_for_pointer
from authgrant._token import Token, TokenHandle
from fixtures import datadirect_string


def test_cached_token_needs_no_network(server):
    with authgrant.Connection(server.connection_string) as connection:
        token = connection.token()
        assert token.type == "Bearer"
        assert token.value in server.get("issued")
        now = datetime.datetime.now(datetime.timezone.utc)
        assert token.expires_at > token.refresh_at > now
        assert token.scope == "signature impersonation"
        assert token.field("no_such_member") is None
        assert connection.token(network=False).value == token.value
        assert connection.token().value == token.value
        assert connection.token(min_validity=60, timeout=30, prompt=False).value == token.value
    assert len(server.get("requests")) == 1


def test_datadirect_string_gets_token(server, signing_store):
    with pytest.warns(authgrant.AuthgrantWarning) as issued:
        connection = authgrant.Connection(datadirect_string(signing_store[0], server.url))
    assert {one.message.option for one in issued} == {"RestConfigFile", "TokenURI"}
    with connection:
        assert connection.token().value
        assert connection.headers()["response_type"] == "code"


def test_cached_token_returns_same_object(server):
    with authgrant.Connection(server.client_string) as connection:
        connection.token()
        first = connection.token()
        assert connection.token() is first


def test_no_network_without_token_is_not_cached(server):
    with authgrant.Connection(server.connection_string) as connection:
        with pytest.raises(authgrant.NotCached) as failed:
            connection.token(network=False)
    assert (failed.value.status, failed.value.sqlstate) == (24, "HY000")
    assert server.get("requests") == []


def test_wrong_password_names_store(server, directory):
    wrong = server.connection_string.replace("JWTCertPassword=secret", "JWTCertPassword=another")
    with authgrant.Connection(wrong) as connection:
        with pytest.raises(authgrant.KeyPasswordError) as failed:
            connection.token()
    assert failed.value.sqlstate == "28000"
    assert str(directory / "jwtcert.p12") in failed.value.message
    assert "another" not in failed.value.message


def test_many_connections_share_token(server):
    values = set()
    for _ in range(100):
        with authgrant.Connection(server.connection_string) as connection:
            values.add(connection.token().value)
    assert len(values) == 1


def test_token_object_hides_secret(server):
    with authgrant.Connection(server.client_string) as connection:
        token, headers = connection.token(), connection.headers()
        assert headers["Authorization"] == f"Bearer {token.value}" and headers.token.value == token.value
        for text in (repr(token), str(token), f"{token}", repr(headers), str(headers), repr(connection)):
            assert token.value not in text
        for secret in (token, headers, connection):
            with pytest.raises(TypeError):
                pickle.dumps(secret)


def test_rejected_token_is_replaced(server):
    with authgrant.Connection(server.client_string) as connection:
        first = connection.token()
        assert connection.token().value == first.value
        connection.reject(first)
        second = connection.token()
        assert second.value != first.value
        connection.reject(first)  # already replaced
        assert connection.token().value == second.value


def test_rejection_on_other_connection_is_seen(server):
    string = server.client_string.replace("CacheScope=Connection;", "")
    with authgrant.Connection(string) as one, authgrant.Connection(string) as other:
        first = one.token()
        assert other.token().value == first.value == other.token().value
        one.reject(first)
        assert other.token().value != first.value


def test_option_set_later_is_seen(server):
    with authgrant.Connection(server.client_string) as connection:
        first = connection.token()
        assert connection.token().value == first.value
        connection.set_option("Scope", "signature")
        second = connection.token()
        assert second.value != first.value
        connection.set_options({"Scope": "impersonation", "LoginTimeout": 30})
        assert connection.token().value != second.value


def test_token_is_renewed_before_it_expires(own_server):
    # The margin is limited to 90 % of the lifetime, so the token is due after three seconds.
    own_server.post("config", {"expires_in": {"number": 30}})
    with authgrant.Connection(own_server.client_string, RefreshMargin=30) as connection:
        first = token = connection.token()
        while token.value == first.value:
            threading.Event().wait(0.02)
            assert datetime.datetime.now(datetime.timezone.utc) < first.expires_at, "the token expired before it was renewed"
            token = connection.token()
        assert connection.token().value == token.value


def test_headers_follow_options(server):
    with authgrant.Connection(server.client_string, AuthHeader="X-Key", SecurityToken="one") as connection:
        for _ in range(5):
            headers = connection.headers()
            assert (headers["X-Key"], headers.token.value) == ("one", connection.token().value)
            headers["X-Key"] = "changed by the caller"
        connection.set_option("SecurityToken", "two")
        assert [connection.headers()["X-Key"] for _ in range(5)] == ["two"] * 5
        connection.reject(connection.token())
        assert connection.headers()["Authorization"] == f"Bearer {connection.token().value}" != headers["Authorization"]


def test_closed_connection_is_rejected(server):
    connection = authgrant.Connection(server.client_string)
    token = connection.token()
    connection.close()
    connection.close()
    assert token.value and token.type == "Bearer"
    for use in (connection.token, connection.headers, connection.explain, connection.cancel, lambda: connection.reject(token)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_close_revokes_token_even_after_error(server):
    string = f"{server.client_string}LogoffURI={server.url}/oauth/logoff;"
    connection = authgrant.Connection(string)
    connection.token()
    with pytest.raises(authgrant.Error) as direct:
        connection.consent_url()
    with pytest.raises(authgrant.Error) as on_helper_thread:
        connection.authorize(print)
    # Frames of a traceback must not keep the connection open.
    assert direct.value.__traceback__ is not None and on_helper_thread.value.__traceback__ is not None
    connection.close()
    assert server.get("counts")["logoffs"] >= 1


def test_unreferenced_connection_is_closed(server):
    connection = authgrant.Connection(f"{server.client_string}LogoffURI={server.url}/oauth/logoff;")
    connection.token()
    handle = weakref.ref(connection._handle)
    del connection
    gc.collect()
    assert handle() is None
    assert server.get("counts")["logoffs"] >= 1


def test_keywords_are_options(server):
    with authgrant.Connection(
        AuthenticationMethod=53, ClientID="app", ClientSecret="s3cret", TokenURI=f"POST {server.url}/oauth/token",
        ValidateServerCertificate=True,
    ) as connection:
        assert connection.token().value
    with pytest.raises(authgrant.InvalidOption) as failed:
        authgrant.Connection(NoSuchOption="1", LoginTimeout="soon")
    assert len(failed.value.errors) == 2


def test_keyword_dsn_is_part_of_string():
    with pytest.raises(authgrant.DataSourceNotFound) as failed:
        authgrant.Connection("ClaimsIssuer=app", FILEDSN="/no/such {file};.dsn")
    assert (failed.value.status, failed.value.sqlstate) == (5, "IM002")


def test_text_with_nul_is_rejected():
    for use in (lambda: authgrant.Connection("a\0b"), lambda: authgrant.validate("a\0b"), lambda: authgrant.quote_value("\0")):
        with pytest.raises(ValueError, match="NUL"):
            use()


def test_completed_string_opens_with_same_options(server):
    with authgrant.Connection(server.client_string) as connection:
        assert "s3cret" not in connection.completed_string()
        complete = connection.completed_string(secrets=True)
        assert "s3cret" in complete and "Auth_AccessToken" not in complete
        token = connection.token()
        assert token.value in connection.completed_string(tokens=True)
    with authgrant.Connection(complete) as connection:
        assert connection.token().value != token.value


def test_reports_are_parsed_json(server):
    with authgrant.Connection(server.client_string) as connection:
        assert connection.validate()["valid"] is True
        assert "s3cret" not in json.dumps(connection.explain())
        connection.set_option("HealthURI", f"{server.url}/api/whoami")
        assert connection.test()["ok"] is True
    assert authgrant.validate("ClaimsIssuer={")["valid"] is False
    assert {"AuthenticationMethod", "TokenURI"} <= {option["name"] for option in authgrant.option_table()}
    assert authgrant.stats()["authgrant_tokens_fetched_total"] >= 1
    assert authgrant.quote_value("a;b") == "{a;b}"


def test_consent_url_and_assertion(server):
    with authgrant.Connection(server.connection_string, AuthURI=f"{server.url}/oauth/auth", RedirectURI="http://127.0.0.1:3000") as connection:
        assert connection.consent_url().startswith(f"{server.url}/oauth/auth?")
        assert connection.create_assertion().count(".") == 2


def test_logoff_removes_token(server):
    with authgrant.Connection(server.client_string) as connection:
        first = connection.token()
        connection.logoff()
        assert connection.token().value != first.value


def test_warnings_are_issued_once_at_caller(server):
    with pytest.warns(authgrant.AuthgrantWarning) as issued:
        connection = authgrant.Connection(server.client_string + "NoSuchOption=1;")
        connection.token()
        connection.explain()
    assert [(one.message.sqlstate, one.filename) for one in issued] == [("01S00", __file__)]
    assert [str(one) for one in connection.warnings] == [str(issued[0].message)]
    connection.close()


def test_warning_of_later_call_is_issued(server):
    with authgrant.Connection(server.client_string) as connection:
        connection.set_option("TokenURI", f"GET {server.url}/oauth/token")
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            with pytest.raises(authgrant.Error):
                connection.token()
            connection.validate()
        assert {one.category for one in issued} <= {authgrant.AuthgrantWarning}
        assert len(issued) == len({str(one.message) for one in issued}) == len(connection.warnings)


def test_log_records_have_levels_and_no_secret(server, caplog):
    logger = logging.getLogger("authgrant.test")
    with authgrant.Connection(server.client_string) as connection, caplog.at_level(logging.DEBUG, "authgrant.test"):
        connection.set_log(logger)
        token = connection.token()
        levels = {record.levelno for record in caplog.records}
        assert {logging.INFO, logging.DEBUG} <= levels and 5 not in levels
        assert token.value not in caplog.text and "s3cret" not in caplog.text
        connection.set_log(logger, logging.CRITICAL)
        caplog.clear()
        connection.logoff()
        connection.token()
        assert caplog.records == []
        connection.set_log(None)


def test_policy_flags_reach_library():
    # The policy of this process cannot be loosened after the first connection.
    authgrant.Connection("").close()
    with pytest.raises(authgrant.InvalidArgument):
        authgrant.set_policy(allow=authgrant.Allow.SECRET_REFERENCES)
    with pytest.raises(authgrant.InvalidArgument):
        authgrant.allow_directory("/no/such/directory")
    authgrant.set_policy()


def test_invalid_durations_are_rejected(server):
    with authgrant.Connection(server.client_string) as connection:
        for arguments in ({"timeout": -1}, {"min_validity": -1}, {"timeout": 1e10}):
            with pytest.raises(ValueError):
                connection.token(**arguments)


def test_timeout_limits_call(server):
    server.behave({"always": "never_answer"})
    with authgrant.Connection(server.client_string) as connection:
        with pytest.raises(authgrant.Timeout) as failed:
            connection.token(timeout=0.2)
    assert (failed.value.sqlstate, failed.value.retryable) == ("HYT00", True)


def test_fast_path_and_typed_call_agree(server):
    with authgrant.Connection(server.client_string) as connection:
        connection.token()
        known = connection._handle.value
        typed = Token(TokenHandle(call_for_pointer(_library.library.get_token, connection._handle)))
        assert connection.token().value == typed.value
        assert connection._handle.value == known and _library.library.token_type(None) is None


def test_driver_keywords_are_options():
    keywords = ("Schema", "Table;T")
    with authgrant.Connection("T=orders;Scope=a", driver_keywords=keywords, Schema="s") as connection:
        assert connection.warnings == ()
        assert connection.get_option("table") == "orders" and connection.get_option("Schema") == "s"
        assert connection.completed_string() == "Scope=a;Schema=s;Table=orders;"
        assert connection.completed_string(as_given=True) == "T=orders;Scope=a;Schema=s;"
        connection.set_option("T", "")
        assert connection.get_option("Table") is None
        with pytest.raises(authgrant.InvalidOption):
            connection.get_option("View")
        with pytest.raises(authgrant.InvalidArgument):
            connection.completed_string(as_given=True, secrets=True)
    with pytest.raises(authgrant.InvalidArgument):
        authgrant.Connection("", driver_keywords=["a=b"])


def test_browse_is_none_when_complete():
    with authgrant.Connection("AuthenticationMethod=50") as connection:
        assert connection.browse() == "AccessToken:Access Token=?"
        connection.set_option("AccessToken", "t")
        assert connection.browse() is None


def test_request_headers_are_those_of_connection(server):
    with authgrant.Connection(server.connection_string) as connection:
        headers = connection.request_headers("GET", "https://api.example/v1", timeout=30)
        assert dict(headers) == dict(connection.headers())
        with pytest.raises(authgrant.InvalidArgument):
            connection.request_headers("GET", "/v1")
        cancelled = authgrant.CancelToken()
        cancelled.cancel()
        with pytest.raises(authgrant.Cancelled):
            connection.request_headers("GET", "https://api.example/v1", cancel_token=cancelled)
