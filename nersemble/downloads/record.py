"""What is remembered of a folder's files: sizes on the server, those it does not have, those found damaged.

One text file in the folder, to which lines are only added, each in one write: processes can share it, and a line that
was cut off is passed over.  It says nothing that the server and the folder would not say again, only slower, and it is
a hint: a file counts as whole if it has the remembered size.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path

NAME = ".nersemble.tsv"
#: How long "the server does not have it" is believed, in seconds.
GONE_LIFE = 24 * 3600.0
_HEAD = "nersemble"
#: Ends a line that an earlier process may have left cut off, so that it has more words than any that counts.
_CUT = "\t\t\t\n"


class Record:
    """The record of one folder.  Safe under threads.

    Attributes:
        sizes: Length of files on the server, by published path.
        requests: What was asked for in this folder: config names with their assets, oldest first.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lock = threading.Lock()
        self._file = -1
        self._salt = ""
        self._kept = True
        self._gone: dict[str, tuple[float, str]] = {}
        self._bad: dict[str, tuple[int, str]] = {}
        self.sizes: dict[str, int] = {}
        self.requests: dict[tuple[str, str], None] = {}

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Record:
        """Read the record of a folder; an empty one if there is none.  Nothing is written yet."""
        record = cls(Path(folder))
        try:
            text = record._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return record
        for line in text.split("\n")[:-1]:  # what stands behind the last end of a line was cut off
            record._read(line.split("\t"))
        return record

    @property
    def salt(self) -> str:
        """What the tags of access URLs are made with, different in each folder."""
        if not self._salt:
            self._salt = secrets.token_hex(8)
        return self._salt

    def keep(self, kept: bool) -> None:
        """Whether what is remembered from now on is written down too."""
        self._kept = kept

    def size(self, path: str) -> int | None:
        """Length of a file on the server, if it was seen."""
        return self.sizes.get(path)

    def gone(self, path: str, tag: str) -> bool:
        """Whether the server of this tag lately did not have a file."""
        at, whose = self._gone.get(path, (0.0, ""))
        return whose == tag and 0 <= time.time() - at < GONE_LIFE

    def bad(self, path: str) -> str:
        """Why a file was found damaged, "" if it was not, or has been written since."""
        modified, reason = self._bad.get(path, (0, ""))
        if not reason:
            return ""
        try:
            return reason if os.stat(self._path.parent / path).st_mtime_ns == modified else ""
        except OSError:
            return ""

    def add_size(self, path: str, size: int) -> None:
        """Remember the length of a file on the server."""
        if self.sizes.get(path) != size:
            self.sizes[path] = size
            self._write("size", path, str(size))
        self._gone.pop(path, None)

    def add_gone(self, path: str, tag: str) -> None:
        """Remember that the server does not have a file."""
        now = int(time.time())
        self._gone[path] = (now, tag)
        self._write("gone", path, str(now), tag)

    def mark_bad(self, path: str, reason: str) -> None:
        """Remember that a file is damaged as it is now, so that the next download fetches it again."""
        with contextlib.suppress(OSError):
            modified = os.stat(self._path.parent / path).st_mtime_ns
            self._bad[path] = (modified, reason)
            self._write("bad", path, str(modified), " ".join(reason.split())[:200])

    def add_request(self, name: str, assets: str) -> None:
        """Remember what was asked for."""
        if (name, assets) not in self.requests:
            self.requests[name, assets] = None
            self._write("asked", name, assets)

    def close(self) -> None:
        """Close the file; it is opened again when there is something to write."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _read(self, words: list[str]) -> None:
        match words:
            case ["size", path, size] if _is_number(size):
                self.sizes[path] = int(size)
                self._gone.pop(path, None)
            case ["gone", path, at, tag] if _is_number(at):
                self._gone[path] = (float(at), tag)
            case ["bad", path, modified, reason] if _is_number(modified):
                self._bad[path] = (int(modified), reason)
            case ["asked", name, assets]:
                self.requests[name, assets] = None
            case [head, "1", salt] if head == _HEAD and not self._salt:
                self._salt = salt

    def _write(self, *words: str) -> None:
        if not self._kept:
            return
        line = "\t".join(words) + "\n"
        with self._lock, contextlib.suppress(OSError):  # it is a hint: a folder that cannot be written has none
            if self._file < 0:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
                line = f"{_CUT if os.fstat(self._file).st_size else ''}{_HEAD}\t1\t{self.salt}\n{line}"
            data = line.encode()
            if os.write(self._file, data) != len(data):  # the disk is full
                os.close(self._file)
                self._file = -1


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 20
