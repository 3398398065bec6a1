"""How many threads one call may use: the cores of a lone process, one in a worker, whose siblings use the others."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import sys

_forked = False
#: Parameters of glibc's mallopt, and what workers set them to: buffers of the size of pictures stay with the process.
_MALLOPT = {-3: 32 << 20, -1: 128 << 20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def usable_cores() -> int:
    """Cores that this process may run on; 1 in a process that another one forked or started as its worker."""
    if _forked or _is_worker():
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def be_worker() -> None:
    """Let this process count as a worker, however it was started.

    It also keeps the memory of one picture for the next: glibc would give it back after each and be given it anew,
    cleared, a page at a time, which takes up to a tenth of the time of decoding and resizing.
    """
    _note_fork()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # another system, another library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def _is_worker() -> bool:
    # `datasets` starts its workers through `multiprocess`, which keeps a record of its own.
    libraries = (multiprocessing, sys.modules.get("multiprocess"))
    return any(library is not None and library.parent_process() is not None for library in libraries)


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
