"""A published file opened for reading by ranges: its bytes by position, and as a file object."""

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
#: What caches of fsspec read at once, unless told otherwise.
BLOCK = 1024 * 1024


class HasTransport(Protocol):
    """What a file needs of the filesystem it was opened by, which can be pickled and holds no secret."""

    def _transport(self) -> Transport:
        """The transport of this process and event loop."""


class RemoteSource:
    """Positioned reads of a published file: a ``nersemble.video.ByteSource``.  Safe under threads."""

    remote = True

    def __init__(self, filesystem: HasTransport, path: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._size: int | None = None
        self._etag: str | None = None
        self._modified: str | None = None
        self._whole: bytes | None = None
        self.head = b""
        self.name = f"{PROTOCOL}://{path}"

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

    def close(self) -> None:
        """Nothing is held open."""

    def __repr__(self) -> str:
        return f"<RemoteSource {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (RemoteSource, (self._filesystem, self._path))


class NersembleFile(io.RawIOBase):
    """A published file as a file object, with what fsspec and its caches ask of one.

    Attributes:
        path: Its published path.
        fs: The filesystem that opened it.
        byte_source: Its bytes by position, for any number of threads; ``read`` and ``seek`` share one position.
        blocksize: What a cache around it reads at once.
        cache: Such a cache, once fsspec has put one here: what it has is read from there.
    """

    mode = "rb"

    def __init__(self, filesystem: HasTransport, path: str, blocksize: int | None = None) -> None:
        super().__init__()
        self.fs = filesystem
        self.path = path
        self.byte_source = RemoteSource(filesystem, path)
        self.name = self.byte_source.name
        self.blocksize = blocksize or BLOCK
        self.cache: Any = None
        self._position = 0
        self._reader = WindowReader(self.byte_source)

    @property
    def size(self) -> int:
        """Length of the file in bytes, asked for if nothing has told it yet."""
        return self.byte_source.size()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(io.RawIOBase.closed.__get__(self))

    @closed.setter
    def closed(self, closed: bool) -> None:
        """Caches of fsspec say what they have just done."""

    @property
    def full_name(self) -> str:
        """The path with its protocol."""
        return self.name

    def read_ahead(self) -> None:
        """Read the beginning ahead, so that a missing file shows at once."""
        self.byte_source.read_ahead()
        self._reader = WindowReader(self.byte_source)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_open()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"whence is 0 (the start), 1 (the position) or 2 (the end), not {whence!r}.")
        base = 0 if whence == os.SEEK_SET else self._position if whence == os.SEEK_CUR else self.size
        if base + offset < 0:
            raise ValueError("A file position cannot be negative.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read_to(self._position + len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read_to(None)

    def _read_to(self, stop: int | None) -> bytes:
        """The bytes up to ``stop``, or the end, and the position behind them."""
        self._check_open()
        start = self._position
        stop = self.size if stop is None else stop
        # A cache asked for more would count on blocks that there are not.
        data = self._reader.read_at(start, stop) if self.cache is None else self._cached(start, min(stop, self.size))
        self._position += len(data)
        return data

    def _cached(self, start: int, stop: int) -> bytes:
        return bytes(self.cache._fetch(start, stop)) if start < stop else b""

    def _fetch_range(self, start: int, end: int) -> bytes:
        """What a cache lacks."""
        return self.byte_source.read_at(start, end)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name} was closed. Open it again.")

    def __repr__(self) -> str:
        return f"<NersembleFile {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_open_again, (self.fs, self.path, self.blocksize, self._position))


def _open_again(filesystem: HasTransport, path: str, blocksize: int, position: int) -> NersembleFile:
    file = NersembleFile(filesystem, path, blocksize)
    file.seek(position)
    return file
