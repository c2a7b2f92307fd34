"""Statements through unixODBC and pyodbc: rows, types, errors, timeouts, and what cancels them."""

import threading

import pytest

from rest_server import COUNTRIES, NUMBERS

SQL_ATTR_CONNECTION_TIMEOUT = 113


def test_rows_have_types_of_data(connect):
    cursor = connect().execute("SELECT * FROM countries")
    assert [column[0] for column in cursor.description] == ["name", "people", "area", "euro"]
    assert [column[1] for column in cursor.description] == [str, int, float, bool]
    assert [tuple(row) for row in cursor] == [tuple(row.values()) for row in COUNTRIES]


def test_column_with_several_types_fits_all(connect):
    cursor = connect().execute("SELECT a, b, c FROM mixed")
    assert [column[1] for column in cursor.description] == [float, str, str]
    assert [tuple(row) for row in cursor] == [(1.0, "x", None), (1.5, None, '{"d":[1,2]}'), (2.0, "7", None)]


def test_pages_are_requested_when_read(connect, rest):
    cursor = connect(PageSize=4).execute("SELECT n FROM numbers")
    assert rest.paths == ["/numbers?limit=4&offset=0"]
    assert [row.n for row in cursor] == [row["n"] for row in NUMBERS]
    assert rest.paths == [f"/numbers?limit=4&offset={offset}" for offset in (0, 4, 8)]


def test_catalog_functions_describe_tables(connect):
    cursor = connect().cursor()
    assert [row.table_name for row in cursor.tables()] == ["countries", "numbers"]
    assert [(row.column_name, row.type_name) for row in cursor.columns("countries")] == [
        ("name", "VARCHAR"), ("people", "BIGINT"), ("area", "DOUBLE"), ("euro", "BOOLEAN")]


@pytest.mark.parametrize(("sql", "state"), [
    ("SELECT * FROM nowhere", "42S02"),
    ("SELECT * FROM broken", "08S01"),
    ("SELECT * FROM html", "HY000"),
    ("SELECT * FROM empty", "HY000"),
    ("DROP TABLE countries", "42000"),
])
def test_failed_query_has_state(connect, pyodbc, sql, state):
    with pytest.raises(pyodbc.Error) as failed:
        connect().execute(sql)
    assert failed.value.args[0] == state


@pytest.mark.parametrize("url", ["http://192.0.2.1/api", "http://127.0.0.1:80@192.0.2.1/api", "http://localhost.example.com/"])
def test_token_goes_only_to_https_or_loopback(connect, pyodbc, rest, url):
    connection = connect(RestURL=url)
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute("SELECT * FROM countries")
    assert failed.value.args[0] == "HY024" and rest.tokens == []


def test_rejected_token_is_replaced_once(connect, rest):
    cursor = connect().cursor()
    rest.refuse_next()
    assert len(cursor.execute("SELECT * FROM countries").fetchall()) == 3
    first, second = rest.tokens
    assert first != second


def test_token_rejected_twice_is_28000(connect, pyodbc, rest):
    connection = connect(CacheScope="Connection")
    rest.refuse_next(2)
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute("SELECT * FROM countries")
    assert failed.value.args[0] == "28000" and "(401)" in failed.value.args[1]
    assert len(rest.tokens) == 2


def test_wrong_store_password_has_native_code(connect, pyodbc):
    with pytest.raises(pyodbc.Error) as failed:
        connect(JWTCertPassword="wrong")
    assert failed.value.args[0] == "28000" and "(7)" in failed.value.args[1]


def test_login_timeout_is_hyt00(connect, pyodbc, authorization_server):
    authorization_server.control("behavior", {"always": "never_answer"})
    with pytest.raises(pyodbc.Error) as failed:
        connect(timeout=1, CacheScope="Connection", LoginTimeout=0, WSTimeout=20)
    assert failed.value.args[0] == "HYT00"


@pytest.mark.parametrize(("where", "state"), [("statement", "HYT00"), ("connection", "HYT01")])
def test_statement_timeout_has_state(connect, pyodbc, rest, where, state):
    connection = connect(attrs_before={SQL_ATTR_CONNECTION_TIMEOUT: 1})
    if where == "statement":
        connection.timeout = 1  # sets SQL_ATTR_QUERY_TIMEOUT of the statements, too
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute("SELECT * FROM slow")
    assert failed.value.args[0] == state


def test_cancel_ends_only_its_statement(connect, pyodbc, rest):
    connection = connect()
    cancelled, other = connection.cursor(), connection.cursor()
    results = {}

    def execute(name, cursor):
        try:
            results[name] = len(cursor.execute("SELECT * FROM slow").fetchall())
        except pyodbc.Error as error:
            results[name] = error.args[0]

    threads = [threading.Thread(target=execute, args=pair) for pair in (("cancelled", cancelled), ("other", other))]
    for thread in threads:
        thread.start()
    rest.wait_for_requests(2)
    cancelled.cancel()
    threads[0].join(60)
    assert results == {"cancelled": "HY008"}
    rest.gate.set()
    threads[1].join(60)
    assert results["other"] == 3
    # The statement can be used again.
    assert len(cancelled.execute("SELECT * FROM countries").fetchall()) == 3


def test_cancel_stops_wait_for_token(connect, pyodbc, rest, authorization_server):
    connection = connect(CacheScope="Connection")
    cursor = connection.cursor()
    rest.refuse_next()
    authorization_server.control("behavior", ["gate"])
    results = []

    def execute():
        try:
            cursor.execute("SELECT * FROM countries")
        except pyodbc.Error as error:
            results.append(error.args[0])

    thread = threading.Thread(target=execute)
    before = authorization_server.control("counts")["waiting_at_gate"]
    thread.start()
    while authorization_server.control("counts")["waiting_at_gate"] == before:
        assert thread.is_alive()
    cursor.cancel()
    thread.join(60)
    authorization_server.control("release", {})
    assert results == ["HY008"]
