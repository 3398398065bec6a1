"""The shards of a plan on this disk, whose bytes have to stay those that were looked through until they are sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from ..errors import PushError, StorageError
from ..prepare.target import Target
from .content import Content, git_hash
from .facts import RemoteFile
from .scan import ScannedShard

GOES_ON = "What was sent is kept: push again, and it goes on from there."


class LocalShards:
    """Shards by their names, opened where they are needed and closed where they are not any more.

    Args:
        target: Where they are.
        shards: What was looked through.
    """

    def __init__(self, target: Target, shards: Mapping[str, ScannedShard]) -> None:
        self._target, self._shards = target, shards
        self._contents: dict[str, Content] = {}
        self._git_hashes: dict[str, str] = {}

    def is_in(self, files: dict[str, RemoteFile], name: str) -> bool:
        """Whether a shard is among files of the hub as it was looked through.

        It is read once more where the hub keeps it as a regular file, of which it tells git's hash alone.
        """
        shard, file = self._shards[name], files.get(name)
        if file is None or file.size != shard.size:
            return False
        if file.sha256 is not None:
            return file.sha256 == shard.sha256
        if name not in self._git_hashes:
            with self.unchanged(name), self._target.open_on_disk(name) as opened:
                self._git_hashes[name] = git_hash(opened, shard.size, shard.sha256)
        return self._git_hashes[name] == file.oid

    def content(self, name: str) -> Content:
        """A shard, opened once, whose bytes are still those that were looked through.

        Raises:
            PushError: If they are not.
        """
        with self.unchanged(name):
            if name not in self._contents:
                shard = self._shards[name]
                self._contents[name] = Content(name, self._target.open_on_disk(name), shard.sha256)
            self._contents[name].check()
            return self._contents[name]

    @contextlib.contextmanager
    def unchanged(self, name: str) -> Iterator[None]:
        """Turn what reading a shard raises, if it was changed or is gone, into a sentence."""
        changed = False
        try:
            yield
        except StorageError:
            raise
        except (OSError, ValueError):
            changed = True
        if changed:
            raise PushError(f"{name} was changed while it was being pushed. Push again. {GOES_ON}")

    def close(self, name: str) -> None:
        """Let go of a shard that was sent."""
        content = self._contents.pop(name, None)
        if content is not None:
            content.close()

    def close_all(self) -> None:
        """Let go of every shard."""
        for name in list(self._contents):
            self.close(name)
