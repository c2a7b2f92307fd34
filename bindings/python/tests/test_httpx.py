"""authgrant.httpx, with a client and with an asynchronous client."""

import asyncio
import threading

import anyio
import anyio.to_thread
import httpx
import pytest

import authgrant
from authgrant.httpx import Auth


class SyncSender:
    """Sends a request by httpx.Client."""

    def __call__(self, connection, method, url, **options):
        with httpx.Client(auth=Auth(connection), trust_env=False, follow_redirects=True) as client:
            return client.request(method, url, **options)


class AsyncSender:
    """Sends a request by httpx.AsyncClient."""

    def __call__(self, connection, method, url, **options):
        async def send():
            async with httpx.AsyncClient(auth=Auth(connection), trust_env=False, follow_redirects=True) as client:
                return await client.request(method, url, **options)

        return asyncio.run(send())


@pytest.fixture(params=[SyncSender, AsyncSender])
def send(request):
    return request.param()


@pytest.fixture
def connection(server):
    with authgrant.Connection(server.client_string) as connection:
        yield connection


def test_headers_are_sent(send, connection, api):
    assert send(connection, "GET", f"{api.url}/api").status_code == 200
    assert api.requests[0][1]["Authorization"] == f"Bearer {connection.token().value}"


def test_rejected_token_is_replaced_once(send, connection, api):
    first = connection.token()
    api.revoke(first)
    assert send(connection, "POST", f"{api.url}/api", content=b"body").status_code == 200
    assert [(headers["Authorization"], body) for _, headers, body in api.requests] == [
        (f"Bearer {first.value}", b"body"), (f"Bearer {connection.token().value}", b"body"),
    ]


def test_second_401_is_returned(send, connection, api):
    api.revoke_all = True
    first = connection.token()
    assert send(connection, "GET", f"{api.url}/api").status_code == 401
    assert len(api.requests) == 2 and connection.token().value != first.value


def test_same_token_is_not_sent_again(send, connection, api, monkeypatch):
    """The library ignores rejections in quick succession."""
    monkeypatch.setattr(authgrant.Connection, "reject", lambda *_: None)
    api.revoke_all = True
    assert send(connection, "GET", f"{api.url}/api").status_code == 401
    assert len(api.requests) == 1


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_stream_is_not_repeated(send, connection, api, kind, tmp_path):
    first = connection.token()
    api.revoke(first)
    (tmp_path / "body").write_bytes(b"ab")

    async def parts():
        yield b"ab"

    is_async = isinstance(send, AsyncSender)
    if kind == "file" and is_async:
        pytest.skip("httpx has no asynchronous files")
    with open(tmp_path / "body", "rb") as file:
        content = file if kind == "file" else parts() if is_async else (part for part in [b"ab"])
        assert send(connection, "POST", f"{api.url}/api", content=content).status_code == 401
    assert [body for _, _, body in api.requests] == [b"ab"]
    assert connection.token().value != first.value, "expected the token to be rejected"


def test_redirect_to_other_host_has_no_token(send, connection, api, other_api):
    token = connection.token()
    assert send(connection, "GET", f"{api.url}/redirect?{other_api.url}/api").status_code == 401
    assert "Authorization" in api.requests[0][1]
    assert "Authorization" not in other_api.requests[0][1] and len(other_api.requests) == 1
    assert connection.token().value == token.value, "the 401 of another host must not reject the token"


def test_error_of_connection_is_raised(send, server, api):
    with authgrant.Connection(server.client_string.replace("s3cret", "wrong")) as connection:
        with pytest.raises(authgrant.Denied):
            send(connection, "GET", f"{api.url}/api")
    assert api.requests == []


def test_event_loop_is_not_blocked(server, connection, api):
    server.behave(["gate"])

    async def main():
        async with httpx.AsyncClient(auth=Auth(connection), trust_env=False) as client:
            request = asyncio.create_task(client.get(f"{api.url}/api"))
            # The loop runs this while the token is requested; blocked, it would never open the gate.
            await asyncio.to_thread(server.wait_for_requests, 1)
            await asyncio.to_thread(server.post, "release")
            return await request

    assert asyncio.run(main()).status_code == 200


def test_cancelled_task_does_not_wait_for_token(server, connection, api):
    connection.set_option("LoginTimeout", 20)
    server.behave(["gate"])

    async def main():
        async with httpx.AsyncClient(auth=Auth(connection), trust_env=False) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.get, f"{api.url}/api")
                await anyio.to_thread.run_sync(server.wait_for_requests, 1)
                group.cancel_scope.cancel()
            assert server.get("counts")["waiting_at_gate"] == 1
            server.post("release")

    anyio.run(main)
    assert connection.token().value in server.get("issued") and api.requests == []


def test_main_thread_needs_no_helper_for_cached_token(connection, api):
    connection.token()
    before = threading.active_count()
    assert SyncSender()(connection, "GET", f"{api.url}/api").status_code == 200
    assert "authgrant" not in {thread.name for thread in threading.enumerate()} and threading.active_count() >= before
