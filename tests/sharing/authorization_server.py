"""The mock authorization server, and what its log says about token requests."""

import collections
import contextlib
import json
import os
import time
import urllib.parse
import urllib.request

from fixtures import ISSUER, run_server

# 64 random hexadecimal digits: a secret that suffices as a key of shared entries.
CLIENT_SECRET = "b3e1d97f0c4a586217fe93ad50c86e4b1d2f7a90e5834cb6097d1ea2f8c5b364"
SHARING_SECRET = "base64:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
DELAY_MS = 300
WAIT_TIMEOUT = 100


class AuthorizationServer:
    """The control API of tests/mock_server, with the clients `service` (a secret), `login` (refresh tokens), and ISSUER (a key)."""

    def __init__(self, url):
        self.url = url
        redirect = {"secret": CLIENT_SECRET, "redirect_uris": ["http://127.0.0.1/"]}
        self.post("register", {"issuer": "login", "options": redirect})

    def service_string(self, cache, extra=""):
        """Client credentials."""
        return (f"AuthenticationMethod=53;ClientID=service;ClientSecret={CLIENT_SECRET};TokenURI=POST {self.url}/oauth/token;"
                f"Scope=reports;{cache}{extra}")

    def jwt_string(self, cache, store, extra=""):
        """JWT bearer."""
        return (f"AuthenticationMethod=55;ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;Scope=signature impersonation;"
                f"JWTCertStore={store};TokenURI=POST {self.url}/oauth/token;{cache}{extra}")

    def refresh_string(self, cache, refresh_token, extra=""):
        """A refresh token. TokenCacheUser must be set, too."""
        return (f"AuthenticationMethod=54;ClientID=login;ClientSecret={CLIENT_SECRET};RefreshToken={refresh_token};"
                f"TokenURI=POST {self.url}/oauth/token;TokenCachePrompted=1;TokenCacheSecret={SHARING_SECRET};{cache}{extra}")

    def get(self, path):
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=60) as response:
            return json.load(response)

    def post(self, path, body=None):
        data = json.dumps({} if body is None else body).encode()
        with urllib.request.urlopen(f"{self.url}/control/{path}", data, timeout=60) as response:
            return json.load(response)

    def behave(self, behavior):
        """The response to all later token requests."""
        self.post("behavior", {"always": behavior})

    def hold_next(self):
        """The next token request waits for `open_gate`, and later ones do not."""
        self.behave("normal")
        self.post("behavior", ["gate"])

    def configure(self, **members):
        self.post("config", members)

    def new_refresh_token(self, user):
        return self.post("refresh-token", {"issuer": "login", "subject": user})["refresh_token"]

    def requests(self):
        return [Request(one) for one in self.get("requests")]

    def request_count(self):
        return len(self.requests())

    def spent_refresh_tokens(self):
        """The number of requests with each refresh token."""
        return collections.Counter(one.parameters["refresh_token"] for one in self.requests() if "refresh_token" in one.parameters)

    def reuses(self):
        """The number of requests that were refused because the refresh token had been used."""
        return sum("was used before" in one.refusal for one in self.requests())

    def wait_for_gate(self, count):
        """Waits until that many requests wait for `open_gate`."""
        end = time.monotonic() + WAIT_TIMEOUT
        while (waiting := self.get("counts")["waiting_at_gate"]) < count:
            assert time.monotonic() < end, f"{waiting} of {count} requests have arrived"
            time.sleep(0.01)

    def open_gate(self):
        """Answers the waiting requests, and later ones at once."""
        self.behave("normal")
        self.post("release")

    def accepts(self, token):
        """Whether the token is valid now."""
        request = urllib.request.Request(f"{self.url}/api/whoami", headers={"Authorization": f"Bearer {token}"})
        try:
            urllib.request.urlopen(request, timeout=60).close()
            return True
        except urllib.error.HTTPError as error:
            assert error.code == 401
            return False

    def secrets(self):
        """Everything that must not be stored in the clear."""
        return {CLIENT_SECRET, SHARING_SECRET, *self.get("issued"), *self.get("refresh-tokens")}


class Request:
    """A token request."""

    def __init__(self, record):
        self.parameters = dict(urllib.parse.parse_qsl(record["body"]))
        self.at_ms = record["at_ms"]
        verdict = record["verdict"]
        #: The reason of a refusal; "" if the request was granted.
        self.refusal = "" if verdict == "granted" else verdict["refused"]["description"]


@contextlib.contextmanager
def run_authorization_server(certificate):
    """A server that answers token requests after DELAY_MS."""
    program = os.environ["AUTHGRANT_MOCK_SERVER"]
    with run_server(program, "--http", "--register", f"{ISSUER}={certificate}", "--client", f"service:{CLIENT_SECRET}") as url:
        server = AuthorizationServer(url)
        server.behave({"delay": DELAY_MS})
        yield server
