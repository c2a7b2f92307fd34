"""Authentication for httpx."""

from __future__ import annotations

from typing import AsyncGenerator, Generator

import anyio.to_thread
import httpx

from ._connection import Connection
from ._token import Headers

__all__ = ["Auth"]


class Auth(httpx.Auth):
    """Sends the headers of a connection with each request, and repeats a request once whose token was rejected (HTTP 401).

    ``httpx.get(url, auth=Auth(connection))``, or ``httpx.AsyncClient(auth=Auth(connection))``. An asynchronous client does not block its
    event loop: a token that is not cached is requested on a worker thread.

    A 401 rejects exactly the token that the request carried. The request is repeated if the connection then returns another token, and
    if its body is in memory, but not if it is a file or a generator. With ``follow_redirects=True`` httpx removes Authorization from a
    redirect to another host, but not other headers: do not use it with a connection whose AuthHeader or model file has other secret
    headers. Thread-safe, as the connection. A request raises the errors of :meth:`Connection.headers`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        sent = self.connection.headers()
        request.headers.update(sent)
        response = yield request
        if self._reject(sent, request, response):
            headers = self.connection.headers()
            if _has_other_token(sent, headers):
                request.headers.update(headers)
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        sent = await self._headers()
        request.headers.update(sent)
        response = yield request
        if self._reject(sent, request, response):
            headers = await self._headers()
            if _has_other_token(sent, headers):
                request.headers.update(headers)
                yield request

    async def _headers(self) -> Headers:
        headers = self.connection._cached_headers()
        if headers is not None:
            return headers
        # A cancelled task does not wait for the request of the token, which other tasks may be waiting for.
        return await anyio.to_thread.run_sync(self.connection.headers, abandon_on_cancel=True)

    def _reject(self, sent: Headers, request: httpx.Request, response: httpx.Response) -> bool:
        """Rejects the token if the response is a 401 to it. Returns whether the request can be repeated."""
        # The request of a redirect to another host does not have the token.
        carried = response.request.headers.get("Authorization")
        if response.status_code != 401 or sent.token is None or carried != sent["Authorization"]:
            return False
        self.connection.reject(sent.token)
        return isinstance(request.stream, httpx.ByteStream)


def _has_other_token(sent: Headers, headers: Headers) -> bool:
    assert sent.token is not None
    return headers.token is not None and headers.token.value != sent.token.value
