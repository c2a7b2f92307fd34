"""The recipe for libpq with a PostgreSQL 18 server, whose OAuth validator asks the mock server for the user of the token."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import NEWER, POSTGRESQL
from fixtures import free_port, run_tool

CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{directory}'
fsync = off
oauth_validator_libraries = 'authgrant_validator'
"""
HBA = 'host all all 127.0.0.1/32 oauth issuer="https://issuer.example.com" scope="signature" map=token_users\n'
IDENT = "token_users jsmith@example.com postgres\n"


def as_server_user(*command):
    """A command as another user, if the tests run as root: PostgreSQL refuses that."""
    if os.getuid() != 0:
        return command
    return ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command)


def compile_validator(path):
    source = pathlib.Path(__file__).parent / "postgresql" / "validator.c"
    run_tool("cc", "-shared", "-fPIC", "-Wall", "-isystem", NEWER / "postgresql" / "18" / "server",
        "-isystem", NEWER / "postgresql", source, "-o", path)


@pytest.fixture(scope="module")
def conninfo(mock):
    """The options of libpq for a running server."""
    # Not below pytest's directory, which only its user can read.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="authgrant."))
    data, native, port = directory / "data", directory / "native", free_port()
    shutil.copytree(POSTGRESQL, native, symlinks=True)
    compile_validator(native / "lib" / "postgresql" / "authgrant_validator.so")
    directory.chmod(0o755)
    if os.getuid() == 0:
        data.mkdir()
        run_tool("chown", "nobody:nogroup", data)
    run_tool(*as_server_user(native / "bin" / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"))
    with open(data / "postgresql.conf", "a") as file:
        file.write(CONFIGURATION.format(directory=data, port=port))
    (data / "pg_hba.conf").write_text(HBA)
    (data / "pg_ident.conf").write_text(IDENT)
    control = as_server_user(native / "bin" / "pg_ctl", "-D", data, "-l", data / "log", "-w")
    try:
        subprocess.run([*map(str, control), "start"], check=True, timeout=60, env={**os.environ, "AUTHGRANT_WHOAMI": str(mock.port)})
        yield (f"host=127.0.0.1 port={port} user=postgres dbname=postgres "
            "oauth_issuer=https://issuer.example.com oauth_client_id=unused")
        subprocess.run([*map(str, control), "-m", "fast", "stop"], check=True, timeout=60)
    finally:
        shutil.rmtree(directory)


def test_libpq_authenticates_with_token(programs, mock, conninfo):
    called = mock.run(programs / "postgresql", conninfo)
    assert called.returncode == 0, called.stderr
    assert called.stdout == "postgres oauth:jsmith@example.com\n"


def test_libpq_reports_error_of_authgrant(programs, mock, conninfo):
    denied = {"json": {"status": 400, "body": {"error": "unauthorized_client"}}}
    mock.control("behavior", {"always": denied})
    try:
        called = mock.run(programs / "postgresql", conninfo)
    finally:
        mock.control("behavior", {"always": "normal"})
    assert called.returncode == 1
    assert called.stderr.startswith("28000 [authgrant][token] 127.0.0.1 "), called.stderr
