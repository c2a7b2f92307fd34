"""Exceptions."""

import copy
import pickle

import pytest

import authgrant
from authgrant._errors import CLASSES


def test_oauth_error_is_read(server):
    with authgrant.Connection(server.client_string.replace("s3cret", "wrong")) as connection:
        with pytest.raises(authgrant.Denied) as failed:
            connection.token()
    error = failed.value
    assert (error.status, error.sqlstate, error.oauth_error, error.http_status) == (14, "28000", "invalid_client", 401)
    assert error.retryable is False and error.consent_url is None and error.provider_code is None
    assert "wrong" not in repr(error) and "wrong" not in str(error.__dict__)


def test_throttled_error_has_retry_after(own_server):
    own_server.behave({"always": {"json": {"status": 429, "body": {}, "headers": [["Retry-After", "77"]]}}})
    with authgrant.Connection(own_server.client_string) as connection:
        with pytest.raises(authgrant.Throttled) as failed:
            connection.token(timeout=5)
    assert failed.value.retryable and 70 <= failed.value.retry_after <= 77


# Entra authenticates clients by such an assertion; the JWT bearer grant is unusual there.
@pytest.mark.filterwarnings("ignore::authgrant.AuthgrantWarning")
def test_provider_code_and_consent_url_are_read(own_server):
    body = {"error": "invalid_grant", "error_description": "AADSTS65001: The user has not consented"}
    own_server.behave({"always": {"json": {"status": 400, "body": body}}})
    string = own_server.connection_string + f"Provider=entra;AuthURI={own_server.url}/oauth/auth;RedirectURI=http://127.0.0.1:3000;"
    with authgrant.Connection(string) as connection, pytest.raises(authgrant.ConsentRequired) as failed:
        connection.token()
    assert failed.value.provider_code == "AADSTS65001"
    assert failed.value.consent_url.startswith(own_server.url)


def test_every_invalid_option_is_in_chain():
    with pytest.raises(authgrant.InvalidOption) as failed:
        authgrant.Connection(LoginTimeout="x", WSTimeout="y", ProxyPort="z")
    errors = failed.value.errors
    assert {error.option for error in errors} == {"LoginTimeout", "WSTimeout", "ProxyPort"}
    assert errors[0] is failed.value and all(type(error) is authgrant.InvalidOption for error in errors)


@pytest.mark.parametrize("duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_error_can_be_pickled(duplicate):
    with pytest.raises(authgrant.InvalidOption) as failed:
        authgrant.Connection(LoginTimeout="x", WSTimeout="y")
    result = duplicate(failed.value)
    assert type(result) is authgrant.InvalidOption
    assert (str(result), result.option, result.sqlstate) == (str(failed.value), failed.value.option, "HY024")
    assert len(result.errors) == 2


def test_each_class_is_error_with_its_status():
    for status, kind in CLASSES.items():
        error = kind("[authgrant][test] text", option="Scope")
        assert error.status == status and isinstance(error, authgrant.Error)
        assert repr(error) == f"{kind.__name__}('[authgrant][test] text', sqlstate='HY000', option='Scope')"


def test_warning_can_be_pickled():
    warning = authgrant.AuthgrantWarning("text", sqlstate="01S00", option="Scope")
    result = pickle.loads(pickle.dumps(warning))
    assert (str(result), result.sqlstate, result.option) == ("text", "01S00", "Scope")
