"""Signals, threads, forked and spawned processes."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

import authgrant

HANGING_FETCH = pathlib.Path(__file__).with_name("hanging_fetch.py")


def test_interrupt_cancels_hanging_fetch(server):
    server.behave({"always": "never_answer"})
    child = subprocess.Popen([sys.executable, str(HANGING_FETCH), server.client_string], stdout=subprocess.PIPE, text=True)
    try:
        server.wait_for_requests(1)
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    # The fetch would hang for ten minutes.
    failures = json.loads(output)
    assert list(failures.values()) == [1] and "CANCELLED" in str(failures).upper()
    assert child.returncode == 0


def test_handler_that_returns_does_not_cancel(server):
    server.behave([{"delay": 300}])
    received = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: received.append(connection.token(network=False) if received else None))
    try:
        with authgrant.Connection(server.client_string) as connection:
            interrupter = threading.Thread(target=lambda: (server.wait_for_requests(1), os.kill(os.getpid(), signal.SIGUSR1)))
            interrupter.start()
            assert connection.token().value
            interrupter.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert received == [None]


def test_cancel_ends_call_of_other_thread(server):
    server.behave({"always": "never_answer"})
    errors = []
    with authgrant.Connection(server.client_string) as connection:

        def fetch():
            try:
                connection.token()
            except authgrant.Error as error:
                errors.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        server.wait_for_requests(1)
        connection.cancel()
        thread.join(timeout=30)
    assert [type(error) for error in errors] == [authgrant.Cancelled]


def test_cancel_token_ends_one_call(server):
    server.behave(["never_answer"])
    cancel_token = authgrant.CancelToken()
    with authgrant.Connection(server.client_string) as connection, concurrent.futures.ThreadPoolExecutor() as pool:
        cancelled = pool.submit(connection.token, cancel_token=cancel_token)
        server.wait_for_requests(1)
        neighbour = pool.submit(connection.token)
        cancel_token.cancel()
        with pytest.raises(authgrant.Cancelled):
            cancelled.result(timeout=30)
        assert neighbour.result(timeout=30).value
        with pytest.raises(authgrant.Cancelled):
            connection.token(cancel_token=cancel_token)
        cancel_token.reset()
        assert connection.token(cancel_token=cancel_token).value


def test_helper_thread_only_for_slow_call_of_main_thread(server, monkeypatch):
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self.name), start(self))[1])
    with authgrant.Connection(server.client_string) as connection:
        connection.token()
        assert started == ["authgrant"]
        for _ in range(10):
            connection.token()
            connection.token(timeout=30, prompt=False)
            connection.headers()
        assert started == ["authgrant"]
        with concurrent.futures.ThreadPoolExecutor(1, "pool") as pool:
            pool.submit(connection.explain).result()
    assert [name for name in started if name == "authgrant"] == ["authgrant"]
    assert "authgrant" not in {thread.name for thread in threading.enumerate()}


def test_64_threads_make_one_request(server):
    barrier = threading.Barrier(64)

    def fetch():
        barrier.wait()
        return [connection.token().value for _ in range(200)]

    with authgrant.Connection(server.client_string) as connection:
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            results = [future.result() for future in [pool.submit(fetch) for _ in range(64)]]
        assert len({value for values in results for value in values}) == 1
    assert len(server.get("requests")) == 1


def test_close_waits_for_calls_of_other_threads(server):
    server.behave(["gate"])
    results = []
    connection = authgrant.Connection(f"{server.client_string}LogoffURI={server.url}/oauth/logoff;")
    thread = threading.Thread(target=lambda: results.append(connection.token()))
    thread.start()
    server.wait_for_requests(1)
    connection.close()
    assert server.get("counts")["logoffs"] == 0
    server.post("release")
    thread.join(timeout=30)
    assert results[0].value in server.get("issued")
    assert server.get("counts")["logoffs"] == 1


def test_threads_use_connection_while_it_is_closed(server):
    for _ in range(20):
        connection = authgrant.Connection(server.connection_string)
        connection.token()
        connection.token()
        barrier, errors = threading.Barrier(5), []

        def use():
            barrier.wait()
            try:
                while True:
                    assert connection.token().value
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait()
        connection.close()
        for thread in threads:
            thread.join(timeout=30)
        assert [(type(error), str(error)) for error in errors] == [(ValueError, "the connection is closed")] * 4


def use_inherited_connection(connection, results):
    token = connection.token()
    connection.logoff()
    results.put((token.value, connection.token().value))


def test_forked_child_uses_inherited_connection(server):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with authgrant.Connection(server.connection_string) as connection:
        parent_token = connection.token().value
        child = context.Process(target=use_inherited_connection, args=(connection, results))
        child.start()
        child_tokens = results.get(timeout=30)
        child.join(timeout=30)
        assert child.exitcode == 0
        assert all(child_tokens) and child_tokens[0] != child_tokens[1]
        assert connection.token().value == parent_token
        authgrant.clear_caches()
        assert connection.token().value


def test_child_forked_among_busy_threads_gets_token(server):
    stop = threading.Event()
    with authgrant.Connection(server.connection_string) as connection:

        def use():
            while not stop.is_set():
                assert connection.token().value

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    os._exit(0 if connection.token().value and authgrant.Connection(server.client_string).token() else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def fetch_in_child(connection_string):
    with authgrant.Connection(connection_string) as connection:
        return connection.token().value


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_multiprocessing_pool_gets_tokens(server, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        values = pool.map(fetch_in_child, [server.connection_string] * 4, chunksize=1)
    assert all(values)


def fail_in_child(_):
    authgrant.Connection(LoginTimeout="soon")


def test_error_of_child_process_is_raised(server):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        with pytest.raises(authgrant.InvalidOption) as failed:
            pool.map(fail_in_child, [None])
    assert failed.value.option == "LoginTimeout"


def test_process_ends_with_open_connection(server):
    code = f"""
import atexit, authgrant
connection = authgrant.Connection({server.client_string!r} + "LogoffURI={server.url}/oauth/logoff;")
print(len(connection.token().value) > 0)
atexit.register(lambda: print(len(connection.token(min_validity=1).value) > 0))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr, result.stdout.split()) == (0, "", ["True", "True"])
    assert server.get("counts")["logoffs"] == 1
