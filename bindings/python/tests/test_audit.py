"""The audit function of the process."""

import json
import os
import threading

import pytest

import authgrant
from authgrant import _audit


@pytest.fixture
def set_audit():
    """`authgrant.set_audit`; the function is removed after the test."""
    yield authgrant.set_audit
    authgrant.set_audit(None)


@pytest.fixture
def connect(server):
    """Opens a connection with a cache of its own."""
    return lambda: authgrant.Connection(server.client_string)


def fetch(connect):
    with connect() as connection:
        return connection.token()


def test_function_receives_events(connect, set_audit):
    events = []
    set_audit(events.append)
    with connect() as connection:
        token = connection.token()
        assert connection.token().value == token.value
        connection.reject(token)
    request, rejection = events
    assert (request["event"], request["status"], request["pid"]) == ("token_request", "AUTHGRANT_OK", os.getpid())
    assert (rejection["event"], rejection["cache_key"]) == ("rejection", request["cache_key"])
    assert token.value not in json.dumps(events)


def test_second_function_is_refused_until_removal(connect, set_audit):
    first, second = [], []
    set_audit(first.append)
    with pytest.raises(authgrant.InvalidArgument) as raised:
        set_audit(second.append)
    assert raised.value.sqlstate == "HY010"
    set_audit(None)
    set_audit(second.append)
    fetch(connect)
    assert (len(first), len(second)) == (0, 1)
    set_audit(None)
    assert _audit._registered is None


def test_exception_is_logged_and_call_goes_on(connect, set_audit, caplog):
    def fail(event):
        raise ValueError("full")

    set_audit(fail)
    assert fetch(connect).value
    [record] = [record for record in caplog.records if record.name == "authgrant"]
    assert "token_request" in record.getMessage() and record.exc_info[0] is ValueError


def test_calls_inside_function_are_refused(connect, set_audit):
    errors = []

    def call(event):
        try:
            authgrant.set_audit(None)
        except authgrant.Error as error:
            errors.append(error.sqlstate)

    set_audit(call)
    fetch(connect)
    assert errors == ["HY010"]


def test_removal_waits_for_call(connect, set_audit):
    entered, permitted, order = threading.Event(), threading.Event(), []

    def block(event):
        entered.set()
        permitted.wait(60)
        order.append("call")

    set_audit(block)
    call = threading.Thread(target=fetch, args=(connect,))
    call.start()
    assert entered.wait(60)

    def remove():
        authgrant.set_audit(None)
        order.append("removal")

    removal = threading.Thread(target=remove)
    removal.start()
    while True:  # until the removal has begun
        try:
            set_audit(lambda event: None)
            break
        except authgrant.InvalidArgument:
            pass
    permitted.set()
    removal.join()
    call.join()
    assert order == ["call", "removal"]


def test_forked_child_keeps_function(connect, set_audit):
    events = []
    set_audit(events.append)
    with connect() as connection:
        connection.token()
        child = os.fork()
        if child == 0:
            connection.token()
            os._exit(40 if [event["pid"] for event in events[1:]] == [os.getpid()] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 40
