"""One file of a plan: kept if it is right, else fetched.  Runs in the worker threads of a ``Run``."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog import parse_catalog, parse_participants
from ..catalog_cache import published_table
from ..errors import StorageError
from ..layout import AssetPath
from ..transport import Cancel, FetchOptions, Files, Throttle
from ..transport.fetch import part_key
from ..transport.part_file import is_written_elsewhere
from .assets import parts_folder
from .report import FileEvent

if TYPE_CHECKING:
    from .plan import Plan


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
        """See to one file; None if another process is at work on it.

        Raises:
            AssetNotFoundError, AccessError, TransportError, StorageError: If it cannot be had.
            CancelledError: If it was cancelled.
        """
        return self._table(asset) if asset.kind in ("participants", "sequences") else self._file(asset)

    def _file(self, asset: AssetPath) -> FileEvent | None:
        plan, path = self._plan, str(asset)
        target = plan.folder / path
        size = _size(target)
        if size is not None and asset not in plan.replaced:
            right = plan.record.size(path)
            if right is None:
                right = self._files.stat(path, self._cancel).size
            if right is None or right == size:
                plan.record.add_size(path, size)
                return FileEvent(asset, "kept", size)
        parts = parts_folder(plan.folder, asset)
        if is_written_elsewhere(parts, part_key(parts, target)) or _size(target) != size:  # or was, until just now
            return None
        options = FetchOptions(parts=parts, received=self._count, throttle=self._throttle)
        fetched = self._files.fetch(path, target, self._cancel, options)
        plan.record.add_size(path, fetched.size)
        return FileEvent(asset, "fetched", fetched.size)

    def _table(self, asset: AssetPath) -> FileEvent:
        """A metadata CSV, which is kept in the cache of the catalogue too."""
        path = str(asset)
        target = self._plan.folder / path
        if isinstance(self._plan.root, str) or self._plan.root.is_folder:
            data = self._files.read(path, 0, None, self._cancel).data
        else:
            data = published_table(path, parse_catalog if asset.kind == "sequences" else parse_participants)
        try:
            if target.is_file() and target.read_bytes() == data:
                return FileEvent(asset, "kept", len(data))
            temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
            temporary.write_bytes(data)
            os.replace(temporary, target)
        except OSError as error:
            raise StorageError(f"{target} could not be written: {error.strerror}.", error.errno) from None
        self._count(len(data))
        return FileEvent(asset, "fetched", len(data))

    def _count(self, count: int) -> None:
        with self._lock:
            self.received += count


def _size(target: Path) -> int | None:
    try:
        return target.stat().st_size
    except OSError:
        return None
