"""Glewlwyd, a third-party OpenID provider in C, on loopback with a new SQLite database.

    glewlwyd_server.py --redirect-uri URI --jwt-client ID=ALG=CERT.pem...

Prints `ready http://localhost:PORT/api/oidc` and runs until its standard input is closed. The token URL is /token, the authorization URL
/auth, the revocation endpoint /revoke below that. The provider refuses an authorization request with the scope openid and without nonce,
responds to a wrong client with an empty 403, does not form-decode Basic credentials, and revokes nothing for public clients or for client
assertions for the token URL. The clients, for all of which the user `alice`, `correct horse`, has consented:
    service-basic, service-post   client_credentials by the secret `s3cret`, registered for Basic and for the body
    app                           authorization_code, refresh_token with rotation; the secret `s3cret` in the body
    each ID of --jwt-client       client_credentials by private_key_jwt
"""

import argparse
import json
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwk

SCHEMA = pathlib.Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
SCOPES = ["openid", "read"]
USER, PASSWORD = "alice", "correct horse"

CONFIG = """
port={port}
bind_address="127.0.0.1"
external_url="{url}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_secure=0
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_session_authentication="cookie"
profile_session_authentication="cookie"
login_api_enabled=true
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3" path = "{database}" }};
"""


class Api:
    """The administration API, with the session cookie of one user."""

    def __init__(self, url, user, password):
        self.url, self.cookie = url + "/api", None
        response = self.send("POST", "/auth/", {"username": user, "password": password})
        self.cookie = response.headers["Set-Cookie"].split(";")[0]

    def send(self, method, path, body):
        headers = {"Content-Type": "application/json"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: HTTP {error.code} {error.read().decode()}")


def key_pair():
    """The signing key of the provider, as PEM: private and public."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def plugin_parameters(url):
    private, public = key_pair()
    enabled = ["allow-non-oidc", "auth-type-client-enabled", "auth-type-code-enabled", "auth-type-refresh-enabled", "pkce-allowed",
        "refresh-token-rolling", "request-parameter-allow", "introspection-revocation-allowed",
        "introspection-revocation-allow-target-client", "jwks-show"]
    disabled = ["auth-type-password-enabled", "auth-type-implicit-enabled", "auth-type-none-enabled", "auth-type-token-enabled",
        "auth-type-id-token-enabled", "auth-type-device-enabled", "pkce-method-plain-allowed", "pkce-required", "oauth-dpop-allowed",
        "encrypt-out-token-allow", "session-management-allowed", "front-channel-logout-allowed", "back-channel-logout-allowed"]
    empty_texts = ["service-documentation", "op-policy-uri", "op-tos-uri", "restrict-scope-client-property"]
    return {
        **dict.fromkeys(enabled, True), **dict.fromkeys(disabled, False), **dict.fromkeys(empty_texts, ""),
        **{name: [] for name in ("introspection-revocation-auth-scope", "jwks-x5c", "scope", "additional-parameters", "claims")},
        "iss": url + "/api/oidc", "jwt-type": "rsa", "jwt-key-size": "256", "key": private, "cert": public,
        "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600, "refresh-token-one-use": "always",
        "client-jwks-parameter": "jwks", "client-pubkey-parameter": "pubkey", "client-jwks_uri-parameter": "jwks_uri",
        "request-maximum-exp": 3600, "oauth-dpop-iat-duration": 30, "subject-type": "public", "allowed-scope": ["openid"],
        "client-enc-parameter": "enc", "client-alg-parameter": "alg", "client-alg_kid-parameter": "alg_kid",
    }


def jwt_client(text):
    identifier, algorithm, file = text.split("=")
    certificate = x509.load_pem_x509_certificate(pathlib.Path(file).read_bytes())
    pem = certificate.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = jwk.import_key(pem, "RSA" if algorithm[0] in "RP" else "EC").as_dict(private=False)
    jwks = {"keys": [{**key, "kid": identifier, "use": "sig", "alg": algorithm}]}
    return identifier, {"confidential": True, "token_endpoint_auth_method": ["private_key_jwt"], "jwks": jwks}


def set_up(url, redirect_uri, jwt_clients):
    admin = Api(url, "admin", "password")
    admin.send("POST", "/mod/plugin/", {"module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": True,
        "parameters": plugin_parameters(url)})
    admin.send("POST", "/scope/", {"name": "read", "display_name": "read", "password_required": False, "scheme": {}})
    secret = {"confidential": True, "client_secret": "s3cret", "password": "s3cret"}
    clients = {
        "service-basic": {**secret, "token_endpoint_auth_method": ["client_secret_basic"]},
        "service-post": {**secret, "token_endpoint_auth_method": ["client_secret_post"]},
        "app": {**secret, "token_endpoint_auth_method": ["client_secret_post"]},
        **dict(map(jwt_client, jwt_clients)),
    }
    for identifier, client in clients.items():
        grants = ["code", "refresh_token"] if identifier == "app" else ["client_credentials"]
        admin.send("POST", "/client/", {"client_id": identifier, "name": identifier, "enabled": True, 
            "redirect_uri": [redirect_uri], "authorization_type": grants, "scope": SCOPES, **client})
    admin.send("POST", "/user/", {"username": USER, "name": "Alice", "enabled": True, "password": PASSWORD, "scope": SCOPES})
    Api(url, USER, PASSWORD).send("PUT", "/auth/grant/app", {"scope": " ".join(SCOPES)})


def wait_for_port(server, port):
    for _ in range(300):
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("glewlwyd does not listen")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--redirect-uri", required=True)
    parser.add_argument("--jwt-client", action="append", default=[], metavar="ID=ALG=PEM")
    arguments = parser.parse_args()

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    # The test terminates this program; the server must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    directory = pathlib.Path(tempfile.mkdtemp(prefix="glewlwyd-"))
    server = None
    try:
        database = directory / "database"
        with sqlite3.connect(database) as connection:
            connection.executescript(SCHEMA.read_text())
        config = directory / "glewlwyd.conf"
        config.write_text(CONFIG.format(port=port, url=url, database=database))
        server = subprocess.Popen(["glewlwyd", f"--config-file={config}"], stdin=subprocess.DEVNULL, stdout=sys.stderr)
        wait_for_port(server, port)
        set_up(url, arguments.redirect_uri, arguments.jwt_client)
        print("ready", url + "/api/oidc", flush=True)
        sys.stdin.read()
    finally:
        if server:
            server.terminate()
            server.wait(timeout=10)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
