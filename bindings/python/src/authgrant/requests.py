"""Authentication for requests."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urljoin

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.sessions import SessionRedirectMixin

from ._connection import Connection
from ._token import Headers

__all__ = ["Auth"]


class Auth(AuthBase):
    """Sends the headers of a connection with each request, and repeats a request once whose token was rejected (HTTP 401).

    ``requests.get(url, auth=Auth(connection))``, or ``session.auth = Auth(connection)``.

    A 401 rejects exactly the token that the request carried. The request is repeated if the connection then returns another token, and
    if its body can be sent again: bytes, text, or a file that can seek, but not a generator. A redirect to another host carries none of
    the headers. Thread-safe, as the connection. A request raises the errors of :meth:`Connection.headers`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        headers = self.connection.headers()
        request.headers.update(headers)
        try:
            position = request.body.tell()  # type: ignore[union-attr]
        except (AttributeError, OSError):
            position = None
        request.register_hook("response", functools.partial(self._handle_response, headers, position))  # type: ignore[no-untyped-call]
        return request

    def _handle_response(self, sent: Headers, position: int | None, response: Response, **options: Any) -> Response:
        request = response.request
        if response.is_redirect:
            _strip_headers(request, sent, urljoin(request.url or "", response.headers["location"]))
            return response
        if response.status_code != 401 or sent.token is None or request.headers.get("Authorization") != sent["Authorization"]:
            return response
        self.connection.reject(sent.token)
        if not _rewind(request, position):
            return response
        headers = self.connection.headers()
        if headers.token is None or headers.token.value == sent.token.value:
            return response
        # As in requests.auth.HTTPDigestAuth: the connection is free once the body was read.
        response.content  # noqa: B018
        response.close()
        # A redirect of the second response starts from this request, so it gets the new headers, too.
        request.headers.update(headers)
        repeated = request.copy()
        extract_cookies_to_jar(repeated._cookies, request, response.raw)  # type: ignore[attr-defined, no-untyped-call]
        repeated.headers.pop("Cookie", None)
        repeated.prepare_cookies(repeated._cookies)  # type: ignore[attr-defined]
        second: Response = response.connection.send(repeated, **options)
        second.history.append(response)
        second.request = repeated
        if second.is_redirect:
            _strip_headers(request, headers, urljoin(repeated.url or "", second.headers["location"]))
        return second


def _strip_headers(request: PreparedRequest, sent: Headers, target: str) -> None:
    """Removes the headers before requests copies them to a redirect to another host. It would remove Authorization only."""
    if SessionRedirectMixin().should_strip_auth(request.url or "", target):  # type: ignore[no-untyped-call]
        for name in sent:
            request.headers.pop(name, None)


def _rewind(request: PreparedRequest, position: int | None) -> bool:
    """Prepares the body to be sent again. Returns False if that is impossible."""
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    if position is None:
        return False
    try:
        request.body.seek(position)
    except (AttributeError, OSError):
        return False
    return True
