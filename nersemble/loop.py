"""Running coroutines from ordinary code, on fsspec's event-loop thread.

Waiting here can be interrupted: Ctrl-C cancels the coroutine instead of leaving it to run on in the thread.  After a
fork the child starts a loop of its own; older releases of fsspec leave it the parent's, which no longer runs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import fsspec.asyn

T = TypeVar("T")

#: Called when the wait of ``run`` is interrupted: fsspec's tasks go on when what waits for them is cancelled.
_at_interrupt: ContextVar[list[Callable[[], object]] | None] = ContextVar("at_interrupt", default=None)

_running: set[concurrent.futures.Future[Any]] = set()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and give its result, from a thread without a running loop of its own."""
    loop = fsspec.asyn.get_loop()
    if asyncio._get_running_loop() is loop:  # waiting here would wait for ever
        coroutine.close()
        raise NotImplementedError("A blocking call from a coroutine of fsspec's own loop. Await its other form.")
    calls: list[Callable[[], object]] = []

    async def watched() -> T:
        _at_interrupt.set(calls)
        return await coroutine

    future = asyncio.run_coroutine_threadsafe(watched(), loop)
    _running.add(future)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        calls.append(_interrupted)
        for call in calls:
            call()
        raise
    finally:
        _running.discard(future)


def at_interrupt(call: Callable[[], object]) -> None:
    """In a coroutine: call this if the wait for it is interrupted; at once if it was."""
    calls = _at_interrupt.get()
    if calls is not None:
        if _interrupted in calls:
            call()
        calls.append(call)


def _interrupted() -> None:
    """Marks a list of calls whose wait was interrupted."""


def cancel_all() -> None:
    """Cancel whatever other threads wait for in ``run``, so that they end too when one is interrupted."""
    for future in list(_running):
        future.cancel()


def _after_fork_in_child() -> None:
    fsspec.asyn.iothread[0] = None
    fsspec.asyn.loop[0] = None
    fsspec.asyn.reset_lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
