"""Who writes a file: a process, told in the file's name from every other one, also from a later one of its number."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Name of this process, for file names: ``<machine>_<process id>_<start>``."""
    return f"{_here()}_{os.getpid()}_{_started(os.getpid())}"


def has_ended(writer: str) -> bool:
    """Whether a process of this machine and container has ended; False of what cannot be seen from here."""
    here, pid, started, *_ = [*writer.split("_"), "", "", ""]
    return here == _here() and pid.isdecimal() and not _is_alive(int(pid), started)


def _is_alive(pid: int, started: str) -> bool:
    if pid == os.getpid():
        return started == _started(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OverflowError:  # no process has it
        return False
    except OSError:  # another user's, which may be hidden from us too
        return _started(pid) in (started, "")
    return _started(pid) == started


@functools.lru_cache(maxsize=1)
def _here() -> str:
    """What tells this machine, since its start, and this container from others."""
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """When a process started, which tells it from a later one of the same number; "" where that cannot be asked."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    # A zombie has ended, though nobody has asked for its exit status yet.
    return "ended" if fields[0] in "ZX" else fields[19]
