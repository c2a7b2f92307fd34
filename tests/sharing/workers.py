"""Processes that share tokens: worker.c, worker.py and go/, which have the same commands (see worker.c)."""

import collections
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent

# AUTHGRANT_ALLOW_TOKEN_CACHE
ALLOW_TOKEN_CACHE = 4

# Only a process that hangs reaches it.
ANSWER_TIMEOUT = 120

Result = collections.namedtuple("Result", "status sqlstate tokens expires_at started finished message")


def parse_result(fields):
    status, sqlstate, tokens, expires_at, started, finished, message = fields
    return Result(status, sqlstate, tokens.split(",") if tokens else [], int(expires_at), int(started), int(finished), message)


class Worker:
    """One process."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})})
        self.buffer = b""
        self.children = []

    @property
    def pid(self):
        return self.process.pid

    def send(self, *words):
        line = " ".join(str(word) for word in words)
        assert "\n" not in line
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self):
        """Returns the fields of the next answer."""
        end = time.monotonic() + ANSWER_TIMEOUT
        while b"\n" not in self.buffer:
            assert select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0], f"worker {self.pid} hangs"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"worker {self.pid} ended with status {self.process.wait()}"
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode().split("\t")

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def run(self, *words):
        """Runs a command that must succeed; returns the other fields."""
        status, *fields = self.call(*words)
        assert status == "OK", (words[0], status, fields)
        return fields

    def open(self, string, count=1, **options):
        """Opens connections. Keyword arguments are set by authgrant_set_option."""
        self.run("policy", ALLOW_TOKEN_CACHE)
        self.run("open", count, string)
        for name, value in options.items():
            self.run("set", name, value)

    def get(self, timeout_ms=0):
        self.send("get", timeout_ms)
        return self.result()

    def wait(self):
        """Waits for the tokens of `start`."""
        self.send("wait")
        return self.result()

    def result(self):
        """The answer to `get`."""
        return parse_result(self.receive())

    def fork(self):
        """Returns the PID of a child that does nothing."""
        self.children.append(int(self.run("fork")[0]))
        return self.children[-1]

    def fork_and_get(self):
        """Returns the PID of a child, and what it got from the connections of its parent."""
        *fields, pid = self.call("fork-get")
        self.children.append(int(pid))
        return self.children[-1], parse_result(fields)

    def warnings(self):
        """The warnings about the shared cache while it was used."""
        return [text for text in self.run("warnings") if "tokens are not shared until" in text]

    def log(self):
        return self.run("log")

    def stats(self):
        return json.loads(self.run("stats")[0])

    def explain(self):
        return json.loads(self.run("explain")[0])

    def kill(self):
        """SIGKILL. Children of `fork` survive."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Closes the connections and ends the process."""
        for child in self.children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=30)
            finally:
                self.process.kill()
        self.process.stdout.close()


class Programs:
    """The programs of the three languages, built in `directory` for the library AUTHGRANT_LIBRARY."""

    def __init__(self, directory, run_tool):
        library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).resolve()
        self.c = [directory / "worker"]
        run_tool("cc", "-std=gnu11", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-I", HERE.parents[1] / "include",
            HERE / "worker.c", "-o", self.c[0], "-L", library.parent, "-lauthgrant", f"-Wl,-rpath,{library.parent}", "-pthread")
        self.go = [directory / "go"]
        # Go does not compile a package again if the answer of pkg-config has changed, but it does if the variable has.
        run_tool("env", "-C", HERE / "go", f"PKG_CONFIG_PATH={library.parent}/pkgconfig", f"CGO_LDFLAGS=-Wl,-rpath,{library.parent}",
            "CGO_ENABLED=1", "go", "build", "-o", self.go[0], ".")
        # The package finds its library beside its modules.
        package = directory / "python" / "authgrant"
        package.mkdir(parents=True)
        for module in (HERE.parents[1] / "bindings" / "python" / "src" / "authgrant").glob("*.py"):
            (package / module.name).symlink_to(module)
        (package / "_lib").mkdir()
        (package / "_lib" / "libauthgrant-py-test.so").symlink_to(library)
        self.python = ["env", f"PYTHONPATH={package.parent}", sys.executable, HERE / "worker.py"]


class Fleet:
    """Several processes with the same connection string."""

    def __init__(self, workers):
        self.workers = workers

    def __iter__(self):
        return iter(self.workers)

    def __len__(self):
        return len(self.workers)

    def open(self, string, count=1, **options):
        for worker in self.workers:
            worker.open(string, count, **options)
        return self

    def send(self, *words):
        for worker in self.workers:
            worker.send(*words)

    def run(self, *words):
        """Runs a command at the same time in all processes."""
        self.send(*words)
        for worker in self.workers:
            status, *fields = worker.receive()
            assert status == "OK", (words[0], status, fields)

    def results(self):
        """The answers to `get`."""
        return [worker.result() for worker in self.workers]

    def get(self):
        """Gets tokens at the same time in all processes."""
        self.send("get")
        return self.results()

    def get_again(self):
        """As `get`, without the tokens that the processes have cached."""
        self.run("clear")
        return self.get()

    def warning_counts(self):
        return [len(worker.warnings()) for worker in self.workers]


def tokens_of(results):
    """The different tokens. All callers must have got one."""
    results = list(results)
    failures = {(result.status, result.message) for result in results if result.status != "OK"}
    assert not failures, failures
    return {token for result in results for token in result.tokens}
