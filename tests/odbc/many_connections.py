"""Opens 50 connections in 8 threads through unixODBC, reads a table with each while all are open, and prints the counts."""

import concurrent.futures
import sys

import pyodbc

pyodbc.pooling = False


def open_connection(_):
    return pyodbc.connect(sys.argv[1], autocommit=True)


def count_rows(connection):
    return len(connection.execute("SELECT * FROM countries").fetchall())


with concurrent.futures.ThreadPoolExecutor(8) as threads:
    connections = list(threads.map(open_connection, range(50)))
    rows = sum(threads.map(count_rows, connections))
    list(threads.map(pyodbc.Connection.close, connections))
print(f"{len(connections)} connections, {rows} rows")
