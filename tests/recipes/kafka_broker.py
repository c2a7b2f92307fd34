"""A strict Kafka broker with SASL OAUTHBEARER (RFC 7628) and one topic, as far as a client needs it to print the cluster.

It has the four requests that such a client sends, in the oldest versions that librdkafka supports.
"""

import re
import socketserver
import struct
import threading

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE, METADATA = 18, 17, 36, 3
SUPPORTED = {API_VERSIONS: (0, 0), SASL_HANDSHAKE: (0, 1), SASL_AUTHENTICATE: (0, 0), METADATA: (0, 1)}
UNSUPPORTED_VERSION, SASL_AUTHENTICATION_FAILED = 35, 58
TOPIC = "orders"


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.user = None
        while size := self.rfile.read(4):
            request = self.rfile.read(struct.unpack(">i", size)[0])
            api, version, correlation, name_length = struct.unpack(">hhih", request[:10])
            response = self.respond(api, version, request[10 + max(name_length, 0):])
            self.wfile.write(struct.pack(">ii", len(response) + 4, correlation) + response)

    def respond(self, api, version, body):
        low, high = SUPPORTED[api]
        if api == API_VERSIONS:
            error = 0 if version <= high else UNSUPPORTED_VERSION
            versions = [struct.pack(">hhh", number, *supported) for number, supported in SUPPORTED.items()]
            return struct.pack(">h", error) + array(versions)
        assert low <= version <= high, f"version {version} of request {api}"
        if api == SASL_HANDSHAKE:
            assert body == text("OAUTHBEARER"), body
            return struct.pack(">h", 0) + array([text("OAUTHBEARER")])
        if api == SASL_AUTHENTICATE:
            return self.authenticate(body[4:].decode())
        assert self.user, "request for metadata without authentication"
        return self.cluster()

    def authenticate(self, message):
        token = re.fullmatch("n,,\x01auth=Bearer ([^\x01]+)\x01\x01", message)
        self.user = token and self.server.subject_of(token[1])
        self.server.users.append(self.user)
        if self.user:
            return struct.pack(">hhi", 0, -1, 0)
        return struct.pack(">h", SASL_AUTHENTICATION_FAILED) + text("unknown token") + struct.pack(">i", 0)

    def cluster(self):
        host, port = self.server.server_address
        broker = struct.pack(">i", 1) + text(host) + struct.pack(">ih", port, -1)
        partition = struct.pack(">hii", 0, 0, 1) + array([struct.pack(">i", 1)]) + array([struct.pack(">i", 1)])
        topic = struct.pack(">h", 0) + text(TOPIC) + b"\0" + array([partition])
        return array([broker]) + struct.pack(">i", 1) + array([topic])


class Broker(socketserver.ThreadingTCPServer):
    """Listens at a free port of 127.0.0.1 until the end of the context. `users` has the result of each authentication."""

    daemon_threads = True

    def __init__(self, subject_of):
        super().__init__(("127.0.0.1", 0), Connection)
        self.subject_of, self.users = subject_of, []
        self.address = "{}:{}".format(*self.server_address)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
