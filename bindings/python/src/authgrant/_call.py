"""Calls of C functions: errors, callbacks, and calls that a signal interrupts."""

from __future__ import annotations

import contextvars
import ctypes
import threading
from collections import deque
from typing import Any, Callable, Generic, TypeVar

from ._errors import take_error
from ._library import library

T = TypeVar("T")

# Seconds between two attempts to cancel a call: the first one has no effect if the call has not started yet.
CANCEL_INTERVAL = 0.05
# Number of attempts. The library returns within 0.25 s; what takes longer is a callback of the application.
CANCEL_ATTEMPTS = 20


class _ThreadState(threading.local):
    callback_depth: int = 0
    callback_error: BaseException | None = None


_state = _ThreadState()

# Connections that were released inside a callback, where authgrant_close() does nothing.
_unclosed: deque[tuple[int, list[Any]]] = deque()


def encode(text: str) -> bytes:
    """Encodes text for a C function, which would end it at a NUL character."""
    data = text.encode()
    if b"\0" in data:
        raise ValueError("the text contains a NUL character")
    return data


def is_in_callback() -> bool:
    """Returns whether this thread is inside a callback of the library."""
    return _state.callback_depth > 0


def run_callback(function: Callable[..., T], *arguments: Any) -> T | None:
    """Runs a callback of the application. None if it raised: the call that invoked it raises the exception then."""
    _state.callback_depth += 1
    try:
        return function(*arguments)
    except BaseException as error:
        # The first one is the cause of the others.
        if _state.callback_error is None:
            _state.callback_error = error
        return None
    finally:
        _state.callback_depth -= 1


def take_callback_error() -> BaseException | None:
    """Returns the exception of a callback that the last call of this thread invoked, and forgets it."""
    error, _state.callback_error = _state.callback_error, None
    return error


def raise_callback_error(*, interrupts_only: bool) -> None:
    """Raises the exception of a callback that the last call of this thread invoked; on request only one such as KeyboardInterrupt."""
    if is_in_callback():
        return
    error = take_callback_error()
    if error is not None and not (interrupts_only and isinstance(error, Exception)):
        raise error


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a C function, whose last argument is the out-parameter for the error.

    An exception in a callback is raised if the callback cannot report it to the library, otherwise it is the cause of the error.
    """
    pointer = ctypes.c_void_p()
    if not is_in_callback():
        take_callback_error()
    function(*arguments, ctypes.byref(pointer))
    error = take_error(pointer.value) if pointer.value else None
    raised = None if is_in_callback() else take_callback_error()
    close_released()
    if raised is not None and (error is None or not isinstance(raised, Exception)):
        raise raised
    if error is not None:
        raise error from raised


def call_for_pointer(function: Callable[..., int], *arguments: Any) -> int | None:
    """Calls a C function, whose last arguments are the out-parameters for a pointer and the error."""
    result = ctypes.c_void_p()
    call(function, *arguments, ctypes.byref(result))
    return result.value


def call_for_text(function: Callable[..., int], *arguments: Any) -> str:
    """Calls a C function, whose last arguments are the out-parameters for a string and the error."""
    return call_for_optional_text(function, *arguments) or ""


def call_for_optional_text(function: Callable[..., int], *arguments: Any) -> str | None:
    """Calls a C function as call_for_text() does; None if the string is NULL."""
    pointer = call_for_pointer(function, *arguments)
    try:
        return None if pointer is None else ctypes.string_at(pointer).decode()
    finally:
        library.string_free(pointer)


class ConnectionHandle(ctypes.c_void_p):
    """An authgrant_connection. It is closed with the last reference, so that no call on it can be in progress.

    A call keeps a reference in a local variable until it has returned.
    """

    def __init__(self, pointer: int | None) -> None:
        super().__init__(pointer)
        # The callbacks that the library may still invoke.
        self.thunks: list[Any] = []

    def __del__(self, close: Callable[[int | None], None] = library.close) -> None:
        if not self.value:
            return
        if is_in_callback():
            _unclosed.append((self.value, self.thunks))
        else:
            close(self.value)


def close_released() -> None:
    """Closes the connections that were released inside a callback."""
    while _unclosed and not is_in_callback():
        try:
            pointer, thunks = _unclosed.popleft()
        except IndexError:  # another thread was faster
            return
        library.close(pointer)
        del thunks


class _Job(Generic[T]):
    """A call that runs on a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def cancel(self, cancel: Callable[[], None]) -> None:
        """Cancels the call and waits until it has ended, but not longer than CANCEL_ATTEMPTS."""
        for _ in range(CANCEL_ATTEMPTS):
            cancel()
            if self.done.wait(CANCEL_INTERVAL):
                return


def run_interruptibly(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Runs `work` so that a signal handler that raises, such as that of Ctrl-C, cancels it with `cancel`.

    Python runs signal handlers on the main thread, between two instructions: not while it is inside a C function. So
    the work of the main thread runs on a helper thread. Other threads do the work themselves.
    """
    if threading.current_thread() is not threading.main_thread() or is_in_callback():
        return work()
    job = _Job(work)
    # Not a daemon: at the end of the process the interpreter waits for it. A callback must not run later.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(job.run,), name="authgrant", daemon=False)
    try:
        thread.start()
        job.done.wait()
    except BaseException as error:
        # No thread can be started while the interpreter ends, or beyond the limit of the system.
        if thread.ident is None and isinstance(error, RuntimeError):
            return work()
        job.cancel(cancel)
        raise
    try:
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]
    finally:
        del job  # its error refers to this frame
