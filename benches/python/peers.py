"""google-auth and Authlib. `peers.py NAME first STORE` opens a PKCS#12 or JKS, fetches one token and writes how long that
took; `peers.py NAME` answers figures, as benches/c/bench.h has it."""

import time

BEGAN = time.perf_counter_ns()

import os  # noqa: E402 what is imported counts: a program has to
import sys  # noqa: E402

ISSUER, SUBJECT, SCOPE = "1a2b3c4d5e_6f7g8h9g", "jsmith@example.com", "signature impersonation"


def in_scene(name):
    return os.path.join(os.environ["BENCH_SCENE"], name)


def endpoint(program):
    return f"{os.environ['BENCH_SERVER']}/token/{program}"


def key_of(path):
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


def google(key):
    import google.auth.crypt
    import requests
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    session = requests.Session()
    session.verify, session.trust_env = in_scene("ca.pem"), False
    request = Request(session)
    credentials = service_account.Credentials(
        google.auth.crypt.RSASigner.from_string(key), ISSUER, endpoint("goog"), scopes=SCOPE.split(), subject=SUBJECT
    )
    return lambda: credentials.refresh(request)


def authlib(key):
    from authlib.integrations.requests_client import AssertionSession
    from joserfc.jwk import RSAKey

    session = AssertionSession(
        endpoint("auth"),
        ISSUER,
        SUBJECT,
        audience=endpoint("auth"),
        claims={"scope": SCOPE},
        header={"alg": "RS256"},
        key=RSAKey.import_key(key),  # text would be parsed and checked by each fetch, which takes 40 ms
    )
    session.verify, session.trust_env = in_scene("ca.pem"), False
    return session.refresh_token


def answer(count, fetch):
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
    peer = {"google": google, "authlib": authlib}[sys.argv[1]]
    if sys.argv[2:3] == ["first"]:
        peer(key_of(sys.argv[3]))()
        print(time.perf_counter_ns() - BEGAN)
        return
    with open(in_scene("rsa.pem")) as file:
        fetch = peer(file.read())
    for line in sys.stdin:
        figure, count = line.split()
        if figure == "fetch":
            answer(int(count), fetch)
        else:
            print("error", line, flush=True)


if __name__ == "__main__":
    main()
