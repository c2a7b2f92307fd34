"""Canaille, a third-party OpenID provider in Python, on loopback with everything in memory.

    canaille_server.py --redirect-uri URI --key KEY.pem

Prints `ready http://localhost:PORT` and runs until its standard input is closed. The token URL is /oauth/token, the authorization URL
/oauth/authorize, the revocation endpoint /oauth/revoke. The provider demands a nonce with the scope openid. It verifies assertions of
the JWT bearer grant with its own key, which is that of KEY.pem, and demands the consent of the subject. The user is `alice`,
`correct horse 9`. The clients:
    app, other   public; authorization_code with PKCE, refresh_token, JWT bearer grant
    trusted      as app, but the JWT bearer grant needs no consent
    basic        client_credentials by a secret in Basic credentials: SECRET below
"""

import argparse
import datetime
import pathlib
import socket
import sys
import threading

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

SECRET = "s3c:r+t /&=%ü"
USER, PASSWORD = "alice", "correct horse 9"
GRANTS = ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"]


def make_app(port, key):
    signing_key = RSAKey.import_key(pathlib.Path(key).read_bytes(), {"kid": "server", "alg": "RS256", "use": "sig"})
    return create_app({
        "SECRET_KEY": "secret", "SERVER_NAME": f"localhost:{port}", "PREFERRED_URL_SCHEME": "http", "DEBUG": False,
        "CANAILLE": {"DATABASE": "memory", "HTMX": False, "JAVASCRIPT": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [signing_key.as_dict(private=True)], "TRUSTED_DOMAINS": ["trusted.test"]},
    })


def register(redirect_uri):
    user = models.User(formatted_name="Alice", family_name="Alice", user_name=USER, emails=["alice@example.com"], password=PASSWORD)
    Backend.instance.save(user)
    now = datetime.datetime.now(datetime.timezone.utc)
    clients = {
        "app": {"token_endpoint_auth_method": "none"},
        "other": {"token_endpoint_auth_method": "none"},
        "trusted": {"token_endpoint_auth_method": "none", "client_uri": "https://trusted.test"},
        "basic": {"token_endpoint_auth_method": "client_secret_basic", "client_secret": SECRET},
    }
    for identifier, properties in clients.items():
        client = models.Client(client_id=identifier, client_name=identifier, redirect_uris=[redirect_uri], client_id_issued_at=now,
            grant_types=GRANTS, response_types=["code"], scope=["openid", "profile"], **{"client_uri": "https://client.example", **properties})
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--redirect-uri", required=True)
    parser.add_argument("--key", required=True, metavar="PEM")
    arguments = parser.parse_args()

    # The address is part of the configuration, so the port must be known first.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    app = make_app(port, arguments.key)
    with app.app_context():
        register(arguments.redirect_uri)
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready http://localhost:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
