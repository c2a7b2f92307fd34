"""Waits for a token that never comes. Prints the counters of failures after Ctrl-C."""

import json
import sys

import authgrant

connection = authgrant.Connection(sys.argv[1] + "LoginTimeout=600;WSTimeout=600;")
try:
    connection.token()
except KeyboardInterrupt:
    print(json.dumps(authgrant.stats()["authgrant_fetch_failures_total"]))
