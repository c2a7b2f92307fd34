"""Machines as network namespaces, with host names and clocks of their own. Requires root."""

import contextlib
import ctypes
import os
import pathlib
import socket

from fixtures import run_tool
from relay import Relay

CLONE_NEWNET = 0x40000000
FAKETIME = pathlib.Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def _entered(name):
    """The current thread is in the network namespace `name`."""
    with open("/proc/thread-self/ns/net", "rb") as own, open(f"/run/netns/{name}", "rb") as other:
        if _libc.setns(other.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
        try:
            yield
        finally:
            assert _libc.setns(own.fileno(), CLONE_NEWNET) == 0


class Machine:
    """A machine that reaches the store at `store_address`, and `port` of the test's machine as 127.0.0.1."""

    def __init__(self, name, host_name, store_address, port):
        self.name, self.host_name, self.store_address = name, host_name, store_address
        with _entered(name):
            listener = socket.create_server(("127.0.0.1", port))
        self.relay = Relay(listener, ("127.0.0.1", port))

    def prefix(self):
        """The begin of a command that runs on this machine."""
        return ["ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", 'hostname "$0" && exec env $CLOCK "$@"', self.host_name]

    def environment(self, clock_offset):
        """The environment of a command whose clock is `clock_offset` seconds ahead. The monotonic clocks are not changed."""
        return {"CLOCK": f"LD_PRELOAD={FAKETIME} FAKETIME={clock_offset:+}s FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"}

    def disconnect(self):
        """The packets to the store are dropped."""
        run_tool("ip", "-n", self.name, "link", "set", "store", "down")

    def connect(self):
        run_tool("ip", "-n", self.name, "link", "set", "store", "up")


@contextlib.contextmanager
def run_machines(port):
    """The machines machine-a and machine-b, and the command prefix of the machine of the store, which listens on all addresses."""
    prefix = f"authgrant-{os.getpid()}"
    store = f"{prefix}-store"
    names = {f"{prefix}-{letter}": f"machine-{letter}" for letter in "ab"}
    machines = []
    try:
        for name in [store, *names]:
            run_tool("ip", "netns", "add", name)
            run_tool("ip", "-n", name, "link", "set", "lo", "up")
        for number, (name, host_name) in enumerate(names.items()):
            run_tool("ip", "-n", store, "link", "add", host_name, "type", "veth", "peer", "name", "store", "netns", name)
            for namespace, link, last in ((store, host_name, 1), (name, "store", 2)):
                run_tool("ip", "-n", namespace, "address", "add", f"10.99.{number}.{last}/24", "dev", link)
                run_tool("ip", "-n", namespace, "link", "set", link, "up")
            machines.append(Machine(name, host_name, f"10.99.{number}.1", port))
        yield machines, ["ip", "netns", "exec", store]
    finally:
        for machine in machines:
            machine.relay.stop()
        for name in [store, *names]:
            with contextlib.suppress(AssertionError):
                run_tool("ip", "netns", "delete", name)
