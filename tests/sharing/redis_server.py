"""Redis servers of the tests, with a record of all commands that they executed."""

import os
import signal
import subprocess
import time

from fixtures import free_port

PASSWORD = "password-of-the-redis-server"
START_TIMEOUT = 60


class RedisServer:
    """A redis-server of `directory` on a port and a Unix socket. MONITOR writes its commands to the file `commands`."""

    def __init__(self, directory, *options, prefix=(), bind="127.0.0.1", password=PASSWORD, is_recorded=True):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.password = password
        self.prefix = list(prefix)
        self.port = free_port()
        self.socket = directory / "redis.sock"
        self.commands = directory / "commands" if is_recorded else None
        self.command = [
            *self.prefix, "redis-server", "--bind", bind, "--port", str(self.port), "--unixsocket", str(self.socket), "--dir", str(directory),
            "--requirepass", password, "--masterauth", password, "--save", "", "--rdbcompression", "no", "--maxmemory-policy", "noeviction",
            "--repl-diskless-sync-delay", "0", "--logfile", str(directory / "log"), *options,
        ]
        self.process = self.monitor = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        end = time.monotonic() + START_TIMEOUT
        while self.cli("PING", check=False) != "PONG":
            assert self.process.poll() is None and time.monotonic() < end, (self.directory / "log").read_text()
            time.sleep(0.02)
        if self.commands is not None:
            self._record()

    def _record(self):
        with open(self.commands, "ab") as commands:
            self.monitor = subprocess.Popen([*self._cli(), "MONITOR"], stdin=subprocess.DEVNULL, stdout=commands, stderr=subprocess.DEVNULL)
        while "cmd=monitor" not in self.cli("CLIENT", "LIST"):
            time.sleep(0.02)

    def url(self, host="127.0.0.1", database=0):
        return f"redis://{host}:{self.port}/{database}"

    @property
    def options(self):
        """The options of a connection string that name this server."""
        return f"TokenCache={self.url()};TokenCachePassword={self.password};"

    def _cli(self):
        # Through the Unix socket, which is not in a network namespace.
        return ["redis-cli", "-s", str(self.socket), *(["--no-auth-warning", "-a", self.password] if self.password else [])]

    def cli(self, *words, check=True):
        completed = subprocess.run([*self._cli(), *map(str, words)], capture_output=True, text=True, timeout=60)
        output = completed.stdout.strip()
        assert not check or (completed.returncode == 0 and not output.startswith("ERR")), (words, output, completed.stderr)
        return output

    def number(self, section, name):
        """A number of INFO."""
        for line in self.cli("INFO", section).splitlines():
            if line.startswith(name + ":"):
                return int(line.split(":")[1])
        raise AssertionError(f"INFO {section} has no {name}")

    def command_counts(self):
        """The number of calls of each command since CONFIG RESETSTAT, without those that only this class sends."""
        counts = {}
        for line in self.cli("INFO", "commandstats").splitlines():
            if line.startswith("cmdstat_"):
                name, values = line.removeprefix("cmdstat_").split(":")
                counts[name] = int(values.split(",")[0].removeprefix("calls="))
        return {name: count for name, count in counts.items() if name.split("|")[0] not in ("info", "config", "client", "monitor", "replconf", "psync", "ping")}

    def kill(self):
        self._signal(signal.SIGKILL)
        self.process.wait()
        if self.monitor is not None:
            self.monitor.wait()

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        os.kill(self.process.pid, number)

    def follow(self, primary):
        """Makes this server a replica of `primary`, and waits until it has its data."""
        self.cli("REPLICAOF", "127.0.0.1", primary.port)
        while "master_link_status:up" not in self.cli("INFO", "replication"):
            time.sleep(0.02)

    def promote(self):
        self.cli("REPLICAOF", "NO", "ONE")

    def stop(self):
        """Returns all that the server has stored, and all commands that it has executed."""
        stored = b""
        if self.process.poll() is None:
            self.resume()
            self.cli("SAVE")
            stored = (self.directory / "dump.rdb").read_bytes()
            self.process.kill()
            self.process.wait()
        if self.monitor is not None:
            self.monitor.wait(timeout=30)
            stored += self.commands.read_bytes()
        return stored
