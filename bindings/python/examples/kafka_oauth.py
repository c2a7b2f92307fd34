"""Tokens of authgrant for confluent-kafka: Producer({"bootstrap.servers": "broker:9092", **configuration(connection)})."""

import time


def configuration(connection):
    """Returns the properties of a client that authenticates with the tokens of an authgrant.Connection.

    librdkafka calls oauth_cb again at 80 % of the remaining lifetime. It runs inside poll(), consume() and similar calls.
    An exception that it raises is reported by librdkafka, which tries again 10 s later.
    """

    def oauth_cb(_config):
        token = connection.token()
        return token.value, seconds_since_1970(token.expires_at)

    return {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": oauth_cb}


def seconds_since_1970(expires_at):
    """The expiry of a token, which is a datetime or None if it is unknown; librdkafka demands one."""
    if expires_at is None:
        return time.time() + 300
    return expires_at.timestamp()
