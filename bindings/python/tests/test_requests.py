"""authgrant.requests."""

import io

import pytest
import requests

import authgrant
from authgrant.requests import Auth


@pytest.fixture
def connection(server):
    with authgrant.Connection(server.client_string + "AuthHeader=X-Key;SecurityToken=k3y;") as connection:
        yield connection


@pytest.fixture
def session(connection):
    with requests.Session() as session:
        session.trust_env = False
        session.auth = Auth(connection)
        yield session


def test_headers_are_sent(session, connection, api):
    assert session.get(f"{api.url}/api").status_code == 200
    (_, headers, _), = api.requests
    assert headers["Authorization"] == f"Bearer {connection.token().value}"
    assert headers["X-Key"] == "k3y"


def test_rejected_token_is_replaced_once(session, connection, api):
    first = connection.token()
    api.revoke(first)
    response = session.post(f"{api.url}/api", data=b"body")
    assert response.status_code == 200 and [one.status_code for one in response.history] == [401]
    assert [(headers["Authorization"], body) for _, headers, body in api.requests] == [
        (f"Bearer {first.value}", b"body"), (f"Bearer {connection.token().value}", b"body"),
    ]
    assert connection.token().value != first.value


def test_second_401_is_returned(session, connection, api):
    api.revoke_all = True
    first = connection.token()
    assert session.get(f"{api.url}/api").status_code == 401
    assert len(api.requests) == 2 and connection.token().value != first.value


def test_same_token_is_not_sent_again(session, api, monkeypatch):
    """The library ignores rejections in quick succession."""
    monkeypatch.setattr(authgrant.Connection, "reject", lambda *_: None)
    api.revoke_all = True
    assert session.get(f"{api.url}/api").status_code == 401
    assert len(api.requests) == 1


def test_file_is_rewound(session, connection, api):
    api.revoke(connection.token())
    body = io.BytesIO(b"skipped, sent")
    body.seek(9)
    assert session.post(f"{api.url}/api", data=body).status_code == 200
    assert [body for _, _, body in api.requests] == [b"sent", b"sent"]


def test_generator_is_not_repeated(session, connection, api):
    first = connection.token()
    api.revoke(first)
    response = session.post(f"{api.url}/api", data=(part for part in [b"a", b"b"]))
    assert response.status_code == 401 and [body for _, _, body in api.requests] == [b"ab"]
    assert connection.token().value != first.value, "expected the token to be rejected"


def test_redirect_to_other_host_has_no_header(session, connection, api, other_api):
    token = connection.token()
    assert session.get(f"{api.url}/redirect?{other_api.url}/api").status_code == 401
    assert "Authorization" in api.requests[0][1]
    (_, headers, _), = other_api.requests
    assert "Authorization" not in headers and "X-Key" not in headers
    assert connection.token().value == token.value, "the 401 of another host must not reject the token"


def test_redirect_on_same_host_keeps_headers(session, connection, api):
    api.revoke(connection.token())
    assert session.get(f"{api.url}/redirect?{api.url}/api").status_code == 200
    assert [(path.split("?")[0], "X-Key" in headers) for path, headers, _ in api.requests] == [
        ("/redirect", True), ("/api", True), ("/api", True),
    ]


def test_redirect_after_repetition_has_no_header(session, connection, api, other_api, monkeypatch):
    # The first request gets a 401, its repetition a redirect to another host.
    token = connection.token()
    handler = api.RequestHandlerClass
    original = handler.do_GET

    def do_get(self):
        if self.server is api and self.headers["Authorization"] == f"Bearer {token.value}":
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            original(self)

    monkeypatch.setattr(handler, "do_GET", do_get)
    session.get(f"{api.url}/redirect?{other_api.url}/api")
    assert [path.split("?")[0] for path, _, _ in api.requests] == ["/redirect"]
    (_, headers, _), = other_api.requests
    assert "Authorization" not in headers and "X-Key" not in headers


def test_error_of_connection_is_raised(server, api):
    with authgrant.Connection(server.client_string.replace("s3cret", "wrong")) as connection:
        with pytest.raises(authgrant.Denied):
            requests.get(f"{api.url}/api", auth=Auth(connection), timeout=30)
    assert api.requests == []


def test_method_without_token_sends_its_headers(api):
    with authgrant.Connection("AuthenticationMethod=25;AuthHeader=Authorization;SecurityToken=Key k3y") as connection:
        assert requests.get(f"{api.url}/api", auth=Auth(connection), timeout=30).status_code == 200
    assert api.requests[0][1]["Authorization"] == "Key k3y"
