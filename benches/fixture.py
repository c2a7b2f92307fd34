"""Fixture of the benchmark programs: keys, key stores, and an nginx that responds to every request with the same token."""

import collections
import os
import shutil
import socket
import subprocess
import time

# The length of a typical JWT of a provider.
TOKEN = "A" * 900

NGINX_CONFIG = """
worker_processes auto;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.err error;
events {{ worker_connections 4096; }}
http {{
    log_format bytes '$uri $request_length $content_length $bytes_sent $connection $ssl_protocol $ssl_cipher';
    access_log {directory}/requests bytes buffer=64k flush=1s;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    client_body_temp_path {directory}/tmp;
    proxy_temp_path {directory}/tmp;
    fastcgi_temp_path {directory}/tmp;
    uwsgi_temp_path {directory}/tmp;
    scgi_temp_path {directory}/tmp;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        default_type application/json;
        location / {{ return 200 '{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}'; }}
    }}
}}
"""

Traffic = collections.namedtuple("Traffic", "requests connections sent received cipher")


def run_tool(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Fixture:
    def __init__(self, directory):
        self.directory = directory
        self.has_jks = shutil.which("keytool") is not None
        self._generate_keys()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        os.environ.update(BENCH_FIXTURE=directory, BENCH_SERVER=self.url)
        self._start_nginx()

    def file(self, name):
        return os.path.join(self.directory, name)

    def _generate_keys(self):
        f = self.file
        run_tool("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f("rsa.pem"))
        run_tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f("ec.pem"))
        run_tool("openssl", "req", "-x509", "-key", f("rsa.pem"), "-subj", "/CN=authgrant", "-days", "30", "-out", f("rsa.crt"))
        run_tool("openssl", "pkcs12", "-export", "-inkey", f("rsa.pem"), "-in", f("rsa.crt"), "-name", "jwt",
            "-passout", "pass:secret", "-out", f("store.p12"))
        if self.has_jks:
            run_tool("keytool", "-importkeystore", "-srckeystore", f("store.p12"), "-srcstoretype", "PKCS12", "-srcstorepass",
                "secret", "-destkeystore", f("store.jks"), "-deststoretype", "JKS", "-deststorepass", "secret")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        run_tool("openssl", "req", "-x509", *new, "-subj", "/CN=authgrant benchmark CA", "-days", "30",
            "-keyout", f("ca.key"), "-out", f("ca.pem"))
        run_tool("openssl", "req", *new, "-subj", "/CN=localhost", "-keyout", f("server.key"), "-out", f("server.csr"))
        with open(f("server.ext"), "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        run_tool("openssl", "x509", "-req", "-in", f("server.csr"), "-CA", f("ca.pem"), "-CAkey", f("ca.key"), "-CAcreateserial",
            "-days", "30", "-extfile", f("server.ext"), "-out", f("server.pem"))

    def _start_nginx(self):
        with open(self.file("nginx.conf"), "w", encoding="ascii") as file:
            file.write(NGINX_CONFIG.format(directory=self.directory, port=self.port, token=TOKEN))
        os.chmod(self.directory, 0o755)  # if root starts nginx, its workers run as another user
        command = ["nginx", "-p", self.directory, "-c", self.file("nginx.conf"), "-e", self.file("nginx.err")]
        self.nginx = subprocess.Popen(command)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("nginx did not start: " + open(self.file("nginx.err"), encoding="utf-8").read())

    def stop(self):
        self.nginx.terminate()
        self.nginx.wait()

    def read_traffic(self):
        """Returns the traffic of each program since the last call, from the log of the server."""
        time.sleep(1.2)  # the log is flushed once per second
        requests = collections.defaultdict(list)
        with open(self.file("requests"), encoding="ascii") as file:
            for line in file:
                path, *rest = line.split()
                requests[path.rsplit("/", 1)[-1]].append(rest)
        os.truncate(self.file("requests"), 0)
        return {
            program: Traffic(
                requests=len(lines),
                connections=len({line[3] for line in lines}),
                sent=max(int(line[0]) + int(line[1]) for line in lines),
                received=max(int(line[2]) for line in lines),
                cipher=" ".join(sorted({f"{line[4]} {line[5]}" for line in lines})),
            )
            for program, lines in requests.items()
        }

    def cpu_time_ns(self):
        """The CPU time that the server has used so far."""
        ticks = 0
        for pid in [self.nginx.pid, *self._worker_pids()]:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def _worker_pids(self):
        with open(f"/proc/{self.nginx.pid}/task/{self.nginx.pid}/children", encoding="ascii") as file:
            return file.read().split()
