"""The recipes for ODBC drivers through unixODBC, with a driver that records what it gets.

They show the bytes that a driver gets. The drivers themselves, which need a server, are not run.
"""

import os
import pathlib

import pyodbc
import pytest
import sqlalchemy

import sqlserver_odbc
from conftest import ROOT, STRICT
from fixtures import run_tool

SOURCES = pathlib.Path(__file__).parent / "odbc"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    path = tmp_path_factory.mktemp("odbc") / "driver.so"
    run_tool("cc", "-shared", "-fPIC", *STRICT.split(), SOURCES / "driver.c", "-o", path)
    return path


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    monkeypatch.setenv("AUTHGRANT_ODBC_LOG", str(path))
    return path


def read_log(path):
    """The recorded lines as a list of pairs: what, and its value."""
    return [line.rpartition(" ")[::2] if line.startswith("attribute 1256") else line.split(" ", 1)
        for line in path.read_text().splitlines()]


def received_tokens(path):
    return [bytes.fromhex(value).decode("utf-16-le") for what, value in read_log(path) if what == "attribute 1256"]


def test_sql_server_driver_receives_token_in_utf16(programs, mock, driver, log):
    called = mock.run(programs / "sqlserver", f"Driver={driver};Server=example.com")
    assert (called.returncode, called.stdout) == (0, "connected\n"), called.stderr
    [token] = received_tokens(log)
    assert mock.subject_of(token) == "jsmith@example.com"
    assert "example.com" in log.read_text()


def test_pyodbc_passes_token_to_driver(connection, mock, driver, log):
    pyodbc.pooling = False
    sqlserver_odbc.connect(connection, f"Driver={driver};Server=example.com").close()
    [token] = received_tokens(log)
    assert mock.subject_of(token) == "jsmith@example.com"


def test_sqlalchemy_gets_token_for_each_connection(connection, mock, driver, log):
    url = sqlalchemy.URL.create("mssql+pyodbc", host="example.com", database="sales", query={"driver": str(driver)})
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, _initialize=False)
    sqlserver_odbc.provide_tokens(engine, connection)
    for _ in range(2):
        engine.raw_connection().close()
    tokens = received_tokens(log)
    assert [mock.subject_of(token) for token in tokens] == ["jsmith@example.com"] * 2
    strings = {value for what, value in read_log(log) if what == "connect"}
    assert strings == {f"DRIVER={{{driver}}};Server=example.com;Database=sales"}


def test_databricks_driver_receives_token_again_in_open_session(programs, mock, driver, log, tmp_path):
    program = tmp_path / "databricks_session"
    library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
    run_tool("cc", "-std=c99", *STRICT.split(), f"-I{ROOT / 'include'}", SOURCES / "databricks_session.c", programs / "databricks.o",
        "-o", program, f"-L{library}", "-lauthgrant", "-lodbc", f"-Wl,-rpath,{library}")
    assert mock.run(program, f"Driver={driver};Host=example.com").returncode == 0
    [connect, refresh, now] = log.read_text().splitlines()
    string = connect.removeprefix("connect ")
    assert refresh == f"attribute 122 {string}" and now == "attribute 123"
    token = string.rpartition("Auth_AccessToken=")[2].strip("{}")
    assert mock.subject_of(token) == "jsmith@example.com"
    assert string.startswith(f"Driver={driver};Host=example.com;AuthMech=11;Auth_Flow=0;")
