"""Published files from a folder on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import AssetNotFoundError, TransportError
from .base import Part, Stat, uri, whole_file


class FolderTransport:
    """Published files from a folder on disk, such as one that the official kit downloaded."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def __repr__(self) -> str:
        return f"FolderTransport({str(self.folder)!r})"

    def locate(self, path: str) -> Path:
        """Where a published path lies on disk; it need not exist."""
        if ".." in path.split("/"):
            raise AssetNotFoundError(f"{uri(path)} leads out of the folder.")
        return self.folder / path

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Part:
        def run() -> Part:
            with open(self.locate(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(start)
                data = file.read() if stop is None else file.read(max(stop - start, 0))
            return Part(data, start, size, None, start == 0 and len(data) == size)

        return await self._on_disk(path, run)

    async def stat(self, path: str) -> Stat:
        return await self._on_disk(path, lambda: Stat(self.locate(path).stat().st_size, None))

    async def copy(self, path: str, target: Path) -> Stat:
        stat = await self.stat(path)
        with whole_file(target, path) as file, open(self.locate(path), "rb") as source:
            shutil.copyfileobj(source, file)
        return stat

    async def close(self) -> None:
        """Nothing is held open."""

    async def _on_disk(self, path: str, run: Callable[[], Any]) -> Any:
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
