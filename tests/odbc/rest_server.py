"""A REST API for the tests: a JSON array per table, for requests with a token of the mock authorization server."""

import http.server
import json
import threading
import urllib.parse
import urllib.request

COUNTRIES = [
    {"name": "Deutschland", "people": 83_000_000, "area": 357_592.5, "euro": True},
    {"name": "Österreich 🏔", "people": 9_000_000, "area": 83_879.0, "euro": True},
    {"name": "Dansk; {Norsk}", "people": None, "area": 43_094.0, "euro": False},
]
NUMBERS = [{"n": n, "text": f"row {n}"} for n in range(10)]
TABLES = {
    "countries": COUNTRIES,
    "numbers": NUMBERS,
    "mixed": [{"a": 1, "b": "x"}, {"a": 1.5, "c": {"d": [1, 2]}}, {"a": 2, "b": 7}],
    "long": [{"text": "ä" * 5000}],
    "sizes": [{"größe": 1}],
    "empty": [],
}


class RestServer(http.server.ThreadingHTTPServer):
    """`tokens` has the token of each request. A request to the table `slow` waits until `gate` is set; `waiting` counts those that wait."""

    daemon_threads = True
    # All connections of a test may arrive at once.
    request_queue_size = 128

    def __init__(self, authorization_server):
        super().__init__(("127.0.0.1", 0), Handler)
        self.authorization_server = authorization_server
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.reset()

    def reset(self):
        with self.lock:
            self.tokens, self.paths, self.refusals, self.statuses = [], [], 0, []
            self.gate, self.waiting = threading.Event(), 0

    def refuse_next(self, count=1):
        """Answers 401 to the next requests, whatever their token."""
        self.refusals = count

    def wait_for_requests(self, count):
        """Waits until so many requests wait at the gate."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.waiting >= count, timeout=60), f"{self.waiting} requests wait"

    def subject_of(self, token):
        request = urllib.request.Request(f"{self.authorization_server}/api/whoami", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)["sub"]
        except urllib.error.HTTPError:
            return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, url = self.server, urllib.parse.urlsplit(self.path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        table = urllib.parse.unquote(url.path).rsplit("/", 1)[1]
        with server.lock:
            server.tokens.append(token)
            server.paths.append(self.path)
            refused = server.refusals > 0
            server.refusals -= refused
        if refused or server.subject_of(token) is None:
            return self.answer(401, {"error": "invalid_token"})
        if table == "slow":
            self.wait_at_gate()
        if table == "broken":
            return self.answer(503, {"error": "maintenance"})
        if table == "html":
            return self.answer(200, None)
        rows = COUNTRIES if table == "slow" else TABLES.get(table)
        if rows is None:
            return self.answer(404, {"error": "no such table"})
        query = urllib.parse.parse_qs(url.query)
        if "limit" in query:
            offset = int(query["offset"][0])
            rows = rows[offset:offset + int(query["limit"][0])]
        return self.answer(200, rows)

    def wait_at_gate(self):
        with self.server.changed:
            gate = self.server.gate
            self.server.waiting += 1
            self.server.changed.notify_all()
        gate.wait(timeout=120)

    def answer(self, status, value):
        body = b"<html>" if value is None else json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # the request was cancelled
