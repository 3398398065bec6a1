"""Where a video's bytes come from: positioned reads, safe under threads and after fork.

A ``ByteSource`` answers ``read_at(start, stop)`` and ``size()``.  ``LocalSource`` reads a file by position, so that
threads and forked workers share no file offset; ``FileSource`` adapts any seekable binary file object.  A remote file
object may have a source of its own as its ``byte_source``, as that of ``nersemble.remote`` does, which is then used.
``WindowReader`` keeps the last stretches read, so that a remote header and the frames after it cost few requests.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol, runtime_checkable

from ..errors import AssetNotFoundError, FrameError, NersembleError
from ..masking import NOT_REPEATED, is_bare_url

#: How a URL begins, also one that pathlib made a path of; one letter alone is a drive.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
#: Most of a file is more than one part of so many.
MOST = 2


@runtime_checkable
class ByteSource(Protocol):
    """Positioned reads of one file.

    Attributes:
        name: How messages call the file; never a secret URL.
        remote: True if a read costs a request, so that reading ahead pays.
    """

    name: str
    remote: bool

    def size(self) -> int:
        """Length of the file in bytes."""

    def read_at(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``; fewer where the file ends before ``stop``."""

    def close(self) -> None:
        """Let go of the file; closing twice is harmless."""


class LocalSource:
    """A file on disk, read by position."""

    remote = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._lock = threading.Lock()
        self._left: tuple[int, ...] | None = None  # which file was let go of
        self._file: BinaryIO | None = self._opened()

    def _opened(self) -> BinaryIO:
        problem = ""
        try:
            return open(self.name, "rb", buffering=0)
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except ValueError:  # a zero, or what the file system's encoding lacks
            problem = "no file can be called so"
        if problem:
            raise FrameError(f"{self.name} cannot be read: {problem}.")
        raise AssetNotFoundError(
            f"No file {self.name}. Was the folder or the datasets cache moved or cleaned? Loading the data set "
            'with download_mode="reuse_cache_if_exists" fetches what is missing.'
        )

    def _handle(self) -> BinaryIO:
        if self._left is not None:
            with self._lock:
                if self._left is not None:
                    file = self._opened()
                    if _identity(file) != self._left:
                        file.close()
                        raise FrameError("the file was replaced since it was opened. Open the video again")
                    self._file, self._left = file, None
        if self._file is None:
            raise FrameError("the video was closed. Open it again")
        return self._file

    def let_go(self) -> None:
        """Close the file, as a child does with what its parent holds open; it is opened again when it is read."""
        if self._file is not None:
            file, self._left, self._file = self._file, _identity(self._file), None
            file.close()

    def size(self) -> int:
        return os.fstat(self._handle().fileno()).st_size

    def read_at(self, start: int, stop: int) -> bytes:
        file = self._handle()
        with _refusals_told():
            if hasattr(os, "pread"):
                return _pread(file.fileno(), start, stop)  # an offset of its own
            with self._lock:  # Windows has no positioned read
                file.seek(start)
                return file.read(stop - start)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def close(self) -> None:
        self._left = None
        if self._file is not None:
            self._file.close()
            self._file = None


class FileSource:
    """A seekable binary file object that somebody else opened.

    Regular files are read by position, since forked workers share one offset; for others a lock keeps seek and read
    together.
    """

    remote = False

    def __init__(self, file: BinaryIO, name: str | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        # Not gzip.open() and the like, whose descriptor gives other bytes.
        self._regular = isinstance(getattr(file, "raw", file), io.FileIO)
        self.name = name or "<video>"

    def size(self) -> int:
        with self._lock:
            return self._open_file().seek(0, os.SEEK_END)

    def _open_file(self) -> BinaryIO:
        if getattr(self._file, "closed", False) is True:
            raise FrameError("its file object was closed by whoever opened it. Open both again")
        return self._file

    def read_at(self, start: int, stop: int) -> bytes:
        if self._regular and hasattr(os, "pread"):
            with _refusals_told():
                return _pread(self._open_file().fileno(), start, stop)
        with self._lock, _refusals_told():
            file = self._open_file()
            file.seek(start)
            parts = []
            while start < stop and (part := file.read(stop - start)):
                parts.append(part)
                start += len(part)
            return b"".join(parts)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def close(self) -> None:
        """Leave the file to whoever opened it."""


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    """Tell what a file system or a file object refuses, without its words, which may quote a URL."""
    problem = ""
    try:
        yield
    except NersembleError:
        raise
    except OSError as error:
        problem = (os.strerror(error.errno) if error.errno else "") or type(error).__name__
    if problem:
        raise FrameError(f"the file cannot be read any more: {problem}")


def _identity(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _pread(handle: int, start: int, stop: int) -> bytes:
    parts = []
    stop = min(stop, os.fstat(handle).st_size)  # a damaged header can ask for more than there is memory
    while start < stop and (part := os.pread(handle, stop - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def as_source(video: object, name: str | None = None) -> ByteSource:
    """Turn a path or a binary file object into a ``ByteSource``."""
    if isinstance(video, (str, os.PathLike)):
        scheme = _URL.match(os.fsdecode(video))
        if scheme and not os.path.exists(video):  # never quoted whole: it may be the access URL
            more = " (for http fsspec needs aiohttp)" if scheme[1].lower().startswith("http") else ""
            raise FrameError(
                f"A video is a path or an open binary file, and this is a URL ({scheme[1]}://...). Open it with "
                f'fsspec.open(url, "rb").open(), and give what that gives{more}.'
            )
        if is_bare_url(os.fsdecode(video)):
            raise AssetNotFoundError(f"There is no video of that name, {NOT_REPEATED}")
        return LocalSource(video)
    if isinstance(video, ByteSource):
        return video
    own = getattr(video, "byte_source", None)
    if isinstance(own, ByteSource) and getattr(video, "closed", False) is not True:
        return own
    if not (hasattr(video, "read") and hasattr(video, "seek")):
        raise FrameError(f"A video is a path or a seekable binary file object, not {type(video).__name__}.")
    problem = _unreadable(video)
    if problem:
        raise FrameError(
            f"{name or 'The video'} cannot be read: the file object {problem}. A video is a seekable binary file "
            'object that is open, such as open(path, "rb") gives.'
        )
    return FileSource(video, name)  # type: ignore[arg-type]


def _unreadable(file: Any) -> str:
    """Why a file object gives no bytes, "" if it does; nothing of the file is read for it."""
    if getattr(file, "closed", False) is True:
        return "is closed"
    try:
        if isinstance(file.read(0), str):
            return "was opened in text mode"
    except (OSError, ValueError):  # opened for writing alone; their texts may quote a URL
        return "cannot be read from"
    return ""


class WindowReader:
    """Reads of a source, of which the last few stretches are kept.

    On a server, reads ask for exactly what is needed, until they follow one another: then each asks for twice as much
    ahead.  On disk nothing is read ahead.
    """

    FIRST_AHEAD = 64 * 1024
    MOST_AHEAD = 4 * 1024 * 1024
    KEPT = 3

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        head: bytes = getattr(source, "head", b"")  # what a remote file has read of its beginning
        self._windows: list[tuple[int, bytes]] = [(0, head)] if head else []
        self._end = -1
        self._ahead = 0

    @property
    def held_bytes(self) -> int:
        """Bytes kept."""
        return sum(len(data) for _, data in self._windows)

    def expect(self, needed: int, end: int) -> None:
        """Be told how many bytes will be read up to ``end``: if it is most of them, they are read at once."""
        held = any(position == 0 and len(data) >= end for position, data in self._windows)
        if self.source.remote and needed * MOST > end and not held:
            self._windows = [(0, self.source.read_at(0, end))]

    def read_at(self, start: int, stop: int, least: int = 0) -> bytes:
        """Bytes ``start`` to ``stop``; fewer where the file ends before ``stop``.

        If they have to be fetched, ``least`` bytes are, and kept.
        """
        if not self.source.remote:
            return self.source.read_at(start, stop)
        for position, data in self._windows:
            if position <= start < position + len(data):
                held = data[start - position : stop - position]
                return held if start + len(held) >= stop else held + self.read_at(start + len(held), stop, least)
        return self._fetch(start, stop, least)

    def _fetch(self, start: int, stop: int, least: int) -> bytes:
        in_order = start == self._end
        self._ahead = min(2 * self._ahead or self.FIRST_AHEAD, self.MOST_AHEAD) if in_order else 0
        data = self.source.read_at(start, max(stop + self._ahead, start + least))
        self._end = start + len(data)
        self._windows.append((start, data))
        if len(self._windows) > self.KEPT:
            del self._windows[1]  # the first one holds the header, and mostly the first frames: it stays
        return data[: stop - start]
