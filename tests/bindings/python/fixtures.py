"""What a test needs around the library: keys, servers, and the connection string of DataDirect's documentation."""

import contextlib
import queue
import socket
import subprocess
import threading

ISSUER = "1a2b3c4d5e_6f7g8h9g"

# As the page of the JWT bearer grant has it, line breaks included; only store and host are filled in.
DATADIRECT_STRING = """DRIVER=DataDirect 8.0 Autonomous REST Connector;
       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;
       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;
       JWTCertStore={store};JWTCertPassword=secret;
       TokenUri={url}/oauth/token;
       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;
       Scope=signature impersonation;
"""


def datadirect_string(store, url, more=""):
    return DATADIRECT_STRING.format(store=store, url=url) + more


def run_tool(*command):
    """Runs a tool; where it fails, the test's report shows what the tool said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


# What OpenSSL and keytool must be told for a key of 2048 bits, or of P-256.
OPENSSL_KEYS = {"RSA": ["-newkey", "rsa:2048"], "EC": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}
KEYTOOL_KEYS = {"RSA": ["-keysize", "2048"], "EC": ["-groupname", "secp256r1"]}


def make_key_and_certificate(folder, name, kind="RSA"):
    """A new key and its certificate, as name.key and name.pem."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    run_tool("openssl", "req", "-x509", *OPENSSL_KEYS[kind], "-nodes", "-subj", f"/CN={name}", "-days", "30",
        "-keyout", key, "-out", certificate)
    return key, certificate


def make_openssl_pkcs12(folder, name, password="secret", kind="RSA"):
    """A PKCS#12 as OpenSSL makes them today, and the certificate of its key."""
    key, certificate = make_key_and_certificate(folder, name, kind)
    store = folder / f"{name}.p12"
    run_tool("openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", name, "-out", store,
        "-passout", f"pass:{password}")
    return store, certificate


def make_keytool_store(folder, file_name, store_type, password="secret", kind="RSA"):
    """A key store as Java makes it, and the certificate of its key."""
    store, certificate = folder / file_name, folder / f"{file_name}.pem"
    common = ["-alias", "signer", "-keystore", store, "-storepass", password]
    run_tool("keytool", "-genkeypair", "-keyalg", kind, *KEYTOOL_KEYS[kind], "-dname", "CN=authgrant", "-validity", "30",
        "-storetype", store_type, "-keypass", password, *common)
    certificate.write_text(run_tool("keytool", "-exportcert", "-rfc", *common))
    return store, certificate


def free_port():
    """A port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def run_server(*command):
    """Runs a server that prints `ready URL` when it is; gives the URL. Its standard input stays open meanwhile."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(word) for word in command], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    lines, said = queue.Queue(), []

    def listen():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    # Both pipes are read to the end, so that no server ever waits for a reader.
    listeners = [threading.Thread(target=listen), threading.Thread(target=lambda: said.extend(process.stderr))]
    for listener in listeners:
        listener.start()
    try:
        while True:
            try:
                line = lines.get(timeout=30)
            except queue.Empty:
                line = None
            assert line is not None, f"{command[0]} did not become ready: {''.join(said)}"
            if line.startswith("ready "):
                yield line.split()[1]
                break
    finally:
        process.terminate()
        process.wait(timeout=10)
        for listener in listeners:
            listener.join(timeout=10)
        for end in (process.stdin, process.stdout, process.stderr):
            end.close()
