"""What the hub says of a data set and of its files."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import BinaryIO

from .content import BLOCK, git_digest


@dataclass(frozen=True)
class RepoState:
    """A data set of the hub, as it is now."""

    id: str
    sha: str
    private: bool


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit: its length, git's hash of it, and its SHA-256 if it is kept as a large file."""

    size: int
    oid: str
    sha256: str | None

    def holds(self, data: bytes) -> bool:
        """Whether it has this content."""
        return self.size == len(data) and self.holds_file(io.BytesIO(data))

    def holds_file(self, file: BinaryIO) -> bool:
        """Whether it has the content of a file, open at its start, which is read in blocks."""
        digest = git_digest(self.size) if self.sha256 is None else hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
        return bool(digest.hexdigest() == (self.oid if self.sha256 is None else self.sha256))
