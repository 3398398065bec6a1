"""Bytes of published files, from a server or a folder, in the same few calls: blocking, and awaited."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..access import AccessURL
from .base import Fetched, FetchOptions, Files, Part, Stat
from .cancel import Cancel
from .folder import FolderFiles
from .http import HttpFiles
from .policy import Pace
from .threads import to_thread, wait_for
from .throttle import Throttle

__all__ = [
    "Cancel",
    "FetchOptions",
    "Fetched",
    "Files",
    "FolderFiles",
    "HttpFiles",
    "Pace",
    "Part",
    "Stat",
    "Throttle",
    "Transport",
    "open_files",
    "shared_files",
    "wait_for",
]

#: Requests of one event loop at once.
CONNECTIONS = 16


def open_files(root: AccessURL | str) -> HttpFiles | FolderFiles:
    """The files behind an access URL, or in a folder."""
    if isinstance(root, str):
        return FolderFiles(root)
    return FolderFiles(root.reveal()) if root.is_folder else HttpFiles(root)


_shared: dict[tuple[int, AccessURL | str], HttpFiles | FolderFiles] = {}


def shared_files(root: AccessURL | str) -> HttpFiles | FolderFiles:
    """The files of this process behind a root, which keep connections open from one use to the next."""
    key = (os.getpid(), root)
    if key not in _shared:
        _shared[key] = open_files(root)
    return _shared[key]


@atexit.register
def close_shared() -> None:
    """Close every idle connection of this process."""
    for (pid, _), files in list(_shared.items()):
        if pid == os.getpid():
            files.close()
    _shared.clear()


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
        options = FetchOptions(received=received)
        return await self._run(lambda cancel: self.files.fetch(path, target, cancel, options))

    async def close(self) -> None:
        """Close idle connections."""
        self.files.close()

    async def _run(self, call: Callable[[Cancel], Any]) -> Any:
        if self._gate is None:
            self._gate = asyncio.Semaphore(CONNECTIONS)
        async with self._gate:
            return await to_thread(call)
