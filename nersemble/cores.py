"""How many threads one call may use: the cores of a lone process, one in a worker, whose siblings use the others."""

from __future__ import annotations

import multiprocessing
import os
import sys

_forked = False


def usable_cores() -> int:
    """Cores that this process may run on; 1 in a process that another one forked or started as its worker."""
    if _forked or _is_worker():
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def be_worker() -> None:
    """Let this process count as a worker, however it was started."""
    _note_fork()


def _is_worker() -> bool:
    # `datasets` starts its workers through `multiprocess`, which keeps a record of its own.
    libraries = (multiprocessing, sys.modules.get("multiprocess"))
    return any(library is not None and library.parent_process() is not None for library in libraries)


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
