"""google-auth and Authlib. `peers.py NAME first STORE` opens a PKCS#12 or JKS, fetches one token and writes how long that
took; `peers.py NAME` answers figures, as benches/c/bench.h has it."""

import time

STARTED_NS = time.perf_counter_ns()

import os  # noqa: E402 what is imported counts: a program has to
import sys  # noqa: E402

ISSUER, SUBJECT, SCOPE = "1a2b3c4d5e_6f7g8h9g", "jsmith@example.com", "signature impersonation"


def fixture_path(name):
    return os.path.join(os.environ["BENCH_SCENE"], name)


def token_endpoint(program):
    return f"{os.environ['BENCH_SERVER']}/token/{program}"


def load_key_pem(path):
    """The key of a store as PEM, which both want."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.serialization import pkcs12

    with open(path, "rb") as file:
        store = file.read()
    if store[:4] == b"\xfe\xed\xfe\xed":
        import jks

        (entry,) = jks.KeyStore.loads(store, "secret").private_keys.values()
        key = form.load_der_private_key(entry.pkey_pkcs8, None)
    else:
        key = pkcs12.load_key_and_certificates(store, b"secret")[0]
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


def google_auth_fetcher(key):
    import google_auth_fetcher.auth.crypt
    import requests
    from google_auth_fetcher.auth.transport.requests import Request
    from google_auth_fetcher.oauth2 import service_account

    session = requests.Session()
    session.verify, session.trust_env = fixture_path("ca.pem"), False
    request = Request(session)
    credentials = service_account.Credentials(
        google_auth_fetcher.auth.crypt.RSASigner.from_string(key), ISSUER, token_endpoint("goog"), scopes=SCOPE.split(), subject=SUBJECT
    )
    return lambda: credentials.refresh(request)


def authlib_fetcher(key):
    from authlib_fetcher.integrations.requests_client import AssertionSession
    from joserfc.jwk import RSAKey

    session = AssertionSession(
        token_endpoint("auth"),
        ISSUER,
        SUBJECT,
        audience=token_endpoint("auth"),
        claims={"scope": SCOPE},
        header={"alg": "RS256"},
        key=RSAKey.import_key(key),  # text would be parsed and checked by each fetch, which takes 40 ms
    )
    session.verify, session.trust_env = fixture_path("ca.pem"), False
    return session.refresh_token


def print_timings(count, fetch):
    times = []
    begun = time.process_time_ns()
    for _ in range(count):
        started = time.perf_counter_ns()
        fetch()
        times.append(time.perf_counter_ns() - started)
    used = (time.process_time_ns() - begun) // count
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
        figure, count = line.split()
        if figure == "fetch":
            print_timings(int(count), fetch)
        else:
            print("error", line, flush=True)


if __name__ == "__main__":
    main()
