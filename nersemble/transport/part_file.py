"""What has come of a file that is not whole yet, in a file that the next run goes on with.

A part lies in ``.<key>.<version>.part``.  Whoever writes it claims it first, by renaming it to a name with its own
process in it, so that two never write one file, without locks; the claim of a process that is gone can be taken over.
The version in the name is the server's validator and the length of the whole, so that parts of different versions are
never mixed; a part of a version that has no strong validator is not kept.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from ..writers import has_ended, this_process

SUFFIX = ".part"
#: Seconds without a byte after which a claim counts as given up, though its process may live: nothing is lost by taking
#: it over, since both would write the same bytes, and the first one notices.
FORGOTTEN = 300.0
#: What is left of a file name, in bytes, for a key and a version, beside the claim.
LONGEST_NAME = 255 - 80


@dataclass(frozen=True)
class Version:
    """One version of a file on the server.

    Attributes:
        validator: What If-Range names it by: a strong ETag, or a Last-Modified that is old enough to be one.
        size: Its length.
    """

    validator: str
    size: int

    def as_text(self, key: str) -> str:
        """For the name of a part of the file ``key``; "" if it does not fit into one."""
        text = f"{base64.urlsafe_b64encode(self.validator.encode()).decode().rstrip('=')}.{self.size}"
        return text if len(os.fsencode(key)) + len(text) <= LONGEST_NAME else ""

    @classmethod
    def from_text(cls, validator: str, size: str) -> Version | None:
        """Read back what ``as_text`` wrote; None if it is something else."""
        try:
            text = base64.urlsafe_b64decode(validator + "=" * (-len(validator) % 4)).decode()
        except (binascii.Error, ValueError):
            return None
        return cls(text, int(size)) if size.isascii() and size.isdigit() else None


class LostClaimError(Exception):
    """Another process took this part over, because this one seemed to be gone."""


class PartFile:
    """A claimed part, open for writing at its end.

    Attributes:
        folder: Where it lies.
        size: Bytes held.
        version: The version they belong to, None if that is not known.
    """

    def __init__(self, folder: Path, key: str, path: Path, version: Version | None) -> None:
        self.folder, self._key, self._path = folder, key, path
        self.version = version
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self.size = os.fstat(self._file).st_size
        if version is not None and self.size > version.size:  # never written so
            self.restart(None)

    @classmethod
    def claim(cls, folder: Path, key: str) -> PartFile:
        """Claim the longest part of a file that is free, or begin one.

        Raises:
            OSError: If the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        found = [part for part in list_parts(folder, key) if part.free and part.version is not None]
        for part in sorted(found, key=lambda part: part.size, reverse=True):
            mine = folder / _name(key, part.version)
            try:
                os.utime(part.path)  # another machine takes a claim on what is old for one that was given up
                os.rename(part.path, mine)
            except OSError:  # another one was faster
                continue
            return cls(folder, key, mine, part.version)
        return cls(folder, key, folder / _name(key, None), None)

    @property
    def path(self) -> Path:
        """Where it lies now."""
        return self._path

    def write(self, piece: memoryview) -> None:
        """Append."""
        while piece:
            count = os.write(self._file, piece)
            self.size += count
            piece = piece[count:]

    def tail(self, count: int) -> bytes:
        """The last bytes held."""
        return os.pread(self._file, count, self.size - count)

    def restart(self, version: Version | None) -> None:
        """Begin anew, with a version of which nothing is held.

        In a new file: whoever lost the claim to the old one may still write there.  It is made before the old one
        goes, so that others see a claim all the time.
        """
        path = self.folder / _name(self._key, version)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        old, self._file = self._file, file
        os.close(old)
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._path, self.version, self.size = path, version, 0

    def go_on(self) -> None:
        """Write behind what is held."""
        os.lseek(self._file, self.size, os.SEEK_SET)

    def finish(self, target: Path) -> None:
        """Give it its final name, once it is safely on disk.

        Raises:
            LostClaimError: If another process has it by now.
            OSError: If the disk does not take it.
        """
        os.fsync(self._file)
        try:
            os.replace(self._path, target)
        except FileNotFoundError:
            raise LostClaimError from None
        os.close(self._file)
        self._file = -1
        for part in list_parts(self.folder, self._key):  # older versions
            if part.free:
                with contextlib.suppress(OSError):
                    part.path.unlink()

    def release(self) -> None:
        """Leave it to the next run, or drop it if no run could go on with it.  Does nothing after ``finish``."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.close(self._file)
        self._file = -1
        text = self.version.as_text(self._key) if self.version else ""
        with contextlib.suppress(OSError):
            if text and self.size:
                os.replace(self._path, self.folder / f".{self._key}.{text}{SUFFIX}")
            else:
                self._path.unlink()


@dataclass(frozen=True)
class FoundPart:
    """A part in a folder.

    Attributes:
        path: Where it lies.
        key: Of which file.
        version: Of which version, None if that is not known.
        size: Bytes held.
        free: Nobody writes it now.
        own: This process writes it.
    """

    path: Path
    key: str
    version: Version | None
    size: int
    free: bool
    own: bool


def list_parts(folder: Path, key: str | None = None) -> list[FoundPart]:
    """The parts in a folder: of one file, or of all."""
    found = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    for entry in entries:
        name = entry.name
        if not (name.startswith("." if key is None else f".{key}.") and name.endswith(SUFFIX)):
            continue
        words = name.removesuffix(SUFFIX).rsplit(".", 3)
        claim = words.pop() if "_" in words[-1] and words[-1].startswith("by_") else ""
        words = (".".join(words)).rsplit(".", 2)
        if len(words) != 3 or (key is not None and words[0] != f".{key}"):
            continue
        try:
            facts = entry.stat()
        except OSError:  # renamed meanwhile
            continue
        free = not claim or _given_up(claim, facts.st_mtime)
        version = Version.from_text(words[1], words[2])
        found.append(FoundPart(Path(entry.path), words[0][1:], version, facts.st_size, free, _is_own(claim)))
    return found


def is_written_elsewhere(folder: Path, key: str) -> bool:
    """Whether another process is at work on a file."""
    return any(not part.free and not part.own for part in list_parts(folder, key))


def _name(key: str, version: Version | None) -> str:
    """A name that says who writes."""
    text = (version.as_text(key) if version else "") or "-.-"
    return f".{key}.{text}.by_{this_process()}_{random.getrandbits(32):08x}{SUFFIX}"


def _given_up(claim: str, written: float) -> bool:
    """Whether the process that a claim names is gone."""
    if has_ended(claim.removeprefix("by_")):
        return True
    # Also of a process that is here but was stopped; a time to come is that of another clock.
    return not -FORGOTTEN < time.time() - written < FORGOTTEN


def _is_own(claim: str) -> bool:
    return claim.startswith(f"by_{this_process()}_")
