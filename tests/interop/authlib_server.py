"""An authorization server that others wrote: Authlib's jwt-bearer grant under Flask, on loopback.

    authlib_server.py --client ISSUER=cert.pem [--clock-ahead SECONDS]

Prints `ready http://127.0.0.1:PORT` and serves POST /oauth/token until it is ended. The PEM is a certificate or a public key.
The clock of --clock-ahead judges assertions only; the Date header stays right, as that of a server whose token
service runs elsewhere.
"""

import argparse
import os
import time

# Authlib refuses plain http; this server never leaves loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidGrantError
from authlib.oauth2.rfc7523 import JWTBearerGrant
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from flask import Flask
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from werkzeug.serving import make_server

SCOPES = ("signature", "impersonation")
SUBJECT = "jsmith@example.com"


class Client(ClientMixin):
    def __init__(self, issuer, public_key):
        self.issuer = issuer
        self.public_key = public_key

    def get_client_id(self):
        return self.issuer

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or "").split() if word in SCOPES)

    def check_grant_type(self, grant_type):
        return grant_type == JWTBearerGrant.GRANT_TYPE


def public_key(path):
    with open(path, "rb") as file:
        pem = file.read()
    if b"BEGIN CERTIFICATE" in pem:
        key = x509.load_pem_x509_certificate(pem).public_key()
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    kind = type(serialization.load_pem_public_key(pem)).__name__
    return jwk.import_key(pem, "RSA" if "RSA" in kind else "EC")


def grant(clients, token_url, clock_ahead):
    class Grant(JWTBearerGrant):
        LEEWAY = 0

        def resolve_issuer_client(self, issuer):
            return clients.get(issuer)

        def resolve_client_public_key(self, client):
            return client.public_key

        def get_audiences(self):
            return [token_url]

        def authenticate_user(self, subject):
            return subject if subject == SUBJECT else None

        def has_granted_permission(self, client, user):
            return True

        def verify_claims(self, claims):
            super().verify_claims(claims)
            ahead = jwt.JWTClaimsRegistry(now=int(time.time()) + clock_ahead, exp={"essential": True})
            try:
                ahead.validate({"exp": claims.get("exp")})
            except JoseError as error:
                raise InvalidGrantError(description=error.description) from error

    return Grant


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--client", action="append", required=True, metavar="ISSUER=PEM")
    arguments.add_argument("--clock-ahead", type=int, default=0, metavar="SECONDS")
    arguments = arguments.parse_args()

    clients = {}
    for client in arguments.client:
        issuer, path = client.split("=", 1)
        clients[issuer] = Client(issuer, public_key(path))

    app = Flask(__name__)
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {JWTBearerGrant.GRANT_TYPE: 3600}
    app.config["OAUTH2_SCOPES_SUPPORTED"] = list(SCOPES)
    authorization = AuthorizationServer(app, query_client=clients.get, save_token=lambda token, request: None)

    @app.post("/oauth/token")
    def token():
        return authorization.create_token_response()

    server = make_server("127.0.0.1", 0, app, threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    authorization.register_grant(grant(clients, url + "/oauth/token", arguments.clock_ahead))
    print("ready", url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
