"""TCP relays: an address in a network namespace, or one whose server changes."""

import contextlib
import selectors
import socket
import threading

CHUNK = 1 << 16


class Relay:
    """Relays connections of `listener` to `target`, an address of connect(). Without a target connections are refused by closing them."""

    def __init__(self, listener, target):
        self.listener = listener
        self.target = target
        self.sockets = set()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def switch(self, target):
        """Relays new connections to `target`, and closes the others."""
        with self.lock:
            self.target = target
            for one in self.sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.switch(None)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client:
            with self.lock:
                target = self.target
            try:
                server = connect(target) if target is not None else None
            except OSError:
                server = None
            if server is None:
                return
            with server:
                with self.lock:
                    if self.target != target:
                        return
                    self.sockets |= {client, server}
                with contextlib.suppress(OSError):
                    self._copy(client, server)
                with self.lock:
                    self.sockets -= {client, server}

    def _copy(self, client, server):
        peers = {client: server, server: client}
        with selectors.DefaultSelector() as selector:
            for one in peers:
                selector.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(CHUNK)
                    if not data:
                        return
                    peers[key.fileobj].sendall(data)


def connect(address):
    """Connects to (host, port), or to the path of a Unix socket."""
    if isinstance(address, tuple):
        return socket.create_connection(address)
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(str(address))
    except OSError:
        client.close()
        raise
    return client


@contextlib.contextmanager
def run_relay(target):
    """A relay on a port of 127.0.0.1."""
    relay = Relay(socket.create_server(("127.0.0.1", 0), backlog=1024), target)
    try:
        yield relay
    finally:
        relay.stop()
