"""Calls of a C program, which loads the driver itself, for what driver managers hide, or through a manager; and under valgrind."""

import subprocess
import os
import urllib.parse

import pytest

from conftest import DATADIRECT_DRIVER, make_string
from fixtures import free_port

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
    "--show-leak-kinds=definite"]

TESTS = ["out_string", "truncated_out_string", "cancel_idle", "long_text", "c_types", "wrong_calls", "metadata", "warnings"]


def command(driver, direct, test, string, *text):
    return [str(direct / driver.manager), str(driver.path), test, string, *text]


def run_direct(driver, direct, test, string, *text, before=(), **options):
    called = driver.run(*before, *command(driver, direct, test, string, *text), **options)
    assert called.returncode == 0, called.stdout + called.stderr
    assert " 0 failed" in called.stdout


@pytest.mark.parametrize("test", TESTS)
def test_direct_calls_are_correct(driver, direct, options, rest, test):
    run_direct(driver, direct, test, make_string(options))


@pytest.mark.parametrize("test", ["out_string", "cancel_idle", "long_text", "c_types", "metadata", "warnings"])
def test_calls_through_manager_are_correct(driver, managed, options, rest, test):
    run_direct(driver, managed, test, f"DRIVER={driver.path};" + make_string(options))


def test_truncated_out_string_through_manager_is_01004(drivers, managed, options, rest):
    # iODBC truncates by itself, without a diagnostic.
    driver = drivers["unixodbc"]
    run_direct(driver, managed, "truncated_out_string", f"DRIVER={driver.path};" + make_string(options))


def test_direct_calls_are_clean_under_valgrind(drivers, direct, options, rest):
    run_direct(drivers["unixodbc"], direct, ",".join(TESTS), make_string(options), before=VALGRIND)


def test_unreachable_api_marks_connection_dead(driver, direct, options):
    run_direct(driver, direct, "dead_connection", make_string(options, RestURL=f"http://127.0.0.1:{free_port()}"), "08S01")


def test_expired_token_marks_connection_dead(driver, direct, rest):
    run_direct(driver, direct, "dead_connection", f"RestURL={rest.url};AuthenticationMethod=50;AccessToken=expired", "08006")


def test_out_string_of_dsn_opens_again(driver, direct, rest):
    run_direct(driver, direct, "out_string", "DSN=rest;PageSize=2")


def test_string_cannot_redirect_token_of_dsn(drivers, direct, rest, tmp_path):
    driver = drivers["unixodbc"]
    section = (driver.configuration / "odbc.ini").read_text().replace("[rest]", "[redirected]")
    file = tmp_path / "odbc.ini"
    string = f"DSN=redirected;RestURL={rest.url}/api;AllowOverride=1"
    file.write_text(section)
    run_direct(driver, direct, "refused_url", string, env={"ODBCINI": str(file)})
    file.write_text(f"{section}AllowOverride=1\n")
    run_direct(driver, direct, "accepted_url", string, env={"ODBCINI": str(file)})


def test_unknown_dsn_is_im002_of_driver(driver, direct):
    run_direct(driver, direct, "unknown_dsn", "", "nowhere")


def test_browse_connect_asks_until_string_is_complete(driver, direct, options, rest):
    string = make_string(options, ClaimsIssuer=None, JWTCertStore=None)
    run_direct(driver, direct, "browse", string,
        f"ClaimsIssuer={options['ClaimsIssuer']},JWTCertStore={options['JWTCertStore']}")


def test_browse_connect_through_manager_asks_until_complete(driver, managed, options, rest):
    # unixODBC accepts no path here.
    string = f"DRIVER={DATADIRECT_DRIVER};" + make_string(options, ClaimsIssuer=None, JWTCertStore=None)
    run_direct(driver, managed, "browse", string,
        f"ClaimsIssuer={options['ClaimsIssuer']},JWTCertStore={options['JWTCertStore']}")


def test_prompt_opens_browser_for_login(driver, direct, options, authorization_server, rest, tmp_path):
    redirect = f"http://127.0.0.1:{free_port()}/cb"
    authorization_server.control("register", {"issuer": "login", "options": {"redirect_uris": [redirect]}})
    browser = tmp_path / "xdg-open"
    browser.write_text('#!/bin/sh\nexec curl --silent --location --output /dev/null "$1"\n')
    browser.chmod(0o755)
    url = f"{authorization_server.url}/oauth/auth"
    login = {"AuthenticationMethod": "56", "ClientID": "login", "RedirectURI": redirect, "AuthURI": url, "JWTCertStore": None,
        "ClaimsIssuer": None, "ClaimsSubject": None, "JWTCertPassword": None, "ConsentTimeout": "60"}
    run_direct(driver, direct, "prompt", make_string(options, **login), url, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_consent_error_has_url_in_text(connect, options, authorization_server):
    import pyodbc

    authorization_server.control("require-consent", {"sub": "other@example.com"})
    consent = {"AuthURI": f"{authorization_server.url}/oauth/auth", "RedirectURI": "http://localhost:3000"}
    with pytest.raises(pyodbc.Error) as failed:
        connect(ClaimsSubject="other@example.com", **consent)
    assert failed.value.args[0] == "28000"
    assert f"{authorization_server.url}/oauth/auth?" in failed.value.args[1]
    assert urllib.parse.quote("http://localhost:3000", safe="") in failed.value.args[1]


def test_cancel_handle_stops_login(driver, direct, options, authorization_server, rest):
    authorization_server.control("behavior", ["gate"])
    before = authorization_server.control("counts")["waiting_at_gate"]
    environment = {**os.environ, **driver.variables}
    process = subprocess.Popen(command(driver, direct, "cancel_login", make_string(options)), env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while authorization_server.control("counts")["waiting_at_gate"] == before:
        assert process.poll() is None, process.stdout.read()
    output, _ = process.communicate("\n", timeout=60)
    authorization_server.control("release", {})
    assert process.returncode == 0, output
