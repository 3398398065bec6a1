"""The content of a shard on its way: what was looked through, what is hashed and what is sent are the same bytes."""

from __future__ import annotations

import hashlib
import os
from typing import Any, BinaryIO

#: Bytes of a shard up to which it is read once and kept until it was sent; of a longer one, one open file is.
IN_MEMORY = 512 << 20
#: Bytes of a file that are held while it is hashed.
BLOCK = 1 << 20


class Content:
    """A shard, opened once, so that a file of this name that comes later is none of its business.

    Args:
        name: What it is called on the hub.
        file: A file of this machine, open at its start, which is closed in the end.
        sha256: Of the bytes that were looked through.

    Attributes:
        operation: What adds it to a commit.

    Raises:
        ValueError: If it is no longer what was looked through.
        OSError: If it cannot be read.
    """

    def __init__(self, name: str, file: BinaryIO, sha256: str) -> None:
        from huggingface_hub import CommitOperationAdd

        self._file: Any = file
        try:
            self._seen = _told(self._file)
            if self._seen[0] <= IN_MEMORY:
                data = self._file.read()
                self.close()
                self.operation = CommitOperationAdd(name, data)
            else:
                self.operation = CommitOperationAdd(name, self._file)
            if self.operation.upload_info.sha256.hex() != sha256:
                raise ValueError("another SHA-256")
            self.check()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Look whether the open file is still as it was when it was hashed.

        Raises:
            ValueError: If something wrote to it.
        """
        if self._file is not None and _told(self._file) != self._seen:
            raise ValueError("written to")

    def sent(self) -> None:
        """After it was sent: it need not stay open, unless it goes with the commit itself.

        Raises:
            ValueError: If something wrote to it meanwhile.
        """
        self.check()
        if self.operation.path_or_fileobj is not self._file:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = None


def git_digest(size: int) -> Any:
    """The digest by which git, and so a hub, knows a file of this length, before anything of its content."""
    return hashlib.sha1(b"blob %d\0" % size)


def git_hash(file: BinaryIO, size: int, sha256: str) -> str:
    """Git's hash of a shard, open at its start, which is read in blocks.

    Args:
        file: A file of this machine.
        size: Its length.
        sha256: Of the bytes that were looked through.

    Raises:
        ValueError: If it is no longer what was looked through.
        OSError: If it cannot be read.
    """
    found, seen = git_digest(size), hashlib.sha256()
    while block := file.read(BLOCK):
        found.update(block)
        seen.update(block)
    if seen.hexdigest() != sha256:
        raise ValueError("another SHA-256")
    return str(found.hexdigest())


def _told(file: Any) -> tuple[int, int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino
