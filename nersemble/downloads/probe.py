"""Asking a server for the sizes of files, many at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from ..access import AccessURL, find_access
from ..errors import AssetNotFoundError, NersembleError
from ..transport import Cancel, shared_files, wait_for
from .estimate import choose_sample

if TYPE_CHECKING:
    from .plan import Plan

WORKERS = 16


def probe_sizes(plan: Plan, samples: int) -> None:
    """Ask for the sizes of a sample of the files to fetch, and remember them.

    Raises:
        AccessError, TransportError: If the server does not answer.
    """
    unknown = [asset for asset in plan.todo if str(asset) not in plan.record.sizes]
    sizes = server_sizes([str(asset) for asset in choose_sample(unknown, samples)], root=plan.root)
    # A dry run writes nothing: a folder that is not there has no record on disk.
    plan.record.keep(plan.folder.is_dir())
    # Of a file that is there, whole or not, the run says what became of it.
    there = {str(asset) for asset in plan.replaced}
    gone = set()
    for path, size in sizes.items():
        if size is None and path not in there:
            plan.record.add_gone(path, plan.tag)
            gone.add(path)
        elif size is not None and size >= 0:
            plan.record.add_size(path, size)
    plan.absent += [asset for asset in plan.todo if str(asset) in gone]
    plan.todo = [asset for asset in plan.todo if str(asset) not in gone]


def server_sizes(paths: Sequence[str], *, root: AccessURL | str | None = None) -> dict[str, int | None]:
    """Sizes of published files as the server says them.

    Returns:
        Bytes by path: None for a file that it does not have, -1 for one whose size it does not say.

    Raises:
        AccessError, TransportError: If it does not answer.
    """
    files = shared_files(find_access() if root is None else root)
    sizes: dict[str, int | None] = {}
    queue = iter(list(paths))
    lock = threading.Lock()
    errors: list[NersembleError] = []

    def work(cancel: Cancel) -> None:
        while not errors and not cancel.cancelled:
            with lock:
                path = next(queue, None)
            if path is None:
                return
            try:
                size = files.stat(path, cancel).size
                sizes[path] = -1 if size is None else size
            except AssetNotFoundError:
                sizes[path] = None
            except NersembleError as error:
                errors.append(error)
            except CancelledError:
                return

    def work_all(cancel: Cancel) -> None:
        threads = [threading.Thread(target=work, args=(cancel,), daemon=True) for _ in range(min(WORKERS, len(paths)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    wait_for(work_all)
    if errors:
        raise errors[0]
    return {path: sizes[path] for path in paths}
