"""One file of a plan: kept if it is right, else fetched.  Runs in the worker threads of a ``Run``."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog import parse_catalog, parse_participants
from ..catalog_cache import published_table
from ..errors import AssetNotFoundError
from ..layout import AssetPath
from ..transport import Cancel, FetchOptions, Files, Throttle
from ..transport.arrival import arrival_problem
from ..transport.base import NotWantedError
from ..transport.fetch import part_key, storage_error
from ..transport.part_file import PartFile, is_written_elsewhere
from .assets import parts_folder
from .checks import structure_problem
from .report import FileEvent

if TYPE_CHECKING:
    from .plan import Plan

#: The tables of metadata.
TABLES = ("participants", "sequences")
#: Why a file is kept that could not be compared.
GONE = "the server does not have it any more"


class Getter:
    """Gets the files of a plan.  Safe under threads.

    Attributes:
        received: Bytes that have come so far.
    """

    def __init__(self, plan: Plan, files: Files, throttle: Throttle | None, cancel: Cancel) -> None:
        self._plan, self._files, self._throttle, self._cancel = plan, files, throttle, cancel
        self._lock = threading.Lock()
        self.received = 0

    def get(self, asset: AssetPath) -> FileEvent | None:
        """See to one file; None if another download is at work on it.

        Raises:
            AssetNotFoundError, AccessError, CatalogError, TransportError, StorageError: If it cannot be had.
            CancelledError: If it was cancelled.
        """
        with _alone_at(self._plan.folder / str(asset)) as alone:
            if not alone:
                return None
            try:
                return self._table(asset) if asset.kind in TABLES else self._file(asset)
            except AssetNotFoundError:
                size = self._size_if_whole(asset)
                if size is None:
                    raise
                return FileEvent(asset, "kept", size, GONE)

    def _file(self, asset: AssetPath) -> FileEvent | None:
        plan, path = self._plan, str(asset)
        target = plan.folder / path
        before = _facts(target)
        size = before[0] if before else None
        known = plan.record.size(path)
        if size is not None and asset not in plan.replaced:
            known = right = known or self._files.stat(path, self._cancel).size
            if right == size:
                plan.record.add_size(path, size)
                return FileEvent(asset, "kept", size)
            if right is None and not structure_problem(target, asset.kind):  # nobody knows its size
                return FileEvent(asset, "kept", size)
        parts = parts_folder(plan.folder, asset)

        def is_left_to_us() -> bool:
            return not is_written_elsewhere(parts, part_key(parts, target)) and _facts(target) == before

        def problem(came: Path, announced: bool) -> str:
            try:
                size = came.stat().st_size
                doubtful = known != size if known is not None else not announced
                odd = arrival_problem(came, path) if size else "the server sent an empty file"
                return odd or (self._length_problem(path, size) if doubtful else "")
            except FileNotFoundError:  # another process took it over, which shows when it is given its name
                return ""

        options = FetchOptions(parts, self._count, self._throttle, problem, is_left_to_us)
        try:
            fetched = self._files.fetch(path, target, self._cancel, options) if is_left_to_us() else None
        except NotWantedError:
            fetched = None
        if fetched is None:
            if _facts(target) != before:  # replaced by another process
                plan.replaced.discard(asset)
            return None
        plan.record.add_size(path, fetched.size)
        return FileEvent(asset, "fetched", fetched.size)

    def _length_problem(self, path: str, came: int) -> str:
        """Why what came does not have the length that the server says of the file now."""
        now = self._files.stat(path, self._cancel).size
        return "" if now in (came, None) else f"{came:,} bytes came of {now:,}"

    def _table(self, asset: AssetPath) -> FileEvent:
        """A metadata CSV, which is kept in the cache of the catalogue too."""
        path = str(asset)
        target = self._plan.folder / path
        check: Callable[[bytes], object] = parse_catalog if asset.kind == "sequences" else parse_participants
        if isinstance(self._plan.root, str) or self._plan.root.is_folder:
            data = self._files.read(path, 0, None, self._cancel).data
            check(data)
        else:
            data = published_table(path, check, refresh=asset in self._plan.replaced)
        try:
            if target.is_file() and target.read_bytes() == data:
                return FileEvent(asset, "kept", len(data))
            part = PartFile.claim(target.parent, target.name)
            try:
                part.restart(None)
                part.write(memoryview(data))
                part.finish(target)
            finally:
                part.release()
        except OSError as error:
            raise storage_error(error, path, target) from None
        self._count(len(data))
        return FileEvent(asset, "fetched", len(data))

    def _size_if_whole(self, asset: AssetPath) -> int | None:
        """Length of a file that lies whole in the folder, as far as that is known without the server."""
        path, record = str(asset), self._plan.record
        target = self._plan.folder / path
        facts = _facts(target)
        if facts is None or record.bad(path):
            return None
        known = None if asset.kind in TABLES else record.size(path)  # tables grow
        whole = not structure_problem(target, asset.kind) if known is None else facts[0] == known
        return facts[0] if whole else None

    def _count(self, count: int) -> None:
        with self._lock:
            self.received += count


#: What the downloads of a process are at, with the process: a child that was forked meanwhile is at none of it.
_at_work: dict[tuple[int, Path], object] = {}


@contextlib.contextmanager
def _alone_at(target: Path) -> Iterator[bool]:
    """Whether no other thread of this process sees to a file; other processes are told apart by their parts."""
    key, mine = (os.getpid(), target), object()
    alone = _at_work.setdefault(key, mine) is mine  # in one step, without a lock that a fork could leave closed
    try:
        yield alone
    finally:
        if alone:
            del _at_work[key]


def _facts(target: Path) -> tuple[int, int] | None:
    """Length of a file and when it was written, None if it is not there."""
    try:
        found = target.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
