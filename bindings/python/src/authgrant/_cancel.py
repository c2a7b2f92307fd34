"""Cancel tokens: they cancel single calls, while Connection.cancel() cancels all calls of a connection."""

from __future__ import annotations

import ctypes
from typing import Callable, NoReturn

from ._call import call_for_pointer
from ._library import library


class _CancelTokenHandle(ctypes.c_void_p):
    """An authgrant_cancel_token, freed with the last reference. A call keeps one until it has returned."""

    def __del__(self, free: Callable[[int | None], None] = library.cancel_token_free) -> None:
        free(self.value)


class CancelToken:
    """Cancels the calls of :meth:`Connection.token` that it is passed to: those in progress, and later ones until it is reset.

    Other calls on the same connection are not affected. May be used from any thread, and inside a callback.
    """

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle = _CancelTokenHandle(call_for_pointer(library.cancel_token_new))

    def cancel(self) -> None:
        """Cancels the calls: each raises Cancelled within 0.25 s, plus the time of a running callback."""
        library.cancel_token_cancel(self._handle)

    def reset(self) -> None:
        """Ends the effect of :meth:`cancel` on later calls."""
        library.cancel_token_reset(self._handle)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a CancelToken cannot be pickled")
