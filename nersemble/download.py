"""Many published files into a folder in the published layout, several at a time.

What is there already is kept; a file appears under its name whole or not at all.  A file that the server does not have
is not an error: it is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from . import loop
from .errors import AssetNotFoundError
from .filesystem import NersembleFileSystem
from .layout import AssetPath

WORKERS = 16


def download(
    filesystem: NersembleFileSystem,
    assets: Sequence[AssetPath],
    folder: Path,
    *,
    workers: int = WORKERS,
    force: bool = False,
    progress: Callable[[int], object] | None = None,
) -> list[AssetPath]:
    """Fetch files into ``folder``.

    Args:
        filesystem: Where they come from.
        assets: Which files.
        folder: Where to; made if needed.
        workers: How many at a time.
        force: Fetch files again that are there.
        progress: Called with 1 after each file that is done.

    Returns:
        The files that the server does not have.

    Raises:
        AccessError, TransportError: If a file cannot be fetched.  Files fetched before stay.
    """
    wanted = [asset for asset in assets if force or not (folder / str(asset)).is_file()]
    if progress is not None and len(wanted) < len(assets):
        progress(len(assets) - len(wanted))
    return loop.run(_download(filesystem, wanted, folder, workers, progress)) if wanted else []


async def _download(
    filesystem: NersembleFileSystem,
    assets: Sequence[AssetPath],
    folder: Path,
    workers: int,
    progress: Callable[[int], object] | None,
) -> list[AssetPath]:
    queue = iter(assets)
    missing: list[AssetPath] = []

    async def work() -> None:
        for asset in queue:
            try:
                await filesystem._copy_to(str(asset), folder / str(asset))
            except AssetNotFoundError:
                missing.append(asset)
            if progress is not None:
                progress(1)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(assets)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(missing)
