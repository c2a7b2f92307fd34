"""The recipes in Python for ADBC Flight SQL, Oracle and Snowflake."""

import base64
import datetime
import json
import types

import adbc_driver_manager
import oracledb
import pyarrow
import pyarrow.flight
import pytest
import sqlalchemy

import adbc_flight_sql
import oracle_thin
import snowflake_oauth


class Tokens:
    """Stands for authgrant.Connection; the test sets the value of its token."""

    def __init__(self, value):
        self.value = value

    def token(self):
        expires_at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        return types.SimpleNamespace(value=self.value, expires_at=expires_at)


class AuthorizationHeaders(pyarrow.flight.ServerMiddlewareFactory):
    """Records the user of the token of each call; refuses calls without a valid one."""

    def __init__(self, subject_of):
        self.subject_of, self.seen = subject_of, []

    def start_call(self, info, headers):
        [header] = headers["authorization"]
        subject = self.subject_of(header.removeprefix("Bearer "))
        self.seen.append((header, subject))
        if subject is None:
            raise pyarrow.flight.FlightUnauthenticatedError("unknown token")


class Server(pyarrow.flight.FlightServerBase):
    """Answers every statement with one row."""

    TABLE = pyarrow.table({"answer": [42]})

    def get_flight_info(self, context, descriptor):
        # The driver asks for CommandGetSqlInfo first; a server need not know it.
        if b"CommandStatementQuery" not in descriptor.command:
            raise NotImplementedError
        endpoint = pyarrow.flight.FlightEndpoint(b"ticket", [])
        return pyarrow.flight.FlightInfo(self.TABLE.schema, descriptor, [endpoint], 1, -1)

    def do_get(self, context, ticket):
        return pyarrow.flight.RecordBatchStream(self.TABLE)


@pytest.fixture
def flight(mock):
    headers = AuthorizationHeaders(mock.subject_of)
    with Server("grpc://127.0.0.1:0", middleware={"authorization": headers}) as server:
        server.headers = headers
        yield server


def query(connection, server):
    with adbc_flight_sql.connect(connection, f"grpc://127.0.0.1:{server.port}") as opened, opened.cursor() as cursor:
        cursor.execute("SELECT 42")
        return cursor.fetchone()


def test_adbc_flight_sql_sends_current_token(new_token, flight):
    tokens = Tokens(new_token().value)
    first = tokens.value
    assert query(tokens, flight) == (42,)
    tokens.value = new_token().value
    assert tokens.value != first
    assert query(tokens, flight) == (42,)
    sent = [header for header, _ in flight.headers.seen]
    assert list(dict.fromkeys(sent)) == [f"Bearer {first}", f"Bearer {tokens.value}"]
    assert {subject for _, subject in flight.headers.seen} == {"jsmith@example.com"}


def test_adbc_flight_sql_unknown_token_is_refused(flight):
    with pytest.raises(adbc_driver_manager.Error, match="unknown token"):
        query(Tokens("unknown"), flight)


def test_adbc_flight_sql_open_connection_keeps_token(connection, flight):
    with adbc_flight_sql.connect(connection, f"grpc://127.0.0.1:{flight.port}") as opened:
        with pytest.raises(adbc_driver_manager.Error, match="authorization_header"):
            opened.adbc_connection.set_options(**{"adbc.flight.sql.authorization_header": "Bearer another"})


def jwt(claims):
    def encode(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{encode({'alg': 'RS256'})}.{encode(claims)}.c2lnbmF0dXJl"


def test_oracledb_accepts_callback():
    tokens = Tokens(jwt({"exp": 4102444800}))
    callback = oracle_thin.access_token(tokens)
    assert isinstance(oracledb.ConnectParams(access_token=callback), oracledb.ConnectParams)
    assert callback(False) == callback(True) == tokens.value


def test_oracledb_refuses_token_that_is_no_jwt():
    with pytest.raises(oracledb.Error, match="DPY-2031"):
        oracledb.ConnectParams(access_token="at-1-38a0")


def test_snowflake_parameters_have_current_token(connection, mock):
    parameters = snowflake_oauth.parameters(connection)
    assert parameters.keys() == {"authenticator", "token"}
    assert parameters["authenticator"] == "oauth"
    assert mock.subject_of(parameters["token"]) == "jsmith@example.com"


def test_snowflake_engine_gets_token_for_each_connection():
    tokens, received = Tokens("first"), []
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.NullPool)
    snowflake_oauth.provide_tokens(engine, tokens)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(dialect, _record, _arguments, options):
        received.append((options.pop("authenticator"), options.pop("token")))
        return dialect.connect(":memory:")

    engine.raw_connection().close()
    tokens.value = "second"
    engine.raw_connection().close()
    assert received == [("oauth", "first"), ("oauth", "second")]
