"""Blocking calls in threads of their own, waited for so that Ctrl-C ends them.

A thread for each call, none of which keeps the interpreter alive.  Requests run in no other thread: Ctrl-C raises only
in the main one, so that it never meets a frame that holds the access URL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from ..errors import TransportError
from .cancel import Cancel

T = TypeVar("T")


def wait_for(call: Callable[[Cancel], T], timeout: float | None = None) -> T:
    """Run a call to its end and give its result; Ctrl-C cancels it.

    Raises:
        TransportError: If it takes longer than ``timeout`` seconds, after which it is cancelled.
    """
    cancel = Cancel()
    future = start(call, cancel)
    try:
        if wait([future], timeout).not_done:
            raise TransportError(f"The server has not answered within {timeout:g} s.")
        return future.result()
    finally:
        cancel.cancel()


def start(call: Callable[[Cancel], T], cancel: Cancel) -> Future[T]:
    """Begin a call."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = call(cancel)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="nersemble-request", daemon=True).start()
    return future
