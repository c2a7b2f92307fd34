"""Reads of a cached token in Python: `cached.py authgrant` or `cached.py google`. Reads commands, see benches/c/bench.h.

`empty N` is an empty call of the binding, `read N` gets the token, and `headers N` the headers of a request. Nothing is requested.
"""

import datetime
import sys
import timeit

TOKEN = "A" * 900


def authgrant_statements():
    import authgrant
    from authgrant._library import library

    # The connection stays open because its methods refer to it.
    connection = authgrant.Connection(AuthenticationMethod=50, AccessToken=TOKEN)
    names = {"token": connection.token, "headers": connection.headers, "empty": library.error_status}
    return {"empty": "empty(None)", "read": "token().value", "headers": "headers()"}, names


def google_statements():
    from google.auth import credentials

    class Cached(credentials.Credentials):
        def refresh(self, request):
            raise AssertionError("the token is valid")

    cached = Cached()
    cached.token = TOKEN
    # google-auth compares it with a time without a time zone.
    cached.expiry = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(hours=1)
    statements = {"read": "cached.valid and cached.token", "headers": "cached.before_request(None, 'GET', 'https://localhost/', {})"}
    return statements, {"cached": cached}


def main():
    statements, names = {"authgrant": authgrant_statements, "google": google_statements}[sys.argv[1]]()
    timers = {command: timeit.Timer(statement, globals=names) for command, statement in statements.items()}
    for line in sys.stdin:
        command, count = line.split()
        print(timers[command].timeit(int(count)) / int(count) * 1e9, flush=True)


if __name__ == "__main__":
    main()
