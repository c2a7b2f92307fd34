"""Connects three times in turn with the pooling of unixODBC, and prints how many rows were read."""

import sys

import pyodbc

rows = 0
for _ in range(3):
    connection = pyodbc.connect(sys.argv[1], autocommit=True)
    rows += len(connection.execute("SELECT * FROM countries").fetchall())
    connection.close()
print(f"{rows} rows")
