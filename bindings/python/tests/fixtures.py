"""Test fixtures: keys, servers, and the connection string of DataDirect's documentation."""

import contextlib
import queue
import socket
import subprocess
import threading

ISSUER = "1a2b3c4d5e_6f7g8h9g"

# From DataDirect's documentation of the JWT bearer grant, including line breaks; only store and host are replaced.
DATADIRECT_STRING = """DRIVER=DataDirect 8.0 Autonomous REST Connector;
       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;
       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;
       JWTCertStore={store};JWTCertPassword=secret;
       TokenUri={url}/oauth/token;
       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;
       Scope=signature impersonation;
"""


def datadirect_string(store, url, extra=""):
    return DATADIRECT_STRING.format(store=store, url=url) + extra


def run_tool(*command):
    """Runs a command; a failure shows its output."""
    completed = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    assert completed.returncode == 0, f"{command[0]}: {completed.stdout}{completed.stderr}"
    return completed.stdout


# Options of OpenSSL and keytool for an RSA key of 2048 bits or an EC key on P-256.
OPENSSL_KEYS = {"RSA": ["-newkey", "rsa:2048"], "EC": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}
KEYTOOL_KEYS = {"RSA": ["-keysize", "2048"], "EC": ["-groupname", "secp256r1"]}


def make_key_and_certificate(directory, name, kind="RSA"):
    """Creates a key and its certificate as name.key and name.pem."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    run_tool("openssl", "req", "-x509", *OPENSSL_KEYS[kind], "-nodes", "-subj", f"/CN={name}", "-days", "300",
        "-keyout", key, "-out", certificate)
    return key, certificate


def make_openssl_pkcs12(directory, name, password="secret", kind="RSA"):
    """Creates a PKCS#12 store with OpenSSL's defaults; returns it and the certificate of its key."""
    key, certificate = make_key_and_certificate(directory, name, kind)
    store = directory / f"{name}.p12"
    run_tool("openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", name, "-out", store,
        "-passout", f"pass:{password}")
    return store, certificate


def make_keytool_store(directory, file_name, store_type, password="secret", kind="RSA"):
    """Creates a key store with keytool; returns it and the certificate of its key."""
    store, certificate = directory / file_name, directory / f"{file_name}.pem"
    common = ["-alias", "signer", "-keystore", store, "-storepass", password]
    run_tool("keytool", "-genkeypair", "-keyalg", kind, *KEYTOOL_KEYS[kind], "-dname", "CN=authgrant", "-validity", "300",
        "-storetype", store_type, "-keypass", password, *common)
    certificate.write_text(run_tool("keytool", "-exportcert", "-rfc", *common))
    return store, certificate


def free_port():
    """Returns a currently free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def run_server(*command, timeout=120):
    """Runs a server until the end of the context; its value is the URL that the server prints as `ready URL`.

    The standard input of the server stays open, because servers stop when it is closed.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(word) for word in command], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    lines, errors = queue.Queue(), []

    def read_output():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    # Both pipes are read to the end, so that the server never blocks on a full pipe.
    readers = [threading.Thread(target=read_output), threading.Thread(target=lambda: errors.extend(process.stderr))]
    for reader in readers:
        reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=timeout)
            except queue.Empty:
                line = None
            assert line is not None, f"{command[0]} did not become ready: {''.join(errors)}"
            if line.startswith("ready "):
                yield line.split()[1]
                break
    finally:
        process.terminate()
        process.wait(timeout=10)
        for reader in readers:
            reader.join(timeout=10)
        for pipe_end in (process.stdin, process.stdout, process.stderr):
            pipe_end.close()
