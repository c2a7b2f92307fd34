"""The figures of shared tokens: many processes, a folder or Redis, and an authorization server with a delay."""

import contextlib
import http.server
import itertools
import pathlib
import shutil
import socket
import sys
import tempfile
import threading
import time

from figures import Row, minimum
from fixture import TOKEN
from programs import run_in_turns

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "tests" / "sharing"), str(ROOT / "bindings" / "python" / "tests")]

from redis_server import RedisServer  # noqa: E402
from workers import Fleet, Worker, tokens_of  # noqa: E402

DELAY = 0.3
# The default of TokenCacheTimeout.
STORE_TIMEOUT_MS = 500
# A wait that ends at its deadline ends after it; and the two times that are compared vary.
TIMER_SLACK_MS = 20


class DelayedServer(http.server.ThreadingHTTPServer):
    """An authorization server that answers each request after DELAY, with another token."""

    request_queue_size = 1024
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.request_count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.request_count += 1
            number = self.server.request_count
        time.sleep(DELAY)
        body = f'{{"access_token":"{number}-{TOKEN}","token_type":"Bearer","expires_in":3600}}'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Bench:
    """The servers, and processes with a private key in an unencrypted PEM file."""

    def __init__(self, fixture, program, directory):
        self.key, self.program, self.directory = fixture.file("rsa.pem"), program, pathlib.Path(directory)
        self.server = DelayedServer()
        self.redis = RedisServer(self.directory / "redis", password="", is_recorded=False) if shutil.which("redis-server") else None
        self.numbers = itertools.count()

    def stop(self):
        self.server.stop()
        if self.redis is not None:
            self.redis.stop()

    def new_store(self, kind):
        """The options of an empty store."""
        if kind == "file":
            return f"TokenCache=file:{self.directory}/tokens-{next(self.numbers)};"
        return f"TokenCache={self.redis.url()}?prefix=bench-{next(self.numbers)}:;"

    def string(self, store):
        return (f"AuthenticationMethod=55;ClaimsIssuer=bench;ClaimsSubject=jsmith@example.com;JWTCertStore={self.key};"
                f"TokenURI=POST {self.server.url}/oauth/token;{store}")

    @contextlib.contextmanager
    def fleet(self, count, store, connections=1):
        fleet = Fleet([Worker([self.program]) for _ in range(count)])
        try:
            yield fleet.open(self.string(store), connections)
        finally:
            for worker in fleet:
                worker.stop()

    def first_token_ms(self, store):
        """The time until the first token of a new process, whose connection is open."""
        with self.fleet(1, store) as fleet:
            return [elapsed_ms(fleet.get())]

    def herd(self, count, store, connections):
        """The requests of many processes, and the time until all have their tokens, in milliseconds."""
        before = self.server.request_count
        with self.fleet(count, store, connections) as fleet:
            if self.redis is not None:
                self.redis.cli("CONFIG", "RESETSTAT")
            results = fleet.get()
        assert tokens_of(results)
        return self.server.request_count - before, elapsed_ms(results)


def elapsed_ms(results):
    tokens_of(results)
    return (max(result.finished for result in results) - min(result.started for result in results)) / 1e6


def measure_sharing(fixture, commands, start):
    """All figures of shared tokens. `start` starts a program of `commands`."""
    with tempfile.TemporaryDirectory(prefix="authgrant-bench.") as directory:
        bench = Bench(fixture, commands["worker"][0], directory)
        try:
            yield from measure_herd(bench)
            yield from measure_commands(bench)
            yield from measure_new_process(bench)
            yield from measure_cached_read_with_store(bench, commands, start)
            yield from measure_dead_redis(bench)
        finally:
            bench.stop()


def row_without_redis(figure, target):
    return Row(figure, "", None, None, target, None, note="NOT RUN: redis-server is not installed", in_chart=False)


def measure_herd(bench, rounds=5):
    for kind, name in (("file", "a folder"), ("redis", "Redis")):
        figures = (f"8 processes × 1,000 connections, cold, {name}: requests", "the same: until the last token")
        targets = ("exactly 1", "≤ one fetch + 100 ms")
        if kind == "redis" and bench.redis is None:
            yield from map(row_without_redis, figures, targets)
            continue
        runs = run_in_turns(rounds, {
            "fetch": lambda: bench.first_token_ms(""),
            "herd": lambda kind=kind: bench.herd(8, bench.new_store(kind), 1000),
        })
        requests, last, fetch = sum(sample[0] for sample in runs["herd"]), minimum(runs["herd"], 1), minimum(runs["fetch"])
        yield Row(figures[0], "", requests / rounds, 1, targets[0], requests == rounds, baseline_label="one",
                  note=f"{requests} in {rounds} rounds", in_chart=False)
        yield Row(figures[1], "ms", last, fetch + 100, targets[1], last <= fetch + 100, baseline_label="limit",
                  note=f"one fetch {fetch:.0f} ms", in_chart=False)


def measure_commands(bench, processes=200):
    figures = (f"{processes} processes, Redis, cold: requests", "the same: commands per process")
    targets = ("exactly 1", "≤ 6")
    if bench.redis is None:
        yield from map(row_without_redis, figures, targets)
        return
    requests, last = bench.herd(processes, bench.new_store("redis"), 1)
    counts = bench.redis.command_counts()
    mean = sum(counts.values()) / processes
    yield Row(figures[0], "", requests, 1, targets[0], requests == 1, baseline_label="one", note=f"the last token after {last:.0f} ms",
              in_chart=False)
    yield Row(figures[1], "", mean, 6, targets[1], mean <= 6, baseline_label="limit", in_chart=False,
              note=", ".join(f"{count} {command}" for command, count in sorted(counts.items(), key=lambda item: -item[1])))


def measure_new_process(bench, rounds=12):
    kinds = {"file": ("a folder", 0.05)} | ({"redis": ("Redis", 0.1)} if bench.redis else {})
    stores = {kind: bench.new_store(kind) for kind in kinds}
    for store in stores.values():
        bench.first_token_ms(store)
    contestants = {kind: lambda store=store: bench.first_token_ms(store) for kind, store in stores.items()}
    runs = run_in_turns(rounds, {"fetch": lambda: bench.first_token_ms(""), **contestants})
    fetch = minimum(runs["fetch"])
    for kind, (name, limit) in kinds.items():
        value = minimum(runs[kind])
        yield Row(f"first token of a new process, shared by {name}", "ms", value, fetch, f"≤ {limit} × fetching it",
                  value <= limit * fetch, baseline_label="fetching it", in_chart=False, note=f"1/{fetch / value:.0f} of it")
    if bench.redis is None:
        yield row_without_redis("first token of a new process, shared by Redis", "≤ 0.1 × fetching it")


def measure_cached_read_with_store(bench, commands, start, processes=4):
    """A read of a token that the process has. Several processes, since its time depends on where the data lies in memory."""
    kinds = {"file": "a folder"} | ({"redis": "Redis"} if bench.redis else {})
    programs = {}
    for number in range(processes):
        programs["none", number] = start(commands["authgrant"])
        for kind in kinds:
            programs[kind, number] = start(["env", f"BENCH_OPTIONS={bench.new_store(kind)}", *commands["authgrant"]])
    times = run_in_turns(6, {key: lambda program=program: program.query("read", 1, "one", 20) for key, program in programs.items()})
    for program in programs.values():
        program.stop()
    runs = {kind: [time for (of, _), found in times.items() if of == kind for time in found] for kind in ("none", *kinds)}
    base = minimum(runs["none"])
    for kind, name in kinds.items():
        value = minimum(runs[kind])
        yield Row(f"read a cached token that is shared by {name}", "ns", value, base, "≤ 1.05 × without a store", value <= 1.05 * base,
                  baseline_label="without a store", in_chart=False)
    if bench.redis is None:
        yield row_without_redis("read a cached token that is shared by Redis", "≤ 1.05 × without a store")


@contextlib.contextmanager
def closed_port():
    """A port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port():
    """A port that drops packets: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def stopped_server(bench):
    """The port of a Redis server that is stopped by SIGSTOP."""
    bench.redis.pause()
    try:
        yield bench.redis.port
    finally:
        bench.redis.resume()


def measure_dead_redis(bench, rounds=3):
    kinds = {"its port is closed": closed_port, "its packets are dropped": silent_port}
    if bench.redis is not None:
        kinds["it is stopped"] = lambda: stopped_server(bench)

    def tokens_with(port):
        with bench.fleet(1, f"TokenCache=redis://127.0.0.1:{port};") as fleet:
            return [elapsed_ms(fleet.get()), elapsed_ms(fleet.get_again())]

    for name, opened in kinds.items():
        with opened() as port:
            runs = run_in_turns(rounds, {"dead": lambda: tokens_with(port), "fetch": lambda: bench.first_token_ms("")})
        fetch, first, second = minimum(runs["fetch"]), minimum(runs["dead"]), minimum(runs["dead"], 1)
        added, limit = max(first - fetch, 0), STORE_TIMEOUT_MS + TIMER_SLACK_MS
        yield Row(f"dead Redis, {name}: added to the first token", "ms", added, limit, "≤ TokenCacheTimeout, once",
                  added <= limit and second - fetch < TIMER_SLACK_MS, baseline_label="limit", in_chart=False,
                  note=f"and {max(second - fetch, 0):.1f} ms to the next one")
    if bench.redis is None:
        yield row_without_redis("dead Redis, it is stopped: added to the first token", "≤ TokenCacheTimeout, once")
