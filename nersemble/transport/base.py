"""The calls that every transport answers, and what they answer with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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


def uri(path: str) -> str:
    """How messages call a published path."""
    return f"{PROTOCOL}://{path}"
