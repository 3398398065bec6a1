"""What every place that holds published files answers, and the few words they share."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..layout import PROTOCOL
from .cancel import Cancel
from .throttle import Throttle


@dataclass(frozen=True)
class Part:
    """A stretch of a file.

    Attributes:
        data: The bytes, fewer than asked for where the file ends.  Not in its ``repr``, which tracebacks may show: what
            a server sends in place of a file can repeat the secret path.
        start: Where in the file they begin.
        size: Length of the whole file, None if the server does not say.
        etag: The server's validator, None if it has none.
        whole: True if ``data`` is the whole file, asked for or not.
        modified: The server's Last-Modified, None if it says none.
    """

    data: bytes = field(repr=False)
    start: int
    size: int | None
    etag: str | None
    whole: bool
    modified: str | None = None


@dataclass(frozen=True)
class Stat:
    """What is known of a file without its bytes."""

    size: int | None
    etag: str | None


@dataclass(frozen=True)
class Fetched:
    """A file that was written.

    Attributes:
        size: Its length.
        etag: The server's validator, None if it has none.
        received: Bytes that came over the network for it now, fewer than ``size`` if it was begun before.
    """

    size: int
    etag: str | None
    received: int


class Files(Protocol):
    """Where published files come from.

    Calls block and are safe under threads; ``cancel`` ends them from another one.  They raise the errors of
    ``nersemble.errors`` only, and ``concurrent.futures.CancelledError`` if cancelled.
    """

    def read(self, path: str, start: int, stop: int | None, cancel: Cancel) -> Part:
        """Bytes ``start`` to ``stop`` of a file, to its end if that is None."""

    def read_if_changed(self, path: str, etag: str | None, modified: str | None, cancel: Cancel) -> Part | None:
        """A whole small file, None if it still is the version that the validators name."""

    def stat(self, path: str, cancel: Cancel) -> Stat:
        """Size and validator of a file."""

    def fetch(self, path: str, target: Path, cancel: Cancel, options: FetchOptions) -> Fetched:
        """Write a file to ``target``, which appears whole or not at all; go on with what is there of it."""

    def close(self) -> None:
        """Close idle connections."""


@dataclass(frozen=True)
class FetchOptions:
    """How a file is fetched.

    Attributes:
        parts: The folder that keeps what has come of it until it is whole, on the disk of the target; the target's own
            by default.
        received: Called with the number of bytes as they come.
        throttle: Slows it down.
        refuses: Asked with the path of what has come whole, before it gets its name, and whether its length had been
            announced; says why it is not taken, or "".
        wanted: Asked once nobody else can claim what is there of it; if it says no, ``NotWantedError`` is raised.
    """

    parts: Path | None = None
    received: Callable[[int], object] | None = None
    throttle: Throttle | None = None
    refuses: Callable[[Path, bool], str] | None = None
    wanted: Callable[[], bool] | None = None


class NotWantedError(Exception):
    """A file that was not fetched, because another process was faster."""


def disk_problem(error: OSError) -> str:
    """What a disk answered, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full. Make room and run it again; what has come is kept"
    if error.errno == errno.EEXIST:
        return "there is no folder but something else, such as a link to a disk that is not mounted"
    # What Arrow raises has a whole sentence for the words of the errno.
    said = os.strerror(error.errno) if error.errno else error.strerror
    return (said or type(error).__name__).lower()


def uri(path: str) -> str:
    """How messages call a published path."""
    return f"{PROTOCOL}://{path}"
