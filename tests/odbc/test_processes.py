"""Many connections in threads and processes, and the pooling of the driver manager."""

import pathlib
import subprocess
import sys
import os

from conftest import make_string
from fixtures import free_port

PROGRAMS = pathlib.Path(__file__).parent


def start(driver, program, *arguments):
    return subprocess.Popen([sys.executable, str(PROGRAMS / program), *arguments], env={**os.environ, **driver.variables},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_many_connections_share_token_of_their_process(drivers, options, rest, authorization_server):
    driver = drivers["unixodbc"]
    string = f"DRIVER={driver.path};" + make_string(options, ClaimsSubject="many@example.com")
    before = authorization_server.issued()
    processes = [start(driver, "many_connections.py", string) for _ in range(2)]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert (process.returncode, output) == (0, "50 connections, 150 rows\n")
    assert authorization_server.issued() - before == 2
    assert len(set(rest.tokens)) == 2 and len(rest.tokens) == 100


def run_pooled(drivers, string, directory):
    path = drivers["unixodbc"].path
    (directory / "odbcinst.ini").write_text(f"[ODBC]\nPooling=Yes\n[Pooled]\nDriver={path}\nCPTimeout=300\n")
    program = [sys.executable, PROGRAMS / "pooled_connections.py", f"DRIVER=Pooled;{string}"]
    called = subprocess.run(program, capture_output=True, text=True, timeout=120, env={**os.environ, "ODBCSYSINI": str(directory)},
        check=False)
    assert called.returncode == 0, called.stderr
    return called.stdout


def test_manager_pools_connections_with_their_token(drivers, options, rest, authorization_server, tmp_path):
    before = authorization_server.issued()
    assert run_pooled(drivers, make_string(options, CacheScope="Connection"), tmp_path) == "9 rows\n"
    assert authorization_server.issued() - before == 1


def test_manager_takes_no_dead_connection_from_pool(drivers, options, rest, authorization_server, tmp_path):
    before = authorization_server.issued()
    unreachable = make_string(options, CacheScope="Connection", RestURL=f"http://127.0.0.1:{free_port()}")
    assert run_pooled(drivers, unreachable, tmp_path) == "0 rows\n"
    assert authorization_server.issued() - before == 3
