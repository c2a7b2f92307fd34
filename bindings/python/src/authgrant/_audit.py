"""The audit callback of the process."""

from __future__ import annotations

import json
import logging
from typing import Any, Callable

from . import _call
from ._library import AUDIT, library

AuditFunction = Callable[[dict[str, Any]], object]

logger = logging.getLogger("authgrant")

# The C function that is registered, which must be referenced as long as it can be called.
_registered: Any = None


def set_audit(function: AuditFunction | None) -> None:
    """Sets the function that receives the audit events of the process; None removes it.

    Each event is a dict, which never contains a secret: each request to an authorization server, the use of a token that another
    process requested, and :meth:`Connection.reject_token`. Its members are documented at ``authgrant_audit_fn`` in ``authgrant.h``
    (docs/reference.md).

    The function is called by the thread of the call, possibly by several at once, and the call waits for it. It must not call methods
    of a connection. An exception is logged with its traceback by the logger ``authgrant``, with the event; the call goes on. A forked
    child keeps the function.

    A second function is InvalidArgument until the first one is removed. The removal waits until calls of the function have returned.
    """
    global _registered
    if function is None:
        removed = _registered
        _call.call(library.set_audit, AUDIT(), None)
        # Unless another thread has set a function since.
        if _registered is removed:
            _registered = None
        return
    thunk = make_thunk(function)
    _call.call(library.set_audit, thunk, None)
    _registered = thunk


def make_thunk(function: AuditFunction) -> Any:
    """Returns the C function that calls ``function``."""

    def record(event: bytes, _: object) -> None:
        def report_error() -> None:
            try:
                function(json.loads(event))
            except Exception:
                logger.exception("the audit function failed for the event %s", event.decode())

        _call.run_callback(report_error)

    return AUDIT(record)
