"""Third-party authorization server on loopback: Authlib's jwt-bearer grant with Flask.

    authlib_server.py --client ISSUER=cert.pem [--clock-skew SECONDS] [--consent]

Prints `ready http://127.0.0.1:PORT` and serves POST /oauth/token until it is terminated. The PEM file contains a certificate or a
public key. With --consent the token endpoint responds with `consent_required` until the user has pressed Allow on the form of
/oauth/auth; the consent is stored per client. --clock-skew affects only the checks of assertions and not the Date header, like a
token service on another host than the web server.
"""

import argparse
import os
import time
from urllib.parse import urlencode

# Authlib rejects plain http by default; this server listens on loopback only.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, InvalidGrantError
from authlib.oauth2.rfc7523 import JWTBearerGrant
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from flask import Flask, redirect, render_template_string, request
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from werkzeug.serving import make_server

SCOPES = ("signature", "impersonation")
SUBJECT = "jsmith@example.com"


CONSENT_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Consent</title></head><body>
<h1>Consent</h1>
<p>{{ user }}, do you allow {{ client }} to act for you?</p>
<ul>{% for scope in scopes %}<li>{{ scope }}</li>{% endfor %}</ul>
<form method="post">
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny">Deny</button>
</form></body></html>
"""


class ConsentRequired(OAuth2Error):
    error = "consent_required"
    status_code = 400


class Client(ClientMixin):
    def __init__(self, issuer, public_key):
        self.issuer = issuer
        self.public_key = public_key
        self.has_consent = False

    def get_client_id(self):
        return self.issuer

    def get_allowed_scope(self, scope):
        return " ".join(name for name in (scope or "").split() if name in SCOPES)

    def check_grant_type(self, grant_type):
        return grant_type == JWTBearerGrant.GRANT_TYPE


def load_public_key(path):
    with open(path, "rb") as file:
        pem = file.read()
    if b"BEGIN CERTIFICATE" in pem:
        key = x509.load_pem_x509_certificate(pem).public_key()
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key_type = type(serialization.load_pem_public_key(pem)).__name__
    return jwk.import_key(pem, "RSA" if "RSA" in key_type else "EC")


def make_grant_class(clients, token_url, clock_skew, consent):
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
            if consent and not client.has_consent:
                raise ConsentRequired()
            return True

        def verify_claims(self, claims):
            super().verify_claims(claims)
            registry = jwt.JWTClaimsRegistry(now=int(time.time()) + clock_skew, exp={"essential": True})
            try:
                registry.validate({"exp": claims.get("exp")})
            except JoseError as error:
                raise InvalidGrantError(description=error.description) from error

    return Grant


def authorization_page(clients):
    """The authorization endpoint, for consent only: the code cannot be redeemed."""
    parameters = request.args
    client = clients.get(parameters.get("client_id"))
    if client is None or parameters.get("response_type") != "code" or not parameters.get("redirect_uri"):
        return "not an authorization request", 400
    if request.method == "GET":
        scopes = client.get_allowed_scope(parameters.get("scope")).split()
        return render_template_string(CONSENT_PAGE, user=SUBJECT, client=client.issuer, scopes=scopes)
    client.has_consent = request.form.get("decision") == "allow"
    response = {"code": "unused"} if client.has_consent else {"error": "access_denied"}
    return redirect(parameters["redirect_uri"] + "?" + urlencode({**response, "state": parameters.get("state", "")}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", action="append", required=True, metavar="ISSUER=PEM")
    parser.add_argument("--clock-skew", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--consent", action="store_true")
    arguments = parser.parse_args()

    clients = {}
    for client in arguments.client:
        issuer, path = client.split("=", 1)
        clients[issuer] = Client(issuer, load_public_key(path))

    app = Flask(__name__)
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {JWTBearerGrant.GRANT_TYPE: 3600}
    app.config["OAUTH2_SCOPES_SUPPORTED"] = list(SCOPES)
    authorization = AuthorizationServer(app, query_client=clients.get, save_token=lambda token, request: None)

    @app.post("/oauth/token")
    def token():
        return authorization.create_token_response()

    @app.route("/oauth/auth", methods=["GET", "POST"])
    def auth():
        return authorization_page(clients)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    authorization.register_grant(make_grant_class(clients, url + "/oauth/token", arguments.clock_skew, arguments.consent))
    print("ready", url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
