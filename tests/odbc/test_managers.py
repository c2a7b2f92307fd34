"""The driver in the programs of both driver managers, by every way to name a data source."""

import pytest

from conftest import DATADIRECT_DRIVER, IODBC, make_string
from fixtures import datadirect_string

ROWS = {"Deutschland": "83000000", "Österreich": "9000000", "Dansk; {Norsk}": ""}
SQL = "select name, people from countries"


def tool_for(driver):
    return "isql" if driver.manager == "unixodbc" else "iodbctest"


def read_rows(driver, tool, target):
    """Runs SQL with a program; its input is one statement per line."""
    words = {
        "isql": ["isql", "-b", "-v", *(["-k"] if "=" in target else []), target],
        "iusql": ["iusql", target, "-b", "-v"],
        "iodbctest": ["iodbctest", target if "=" in target else f"DSN={target}"],
        "iodbctestw": [IODBC / "iodbctestw", target if "=" in target else f"DSN={target}"],
    }
    called = driver.run(*words[tool], input=f"{SQL}\n\n")
    return called.stdout + called.stderr


def assert_rows(output):
    for name, people in ROWS.items():
        [line] = [line for line in output.splitlines() if name in line] or [output]
        assert people in line


@pytest.fixture
def password_dsn(drivers, authorization_server, rest, monkeypatch):
    """The data source `password`, whose user and password the authorization server knows."""
    authorization_server.control("register", {"issuer": "app", "options": {"secret": "app-secret", "users": {"jsmith": "right"}}})
    driver = drivers["unixodbc"]
    file = driver.configuration / "password.ini"
    file.write_text(f"[password]\nDriver={driver.path}\nAuthenticationMethod=52\nClientID=app\nClientSecret=app-secret\n"
        f"User=jsmith\nPassword=right\nTokenURI=POST {authorization_server.url}/oauth/token\nRestURL={rest.url}\n")
    monkeypatch.setitem(driver.variables, "ODBCINI", str(file))


@pytest.mark.parametrize(("manager", "tool"),
    [("unixodbc", "isql"), ("unixodbc", "iusql"), ("iodbc", "iodbctest"), ("iodbc", "iodbctestw")])
def test_tool_reads_rows_of_dsn(drivers, rest, manager, tool):
    assert_rows(read_rows(drivers[manager], tool, "rest"))


@pytest.mark.parametrize("tool", ["isql", "iodbctest", "iodbctestw"])
def test_tool_reads_rows_of_file_dsn(drivers, options, rest, tmp_path, tool):
    driver = drivers["unixodbc" if tool == "isql" else "iodbc"]
    file = tmp_path / "rest.dsn"
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    file.write_text(f"[ODBC]\nDRIVER={driver.path}\n{lines}")
    assert_rows(read_rows(driver, tool, f"FILEDSN={file}"))


@pytest.mark.parametrize("tool", ["isql", "iodbctest", "iodbctestw"])
def test_tool_reads_rows_with_string_of_the_page(drivers, authorization_server, rest, tool):
    driver = drivers["unixodbc" if tool == "isql" else "iodbc"]
    string = datadirect_string(authorization_server.store, authorization_server.url, f"RestURL={rest.url}")
    assert string.startswith(f"DRIVER={DATADIRECT_DRIVER};")
    assert_rows(read_rows(driver, tool, string))


def test_tables_are_listed(driver, rest):
    command = {"unixodbc": "help", "iodbc": "tables"}[driver.manager]
    target = {"unixodbc": ["isql", "rest", "-b"], "iodbc": ["iodbctest", "DSN=rest"]}[driver.manager]
    output = driver.run(*target, input=f"{command}\n\n").stdout
    assert "countries" in output and "numbers" in output


def test_wrong_store_password_is_28000(driver, options, rest):
    string = f"DRIVER={driver.path};" + make_string(options, JWTCertPassword="incorrect")
    output = read_rows(driver, tool_for(driver), string)
    assert "28000" in output and "JWTCertPassword" in output and "incorrect" not in output


def test_connect_passes_user_and_password(drivers, rest, password_dsn):
    rows = drivers["unixodbc"].run("isql", "password", "jsmith", "right", "-v", "-b", input=f"{SQL}\n\n")
    assert_rows(rows.stdout)
    refused = drivers["unixodbc"].run("isql", "password", "jsmith", "false", "-v", "-b", input=f"{SQL}\n\n")
    assert "28000" in refused.stdout + refused.stderr


def test_empty_user_leaves_user_of_dsn(drivers, direct, password_dsn):
    driver = drivers["unixodbc"]
    called = driver.run(direct / "unixodbc", driver.path, "empty_user", "", "password")
    assert called.returncode == 0, called.stdout + called.stderr


def test_unknown_dsn_is_answered_by_manager(driver, rest):
    assert "IM002" in read_rows(driver, tool_for(driver), "nowhere")
