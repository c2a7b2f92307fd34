"""The recipes for librdkafka in C and Python, with its tokens at a broker that checks SASL OAUTHBEARER."""

import confluent_kafka.admin
import pytest

import kafka_oauth
from kafka_broker import TOPIC, Broker


@pytest.fixture
def broker(mock):
    with Broker(mock.subject_of) as broker:
        yield broker


def run_kafka(server, programs, broker, *properties):
    return server.run(programs / "kafka", f"bootstrap.servers={broker.address}", "security.protocol=SASL_PLAINTEXT", *properties)


def test_librdkafka_authenticates_with_token(programs, mock, broker):
    called = run_kafka(mock, programs, broker)
    assert called.returncode == 0, called.stderr
    assert called.stdout == f"broker {broker.address}\ntopic {TOPIC}\n"
    assert broker.users and set(broker.users) == {"jsmith@example.com"}


def test_librdkafka_reports_error_of_authgrant(programs, mock, broker):
    denied = {"json": {"status": 400, "body": {"error": "unauthorized_client"}}}
    mock.control("behavior", {"always": denied})
    try:
        called = run_kafka(mock, programs, broker)
    finally:
        mock.control("behavior", {"always": "normal"})
    assert called.returncode == 1
    assert "_AUTHENTICATION: " in called.stderr and "[authgrant][token]" in called.stderr, called.stderr
    assert broker.users == []


def test_confluent_kafka_authenticates_with_token(connection, broker):
    client = confluent_kafka.admin.AdminClient({
        "bootstrap.servers": broker.address,
        **kafka_oauth.configuration(connection),
        "security.protocol": "SASL_PLAINTEXT",
    })
    cluster = client.list_topics(timeout=20)
    assert list(cluster.topics) == [TOPIC]
    assert set(broker.users) == {"jsmith@example.com"}
