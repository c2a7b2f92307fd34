"""Tokens of authgrant for Microsoft's ODBC driver 17 or 18 for SQL Server, through pyodbc and SQLAlchemy.

Set pyodbc.pooling = False before the first connection: otherwise the driver manager may return a connection that was opened with
another token.
"""

import struct

SQL_COPT_SS_ACCESS_TOKEN = 1256


def token_attribute(token):
    """Returns the value of attrs_before: the size in bytes as uint32, then the token in UTF-16LE.

    The driver relies on the size; a wrong one crashes the process.
    """
    packed = token.value.encode("utf-16-le")
    return {SQL_COPT_SS_ACCESS_TOKEN: struct.pack("<I", len(packed)) + packed}


def connect(connection, odbc_string, **options):
    """Connects with a token. The string has no UID, PWD, Authentication or Trusted_Connection."""
    import pyodbc

    return pyodbc.connect(odbc_string, attrs_before=token_attribute(connection.token()), **options)


def provide_tokens(engine, connection):
    """Gives every new connection of a SQLAlchemy engine (mssql+pyodbc) a current token."""
    from sqlalchemy import event

    @event.listens_for(engine, "do_connect")
    def add_token(_dialect, _record, arguments, parameters):
        # SQLAlchemy adds it to URLs without a user; the driver refuses it together with a token.
        arguments[0] = arguments[0].replace(";Trusted_Connection=Yes", "")
        parameters["attrs_before"] = token_attribute(connection.token())
