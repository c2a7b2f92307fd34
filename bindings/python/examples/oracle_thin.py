"""Tokens of authgrant for python-oracledb, in thin and thick mode: create_pool(access_token=access_token(connection), ...)."""


def access_token(connection):
    """Returns the callback of oracledb.create_pool() and oracledb.connect().

    python-oracledb calls it with refresh=True if the token that it got has expired. It accepts only JWTs, whose `exp` it reads.
    """

    def get_token(_refresh):
        return connection.token().value

    return get_token
