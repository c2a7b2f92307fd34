"""Many connections in threads and processes, and the pooling of the driver manager."""

import pathlib
import subprocess
import sys
import os

from conftest import make_string

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


def test_manager_pools_connections_with_their_token(drivers, options, rest, authorization_server, tmp_path):
    driver = drivers["unixodbc"]
    (tmp_path / "odbcinst.ini").write_text(f"[ODBC]\nPooling=Yes\n[Pooled]\nDriver={driver.path}\nCPTimeout=300\n")
    string = "DRIVER=Pooled;" + make_string(options, CacheScope="Connection")
    before = authorization_server.issued()
    process = subprocess.run([sys.executable, PROGRAMS / "pooled_connections.py", string], capture_output=True, text=True, timeout=120,
        env={**os.environ, "ODBCSYSINI": str(tmp_path)}, check=False)
    assert (process.returncode, process.stdout) == (0, "9 rows\n"), process.stderr
    assert authorization_server.issued() - before == 1
