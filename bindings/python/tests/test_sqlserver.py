"""authgrant.sqlserver."""

import pytest

import authgrant
from authgrant.sqlserver import SQL_COPT_SS_ACCESS_TOKEN, access_token_struct


def test_struct_has_length_and_widened_bytes():
    assert SQL_COPT_SS_ACCESS_TOKEN == 1256
    assert access_token_struct("aZ.9") == b"\x08\0\0\0" + b"a\0Z\0.\0" + b"9\0"


def test_struct_of_token(server):
    with authgrant.Connection(server.client_string) as connection:
        token = connection.token()
    data = access_token_struct(token)
    assert int.from_bytes(data[:4], "little") == len(data) - 4 == 2 * len(token.value)
    assert data[4::2].decode() == token.value and not any(data[5::2])


@pytest.mark.parametrize("text", ["", "ä"])
def test_invalid_token_is_rejected(text):
    with pytest.raises(ValueError):
        access_token_struct(text)
