"""Published files from a folder on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from ..errors import AssetNotFoundError, StorageError, TransportError
from .base import Fetched, FetchOptions, Part, Stat, uri
from .cancel import Cancel
from .fetch import claim_part, finish_part, storage_error

PIECE = 1 << 20


class FolderFiles:
    """Published files from a folder on disk, such as one that the official kit downloaded; see ``Files``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def __repr__(self) -> str:
        return f"FolderFiles({str(self.folder)!r})"

    def locate(self, path: str) -> Path:
        """Where a published path lies on disk; it need not exist."""
        if ".." in path.split("/"):
            raise AssetNotFoundError(f"{uri(path)} leads out of the folder.")
        return self.folder / path

    def read(self, path: str, start: int, stop: int | None, cancel: Cancel) -> Part:
        def run() -> Part:
            with open(self.locate(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(start)
                data = file.read() if stop is None else file.read(max(stop - start, 0))
            return Part(data, start, size, None, start == 0 and len(data) == size)

        return self._on_disk(path, run)

    def read_if_changed(self, path: str, etag: str | None, modified: str | None, cancel: Cancel) -> Part:
        return self.read(path, 0, None, cancel)

    def stat(self, path: str, cancel: Cancel) -> Stat:
        return self._on_disk(path, lambda: Stat(self.locate(path).stat().st_size, None))

    def fetch(self, path: str, target: Path, cancel: Cancel, options: FetchOptions) -> Fetched:
        size = 0
        with self._on_disk(path, lambda: open(self.locate(path), "rb")) as source:
            part = claim_part(path, target, options)
            try:
                part.restart(None)
                while piece := source.read(PIECE):
                    if cancel.cancelled:
                        raise CancelledError
                    if options.received is not None:
                        options.received(len(piece))
                    if options.throttle is not None:
                        options.throttle.take(len(piece), cancel)
                    part.write(memoryview(piece))
                    size += len(piece)
                finish_part(part, path, target)
            except StorageError:
                raise
            except OSError as error:
                raise storage_error(error, path, target) from None
            finally:
                part.release()
        return Fetched(size, None, size)

    def close(self) -> None:
        """Nothing is held open."""

    def _on_disk(self, path: str, run: Callable[[], Any]) -> Any:
        problem = ""
        found = True
        try:
            return run()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            found = False
        except OSError as error:
            problem = error.strerror or type(error).__name__
        if found:
            raise TransportError(f"{self.locate(path)} cannot be read: {problem}.")
        raise AssetNotFoundError(f"{uri(path)} is not in the folder {self.folder}. Was it downloaded?")
