"""Tokens of authgrant for snowflake-connector-python: connect(**parameters(connection), account=..., warehouse=...)."""


def parameters(connection):
    """Returns the parameters of a connection by OAuth. A session outlives its token; a new one needs a current token."""
    return {"authenticator": "oauth", "token": connection.token().value}


def provide_tokens(engine, connection):
    """Gives every new connection of a SQLAlchemy engine (snowflake://) a current token."""
    from sqlalchemy import event

    @event.listens_for(engine, "do_connect")
    def add_token(_dialect, _record, _arguments, options):
        options.update(parameters(connection))
