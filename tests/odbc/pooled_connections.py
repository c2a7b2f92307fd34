"""Connects three times in turn with the pooling of unixODBC, and prints how many rows were read. Failed requests count as no rows."""

import sys

import pyodbc

rows = 0
for _ in range(3):
    connection = pyodbc.connect(sys.argv[1], autocommit=True)
    try:
        rows += len(connection.execute("SELECT * FROM countries").fetchall())
    except pyodbc.Error as error:
        assert error.args[0] == "08S01", error
    connection.close()
print(f"{rows} rows")
