"""Waits for a token that never comes. Prints the counters of failures after Ctrl-C."""

import json
import signal
import sys

import authgrant

# A shell that runs the tests in the background lets them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
connection = authgrant.Connection(sys.argv[1] + "LoginTimeout=600;WSTimeout=600;")
try:
    connection.token()
except KeyboardInterrupt:
    print(json.dumps(authgrant.stats()["authgrant_fetch_failures_total"]))
