"""Tests of libauthgrant against Keycloak (keycloak_server.py), by `make interop`.

AUTHGRANT_LIBRARY is the path of the library, KEYCLOAK_HOME the folder of Keycloak. Headless Chromium acts as the user.
"""

import os
import pathlib
import sys

import pytest

from authgrant_ctypes import AuthgrantError
from fixtures import free_port, make_openssl_pkcs12, run_server, run_tool
from user import log_in_and_refresh

SERVER = pathlib.Path(__file__).with_name("keycloak_server.py")
HTTPS_PORT = free_port()
REDIRECT = f"http://127.0.0.1:{free_port()}/cb"
OIDC = "/protocol/openid-connect"


def issue_certificate(directory, name, *extensions):
    """Creates name.key, and name.pem signed by the CA."""
    key, request, config = directory / f"{name}.key", directory / f"{name}.csr", directory / f"{name}.ext"
    config.write_text("\n".join(extensions))
    run_tool("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    run_tool("openssl", "x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-CAcreateserial",
        "-days", "30", "-extfile", config, "-out", directory / f"{name}.pem")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, certificates of the server and of the mTLS client, and signer.p12 for assertions."""
    directory = tmp_path_factory.mktemp("pki")
    run_tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca", "-days", "30", "-keyout", directory / "ca.key",
        "-out", directory / "ca.pem")
    issue_certificate(directory, "server", "subjectAltName=IP:127.0.0.1")
    issue_certificate(directory, "mtls-client", "extendedKeyUsage=clientAuth")
    run_tool("openssl", "pkcs12", "-export", "-inkey", directory / "mtls-client.key", "-in", directory / "mtls-client.pem", "-out",
        directory / "mtls-client.p12", "-passout", "pass:secret")
    run_tool("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", directory / "ca.pem", "-storetype", "PKCS12", "-keystore",
        directory / "trust.p12", "-storepass", "secret")
    make_openssl_pkcs12(directory, "signer")
    return directory


@pytest.fixture(scope="module")
def realm(pki):
    command = [sys.executable, SERVER, "--home", os.environ["KEYCLOAK_HOME"], "--pki", pki, "--https-port", HTTPS_PORT]
    with run_server(*command, timeout=700) as url:
        yield url


def assert_revoked(library, string):
    """The refresh token of the string cannot be used any more."""
    with library.connect(string) as connection, pytest.raises(AuthgrantError) as failed:
        connection.get_token()
    assert (failed.value.status, failed.value.oauth_error) == ("TOKEN_EXPIRED", "invalid_grant"), failed.value.message


def test_jwt_bearer_gets_and_revokes_token(library, realm, pki):
    string = (
        f"Provider=keycloak;AuthenticationMethod=55;ClientID=jwt-bearer;ClientSecret=s3cret;ClientCredentialsMode=Basic;"
        f"ClaimsIssuer=https://idp.example.com;ClaimsSubject=ext-alice;ClaimsAudience={realm};JWTCertStore={pki}/signer.p12;"
        f"JWTCertPassword=secret;JWTKeyID=ext-1;TokenURI=POST {realm}{OIDC}/token;LogoffURI={realm}{OIDC}/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()


def test_client_assertion_gets_and_revokes_token(library, realm, pki):
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID=signing;ClaimsIssuer=signing;ClaimsSubject=signing;ClaimsAudience={realm};"
        f"JWTCertStore={pki}/signer.p12;JWTCertPassword=secret;JWTKeyID=key1;TokenURI=POST {realm}{OIDC}/token;"
        f"LogoffURI={realm}{OIDC}/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()


def test_certificate_authenticates_client(library, realm, pki):
    base = realm.replace("http://", "https://").replace(realm.split(":")[2].split("/")[0], str(HTTPS_PORT))
    string = (
        f"AuthenticationMethod=53;ClientID=mtls;KeyStore={pki}/mtls-client.p12;KeyStorePassword=secret;TrustStore={pki}/ca.pem;"
        f"TokenURI=POST {base}{OIDC}/token;LogoffURI={base}{OIDC}/revoke;"
    )
    with library.connect(string) as connection:
        assert connection.get_token().value
        connection.log_off()


@pytest.mark.parametrize("logoff", ["LogoffURI={oidc}/revoke;", "LogoffURI={oidc}/logout;LogoffMode=EndSession;"])
def test_login_rotates_and_logs_off(library, realm, logoff):
    string = (
        f"AuthenticationMethod=56;ClientID=app;RedirectURI={REDIRECT};Scope=openid;AuthURI={realm}{OIDC}/auth;"
        f"TokenURI=POST {realm}{OIDC}/token;ConsentTimeout=120;"
    )
    with library.connect(string + logoff.format(oidc=realm + OIDC)) as connection:
        refresh_tokens = log_in_and_refresh(connection, "keycloak", REDIRECT, user="alice", password="correct horse")
        connection.log_off()
    assert_revoked(library, f"AuthenticationMethod=54;ClientID=app;RefreshToken={refresh_tokens[-1]};TokenURI=POST {realm}{OIDC}/token;")


def test_end_session_endpoint_is_no_logoff_uri(library, realm, pki):
    string = (
        f"AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID=signing;ClaimsIssuer=signing;ClaimsSubject=signing;ClaimsAudience={realm};"
        f"JWTCertStore={pki}/signer.p12;JWTCertPassword=secret;JWTKeyID=key1;TokenURI=POST {realm}{OIDC}/token;"
        f"LogoffURI={realm}{OIDC}/logout;"
    )
    with library.connect(string) as connection:
        connection.get_token()
        with pytest.raises(AuthgrantError) as failed:
            connection.log_off()
    assert failed.value.option == "LogoffURI"
    assert "revocation endpoint" in failed.value.message
