"""Tokens of authgrant for ADBC Flight SQL, also for Dremio and other servers of this protocol."""


def connect(connection, uri, **options):
    """Opens a DB-API connection with a current token of an authgrant.Connection.

    A connection keeps the token with which it was opened: the driver cannot replace it. So open a new one when the token
    expires, and not one by adbc_clone(), which has the token of the first.
    """
    from adbc_driver_flightsql import DatabaseOptions, dbapi

    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {connection.token().value}"}
    return dbapi.connect(uri, db_kwargs={**options, **header})
