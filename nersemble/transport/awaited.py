"""``Files`` for event loops.  Apart from the rest, which does without the import of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ..loop import at_interrupt
from .arrival import arrival_problem
from .base import Fetched, FetchOptions, Part, Stat
from .cancel import Cancel
from .folder import FolderFiles
from .http import HttpFiles
from .threads import start

T = TypeVar("T")

#: Requests of one event loop at once.
CONNECTIONS = 16


async def to_thread(call: Callable[[Cancel], T]) -> T:
    """Await a call; if the waiting is cancelled, so is the call."""
    cancel = Cancel()
    at_interrupt(cancel.cancel)
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    future = start(call, cancel)

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


class Transport:
    """``Files``, awaited: each call runs in a thread, a limited number at once.  Belongs to one event loop."""

    def __init__(self, files: HttpFiles | FolderFiles) -> None:
        self.files = files
        self._gate: asyncio.Semaphore | None = None

    def __repr__(self) -> str:
        return f"Transport({self.files!r})"

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Part:
        """Bytes ``start`` to ``stop`` of a file, to its end by default."""
        return await self._run(lambda cancel: self.files.read(path, start, stop, cancel))

    async def stat(self, path: str) -> Stat:
        """Size and validator of a file."""
        return await self._run(lambda cancel: self.files.stat(path, cancel))

    async def fetch(self, path: str, target: Path, received: Callable[[int], object] | None = None) -> Fetched:
        """Write a file to ``target``, which appears whole or not at all."""
        options = FetchOptions(received=received, refuses=lambda came, _: arrival_problem(came, path))
        return await self._run(lambda cancel: self.files.fetch(path, target, cancel, options))

    async def close(self) -> None:
        """Close idle connections."""
        self.files.close()

    async def _run(self, call: Callable[[Cancel], Any]) -> Any:
        if self._gate is None:
            self._gate = asyncio.Semaphore(CONNECTIONS)
        async with self._gate:
            return await to_thread(call)
