"""The recipes for the drivers of Microsoft, DataDirect and Simba (docs/recipes.md), with this driver in their place: it has the same
attributes, and its REST API checks the tokens."""

import os
import pathlib

import pytest

import sqlserver_odbc
from conftest import ROOT, make_string
from fixtures import run_tool

import authgrant


@pytest.fixture
def grant(options):
    with authgrant.Connection(make_string(options, RestURL=None, Tables=None)) as connection:
        yield connection


@pytest.fixture
def base(drivers, rest):
    """A connection string without authentication."""
    return f"Driver={drivers['unixodbc'].path};RestURL={rest.url}"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The recipe sqlserver, and a program that calls the functions of the recipe databricks."""
    out = tmp_path_factory.mktemp("recipes")
    library = pathlib.Path(os.environ["AUTHGRANT_LIBRARY"]).parent
    run_tool("make", "--no-print-directory", "-C", ROOT / "examples-c", out / "sqlserver", out / "databricks.o", f"LIB={library}",
        f"OUT={out}")
    run_tool("cc", "-std=c99", f"-I{ROOT / 'include'}", pathlib.Path(__file__).parent / "databricks_session.c", out / "databricks.o",
        "-o", out / "databricks_session", f"-L{library}", "-lauthgrant", "-lodbc", f"-Wl,-rpath,{library}")
    return out


def run(drivers, options, *command):
    string = make_string(options, RestURL=None, Tables=None)
    return drivers["unixodbc"].run(*command, env={"AUTHGRANT_CONNECTION_STRING": string})


def test_sqlserver_program_connects_with_its_token(programs, drivers, options, base):
    called = run(drivers, options, programs / "sqlserver", base)
    assert (called.returncode, called.stdout) == (0, "connected\n"), called.stderr


def test_pyodbc_recipe_reads_rows_with_its_token(pyodbc, grant, base, rest):
    with sqlserver_odbc.connect(grant, base) as connection:
        assert len(connection.execute("SELECT * FROM countries").fetchall()) == 3
    connection.close()
    assert rest.tokens == [grant.token().value]


def test_databricks_session_continues_with_new_token(programs, drivers, options, base, rest):
    called = run(drivers, options, programs / "databricks_session", base)
    assert (called.returncode, called.stdout) == (0, "3 rows\n3 rows\n"), called.stderr
    first, second = rest.tokens
    assert first != second


def test_session_without_new_token_has_expired(pyodbc, base, rest):
    connection = pyodbc.connect(f"{base};AuthenticationMethod=50;AccessToken=unknown", autocommit=True)
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute("SELECT * FROM countries")
    connection.close()
    assert failed.value.args[0] == "08006"
