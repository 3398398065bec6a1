"""The calls that every transport answers, and what they answer with."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import NersembleError, TransportError
from ..layout import PROTOCOL


@dataclass(frozen=True)
class Part:
    """A stretch of a file.

    Attributes:
        data: The bytes, fewer than asked for where the file ends.
        start: Where in the file they begin.
        size: Length of the whole file, None if the server does not say.
        etag: The server's validator, None if it has none.
        whole: True if ``data`` is the whole file, asked for or not.
    """

    data: bytes
    start: int
    size: int | None
    etag: str | None
    whole: bool


@dataclass(frozen=True)
class Stat:
    """What is known of a file without its bytes."""

    size: int | None
    etag: str | None


class Transport(Protocol):
    """Where published files come from.  Every call raises the errors of ``nersemble.errors`` only."""

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Part:
        """Bytes ``start`` to ``stop`` of a file, to its end by default."""

    async def stat(self, path: str) -> Stat:
        """Size and validator of a file."""

    async def copy(self, path: str, target: Path) -> Stat:
        """Write a file to ``target``, which appears whole or not at all."""

    async def close(self) -> None:
        """Close idle connections."""


@contextmanager
def whole_file(target: Path, path: str) -> Iterator[BinaryIO]:
    """A file to write ``path`` into, which appears under ``target`` when all went well, and not at all otherwise.

    Raises:
        TransportError: If the disk does not take it.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}-{random.getrandbits(32):08x}.part")
    problem = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, NersembleError):
            raise
        problem = disk_problem(error)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    if problem:
        raise TransportError(f"{uri(path)} could not be written to {target.parent}: {problem}.")


def disk_problem(error: OSError) -> str:
    """What a disk answered, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full. Make room and run it again; finished files are kept"
    return (error.strerror or type(error).__name__).lower()


def uri(path: str) -> str:
    """How messages call a published path."""
    return f"{PROTOCOL}://{path}"
