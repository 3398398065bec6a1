"""A published file opened for reading by ranges."""

from __future__ import annotations

import io
import os
from typing import Any, Protocol

from . import loop
from .errors import TransportError
from .layout import PROTOCOL
from .transport import Part, Stat
from .transport.awaited import Transport
from .video.source import WindowReader

#: Bytes read when a file is opened: enough for the header of a video.
FIRST_READ = 32 * 1024


class HasTransport(Protocol):
    """What a file needs of the filesystem it was opened by, which can be pickled and holds no secret."""

    def _transport(self) -> Transport:
        """The transport of this process and event loop."""


class NersembleFile(io.RawIOBase):
    """A published file, read by ranges; also a ``nersemble.video.ByteSource``.

    May be shared by threads through ``read_at``; ``read`` and ``seek`` share one position.
    """

    remote = True

    def __init__(self, filesystem: HasTransport, path: str) -> None:
        super().__init__()
        self._filesystem = filesystem
        self._path = path
        self._position = 0
        self._size: int | None = None
        self._etag: str | None = None
        self._modified: str | None = None
        self._whole: bytes | None = None
        self.head = b""
        self._reader = WindowReader(self)
        self.name = f"{PROTOCOL}://{path}"
        self.mode = "rb"

    def size(self) -> int:
        """Length of the file in bytes."""
        if self._size is None:
            stat = loop.run(self._fetch_stat())
            if stat.size is None:
                self._whole = self._read_part(0, None)
                return len(self._whole)
            self._size = stat.size
        return self._size

    async def _fetch_stat(self) -> Stat:
        return await self._filesystem._transport().stat(self._path)

    def read_at(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``; fewer where the file ends before ``stop``."""
        if self._whole is not None:
            return self._whole[start:stop]
        if self._size is not None:
            stop = min(stop, self._size)
        return self._read_part(start, stop) if start < stop else b""

    def _read_part(self, start: int, stop: int | None) -> bytes:
        part = loop.run(self._fetch_part(start, stop))
        seen = (self._etag, part.etag), (self._modified, part.modified), (self._size, part.size)
        if any(None not in pair and pair[0] != pair[1] for pair in seen):
            raise TransportError(f"{self.name} changed on the server while it was read. Open it again.")
        self._etag = part.etag or self._etag
        self._modified = part.modified or self._modified
        self._size = self._size if part.size is None else part.size
        if part.whole:  # all of it came, asked for or not (a server without ranges): never ask again
            self._whole = part.data
            self._size = len(part.data)
            return part.data[start:stop]
        return part.data

    async def _fetch_part(self, start: int, stop: int | None) -> Part:
        return await self._filesystem._transport().read(self._path, start, stop)

    def read_ahead(self) -> None:
        """Read the beginning ahead, so that a missing file shows at once."""
        self.head = self.read_at(0, FIRST_READ)
        self._reader = WindowReader(self)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = (self.size() if base is None else base) + offset
        if self._position < 0:
            self._position = 0
            raise ValueError("A file position cannot be negative.")
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._reader.read_at(self._position, self._position + len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = self._reader.read_at(self._position, self.size())
        self._position += len(data)
        return data

    def __repr__(self) -> str:
        return f"<NersembleFile {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_open_again, (self._filesystem, self._path, self._position))


def _open_again(filesystem: HasTransport, path: str, position: int) -> NersembleFile:
    file = NersembleFile(filesystem, path)
    file.seek(position)
    return file
