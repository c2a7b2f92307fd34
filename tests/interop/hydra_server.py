"""Ory Hydra on loopback with its database in memory, and a login and consent app that accepts every request.

    hydra_server.py --hydra PROGRAM --redirect-uri URI --signer CERT.pem

Prints `ready http://127.0.0.1:PORT` and runs until its standard input is closed. The token URL is /oauth2/token, the authorization URL
/oauth2/auth, the revocation endpoint /oauth2/revoke. Refresh tokens are rotated. The clients:
    jwt-bearer   JWT bearer grant, with the secret `s3cret` as Basic credentials; the issuer is https://idp.example.com, the subject jo,
                 kid is key1, the key is that of the certificate; the scope is read
    signing      client_credentials by private_key_jwt; kid is key1, the key is that of the certificate; the scope is read
    app          public; authorization_code with PKCE and refresh_token; the scopes are openid and offline_access
"""

import argparse
import datetime
import http.server
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import RSAKey

START_LIMIT_SECS = 120
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def send(method, url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: HTTP {error.code} {error.read().decode()}")


def get(url):
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def make_user_app(admin):
    """The login and consent app: redirects the browser back to Hydra with an accepted request."""

    class UserApp(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            kind = path.removeprefix("/")
            challenge = urllib.parse.quote(urllib.parse.parse_qs(query)[f"{kind}_challenge"][0])
            url = f"{admin}/admin/oauth2/auth/requests/{kind}"
            body = {"subject": "jo"}
            if kind == "consent":
                wanted = get(f"{url}?consent_challenge={challenge}")
                body = {"grant_scope": wanted["requested_scope"], "grant_access_token_audience": wanted["requested_access_token_audience"]}
            accepted = send("PUT", f"{url}/accept?{kind}_challenge={challenge}", body)
            self.send_response(302)
            self.send_header("Location", accepted["redirect_to"])
            self.end_headers()

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), UserApp)


def set_up(admin, redirect_uri, certificate):
    key = x509.load_pem_x509_certificate(pathlib.Path(certificate).read_bytes()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = RSAKey.import_key(pem, {"kid": "key1", "alg": "RS256", "use": "sig"}).as_dict(private=False)
    clients = [
        {"client_id": "jwt-bearer", "client_secret": "s3cret", "grant_types": [JWT_BEARER], "scope": "read",
            "token_endpoint_auth_method": "client_secret_basic"},
        {"client_id": "signing", "grant_types": ["client_credentials"], "scope": "read", "jwks": {"keys": [jwk]},
            "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "RS256"},
        {"client_id": "app", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "scope": "openid offline_access", "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none"},
    ]
    for client in clients:
        send("POST", f"{admin}/admin/clients", client)
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    send("POST", f"{admin}/admin/trust/grants/jwt-bearer/issuers", {"issuer": "https://idp.example.com", "subject": "jo", "jwk": jwk,
        "scope": ["read"], "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def start(program, public, admin, app):
    environment = {**os.environ, "DSN": "memory", "SECRETS_SYSTEM": secrets.token_hex(16), "SQA_OPT_OUT": "true", "LOG_LEVEL": "error",
        "SERVE_PUBLIC_HOST": "127.0.0.1", "SERVE_PUBLIC_PORT": str(public), "SERVE_ADMIN_HOST": "127.0.0.1", "SERVE_ADMIN_PORT": str(admin),
        "URLS_SELF_ISSUER": f"http://127.0.0.1:{public}", "URLS_LOGIN": f"{app}/login", "URLS_CONSENT": f"{app}/consent"}
    return subprocess.Popen([program, "serve", "all", "--dev"], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def wait_until_ready(server, url):
    deadline = time.monotonic() + START_LIMIT_SECS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/health/ready", timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit("Hydra does not answer")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hydra", required=True)
    parser.add_argument("--redirect-uri", required=True)
    parser.add_argument("--signer", required=True, metavar="PEM")
    arguments = parser.parse_args()

    # The test terminates this program; the server must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    public, admin_port = free_port(), free_port()
    admin = f"http://127.0.0.1:{admin_port}"
    app = make_user_app(admin)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    server = start(arguments.hydra, public, admin_port, f"http://127.0.0.1:{app.server_port}")
    try:
        wait_until_ready(server, admin)
        set_up(admin, arguments.redirect_uri, arguments.signer)
        print(f"ready http://127.0.0.1:{public}", flush=True)
        sys.stdin.read()
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
