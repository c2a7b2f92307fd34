"""The access token of Microsoft's ODBC driver for SQL Server, and of the drivers that have the same attribute."""

from __future__ import annotations

import struct

from ._token import Token

__all__ = ["SQL_COPT_SS_ACCESS_TOKEN", "access_token_struct"]

#: The connection attribute, to be set before the connection is opened.
SQL_COPT_SS_ACCESS_TOKEN = 1256


def access_token_struct(token: Token | str) -> bytes:
    """Returns the ACCESSTOKEN structure: the length in bytes, and the token with a zero byte after each byte.

    ``pyodbc.connect(string, attrs_before={SQL_COPT_SS_ACCESS_TOKEN: access_token_struct(connection.token())})``. The string must not have
    UID, PWD, Authentication or Trusted_Connection. The driver crashes on a malformed structure, so a token that is not ASCII is a
    ValueError. The bytes are a secret.
    """
    text = token.value if isinstance(token, Token) else token
    if not text or not text.isascii():
        raise ValueError("an access token must be ASCII text and not empty")
    data = text.encode("utf-16-le")
    return struct.pack("=I", len(data)) + data
