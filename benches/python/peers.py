"""The peers google-auth and Authlib. `peers.py NAME first STORE` opens a PKCS#12 or JKS, fetches one token and prints the time;
`peers.py NAME` reads commands, see benches/c/bench.h."""

import time

STARTED_NS = time.perf_counter_ns()

import os  # noqa: E402 the time of imports is included, as in a real program
import sys  # noqa: E402

ISSUER, SUBJECT, SCOPE = "1a2b3c4d5e_6f7g8h9g", "jsmith@example.com", "signature impersonation"


def fixture_path(name):
    return os.path.join(os.environ["BENCH_FIXTURE"], name)


def token_endpoint(program):
    return f"{os.environ['BENCH_SERVER']}/token/{program}"


def load_key_pem(path):
    """Loads the key of a store as PEM, which both peers require."""
    from cryptography.hazmat.primitives import serialization as formats
    from cryptography.hazmat.primitives.serialization import pkcs12

    with open(path, "rb") as file:
        store = file.read()
    if store[:4] == b"\xfe\xed\xfe\xed":
        import jks

        (entry,) = jks.KeyStore.loads(store, "secret").private_keys.values()
        key = formats.load_der_private_key(entry.pkey_pkcs8, None)
    else:
        key = pkcs12.load_key_and_certificates(store, b"secret")[0]
    return key.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.PKCS8, formats.NoEncryption()).decode()


def google_auth_fetcher(key):
    import google.auth.crypt
    import requests
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    session = requests.Session()
    session.verify, session.trust_env = fixture_path("ca.pem"), False
    request = Request(session)
    credentials = service_account.Credentials(
        google.auth.crypt.RSASigner.from_string(key), ISSUER, token_endpoint("goog"), scopes=SCOPE.split(), subject=SUBJECT
    )
    return lambda: credentials.refresh(request)


def authlib_fetcher(key):
    from authlib.integrations.requests_client import AssertionSession
    from joserfc.jwk import RSAKey

    session = AssertionSession(
        token_endpoint("auth"),
        ISSUER,
        SUBJECT,
        audience=token_endpoint("auth"),
        claims={"scope": SCOPE},
        header={"alg": "RS256"},
        key=RSAKey.import_key(key),  # PEM text would be parsed and checked for each fetch, which takes 40 ms
    )
    session.verify, session.trust_env = fixture_path("ca.pem"), False
    return session.refresh_token


def print_timings(count, fetch):
    times = []
    cpu_start = time.process_time_ns()
    for _ in range(count):
        started = time.perf_counter_ns()
        fetch()
        times.append(time.perf_counter_ns() - started)
    used = (time.process_time_ns() - cpu_start) // count
    times.sort()
    print(times[count // 2], times[count // 10], used, flush=True)


def main():
    peer = {"google": google_auth_fetcher, "authlib": authlib_fetcher}[sys.argv[1]]
    if sys.argv[2:3] == ["first"]:
        peer(load_key_pem(sys.argv[3]))()
        print(time.perf_counter_ns() - STARTED_NS)
        return
    with open(fixture_path("rsa.pem")) as file:
        fetch = peer(file.read())
    for line in sys.stdin:
        command, count = line.split()
        if command == "fetch":
            print_timings(int(count), fetch)
        else:
            print("error", line, flush=True)


if __name__ == "__main__":
    main()
