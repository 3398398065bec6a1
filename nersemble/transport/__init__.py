"""Bytes of published files, from a server or a folder, in the same few calls.

They block; ``nersemble.transport.awaited`` has the same for event loops.
"""

from __future__ import annotations

import atexit
import os

from ..access import AccessURL
from .base import Fetched, FetchOptions, Files, Part, Stat
from .cancel import Cancel
from .folder import FolderFiles
from .http import HttpFiles
from .policy import Pace
from .threads import wait_for
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
    "open_files",
    "shared_files",
    "wait_for",
]


def open_files(root: AccessURL | str) -> HttpFiles | FolderFiles:
    """The files behind an access URL, or in a folder."""
    if isinstance(root, str):
        return FolderFiles(root)
    return FolderFiles(root.reveal()) if root.is_folder else HttpFiles(root)


_shared: dict[tuple[int, AccessURL | str], HttpFiles | FolderFiles] = {}


def shared_files(root: AccessURL | str) -> HttpFiles | FolderFiles:
    """The files of this process behind a root, which keep connections open from one use to the next."""
    key = (os.getpid(), root)
    found = _shared.get(key)
    return _shared.setdefault(key, open_files(root)) if found is None else found


@atexit.register
def close_shared() -> None:
    """Close every idle connection of this process."""
    for (pid, _), files in list(_shared.items()):
        if pid == os.getpid():
            files.close()
    _shared.clear()
