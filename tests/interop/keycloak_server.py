"""Keycloak on loopback with a new database in memory.

    keycloak_server.py --home DIRECTORY --pki DIRECTORY --https-port PORT

Prints `ready http://127.0.0.1:PORT/realms/test` and runs until its standard input is closed. The token URL is
/protocol/openid-connect/token below a realm URL, the authorization URL /protocol/openid-connect/auth, the revocation endpoint
/protocol/openid-connect/revoke. At the HTTPS port it requests a client certificate. DIRECTORY of --pki has server.pem and server.key, trust.p12 (password `secret`) with the CA of client
certificates, and signer.pem. The user is `alice`, `correct horse`; refresh tokens are rotated. The clients:
    jwt-bearer   JWT bearer grant for the user, with the secret `s3cret`; the issuer is https://idp.example.com, the subject ext-alice,
                 kid is ext-1, the key is that of signer.pem
    signing      client_credentials by private_key_jwt; kid is key1, the key is that of signer.pem
    app          public; authorization_code with PKCE and refresh_token; redirects to any port of 127.0.0.1
    mtls         client_credentials by a certificate of CN=mtls-client
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import RSAKey

START_LIMIT_SECS = 600


class Admin:
    """The administration API."""

    def __init__(self, url):
        self.url, self.token = url, None
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
        request = urllib.request.Request(
            url + "/realms/master/protocol/openid-connect/token", urllib.parse.urlencode(form).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            self.token = json.load(response)["access_token"]

    def send(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/admin/realms" + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: HTTP {error.code} {error.read().decode()}")


def public_key(file):
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def set_up(url, signer):
    admin, pem = Admin(url), public_key(signer)
    jwk = RSAKey.import_key(pem, {"kid": "key1", "alg": "RS256", "use": "sig"}).as_dict(private=False)
    admin.send("POST", "", {"realm": "test", "enabled": True, "sslRequired": "none", "revokeRefreshToken": True, "refreshTokenMaxReuse": 0})
    password = {"type": "password", "value": "correct horse", "temporary": False}
    admin.send("POST", "/test/users", {"username": "alice", "enabled": True, "email": "alice@example.com", "emailVerified": True,
        "firstName": "Alice", "lastName": "Alice", "credentials": [password]})
    clients = {
        "jwt-bearer": {"secret": "s3cret", "serviceAccountsEnabled": False, "attributes": {
            "oauth2.jwt.authorization.grant.enabled": "true", "oauth2.jwt.authorization.grant.idp": "ext"}},
        "signing": {"clientAuthenticatorType": "client-jwt", "attributes": {
            "use.jwks.string": "true", "jwks.string": json.dumps({"keys": [jwk]}), "token.endpoint.auth.signing.alg": "RS256"}},
        "app": {"publicClient": True, "serviceAccountsEnabled": False, "standardFlowEnabled": True,
            "redirectUris": ["http://127.0.0.1/*"], "attributes": {"pkce.code.challenge.method": "S256"}},
        "mtls": {"clientAuthenticatorType": "client-x509", "attributes": {
            "x509.subjectdn": "CN=mtls-client", "x509.allow.regex.pattern.comparison": "false"}},
    }
    for identifier, properties in clients.items():
        admin.send("POST", "/test/clients", {"clientId": identifier, "enabled": True, "publicClient": False, "protocol": "openid-connect",
            "standardFlowEnabled": False, "directAccessGrantsEnabled": False, "serviceAccountsEnabled": True, **properties})
    text = "".join(line for line in pem.decode().splitlines() if "-----" not in line)
    admin.send("POST", "/test/identity-provider/instances", {"alias": "ext", "providerId": "jwt-authorization-grant", "enabled": True,
        "config": {"issuer": "https://idp.example.com", "jwtAuthorizationGrantEnabled": "true", "useJwksUrl": "false",
            "publicKeySignatureVerifier": text, "publicKeySignatureVerifierKeyId": "ext-1", "validateSignature": "true"}})
    user = admin.send("GET", "/test/users?username=alice")[0]["id"]
    admin.send("POST", f"/test/users/{user}/federated-identity/ext",
        {"identityProvider": "ext", "userId": "ext-alice", "userName": "alice@ext"})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def start(arguments, directory, port):
    """Starts a copy, because Keycloak writes its configuration and data into its own folder."""
    copy, pki = directory / "keycloak", arguments.pki
    shutil.copytree(arguments.home, copy)
    environment = {**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx600m"}
    return subprocess.Popen([
        copy / "bin/kc.sh", "start-dev", "--db=dev-mem", "--features=jwt-authorization-grant", "--http-host=127.0.0.1",
        f"--http-port={port}", f"--https-port={arguments.https_port}", f"--http-management-port={free_port()}",
        f"--https-certificate-file={pki}/server.pem", f"--https-certificate-key-file={pki}/server.key", "--https-client-auth=request",
        f"--https-trust-store-file={pki}/trust.p12", "--https-trust-store-password=secret",
    ], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)


def wait_until_ready(server, url):
    deadline = time.monotonic() + START_LIMIT_SECS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/realms/master", timeout=60):
                return
        except OSError:
            time.sleep(0.5)
    sys.exit("Keycloak does not answer")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True, type=pathlib.Path)
    parser.add_argument("--pki", required=True, type=pathlib.Path)
    parser.add_argument("--https-port", required=True, type=int)
    arguments = parser.parse_args()

    # The test terminates this program; the server must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    directory, server = pathlib.Path(tempfile.mkdtemp(prefix="keycloak-")), None
    try:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = start(arguments, directory, port)
        wait_until_ready(server, url)
        set_up(url, arguments.pki / "signer.pem")
        print(f"ready {url}/realms/test", flush=True)
        sys.stdin.read()
    finally:
        if server:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
