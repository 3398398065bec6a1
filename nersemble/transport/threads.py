"""Blocking calls in threads of their own: awaited from an event loop, or waited for so that Ctrl-C ends them.

A thread for each call, none of which keeps the interpreter alive.  Requests run in no other thread: Ctrl-C raises only
in the main one, so that it never meets a frame that holds the access URL.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TypeVar

from .cancel import Cancel

T = TypeVar("T")


def wait_for(call: Callable[[Cancel], T]) -> T:
    """Run a call to its end and give its result; Ctrl-C cancels it."""
    cancel = Cancel()
    future = _start(call, cancel)
    try:
        return future.result()
    finally:
        cancel.cancel()


async def to_thread(call: Callable[[Cancel], T]) -> T:
    """Await a call; if the waiting is cancelled, so is the call."""
    cancel = Cancel()
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    future = _start(call, cancel)

    def arrive() -> None:
        if not arrived.done():
            arrived.set_result(None)

    def tell(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(arrive)

    future.add_done_callback(tell)
    try:
        await arrived
    except asyncio.CancelledError:
        cancel.cancel()
        raise
    try:
        return future.result()
    except CancelledError:
        raise asyncio.CancelledError from None


def _start(call: Callable[[Cancel], T], cancel: Cancel) -> Future[T]:
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
