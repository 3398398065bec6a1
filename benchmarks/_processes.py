"""What a process took: seconds, CPU seconds and peak memory, its children's included."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

LONGEST = 600
#: Each look costs a client of many threads a little of the machine; a peak is not lost between two.
SAMPLED_EVERY = 0.025


@dataclass(frozen=True)
class Usage:
    """``wall`` and ``cpu`` in seconds, ``memory`` in bytes, ``problem`` says how it failed."""

    wall: float
    cpu: float
    memory: int
    output: str
    problem: str


def measure_process(command: list[str], environment: dict[str, str], given: str, folder: Path) -> Usage:
    """Run a command in ``folder`` with ``given`` as its input, and measure it.

    On Linux the memory is the sum of the peaks of the process and its children, looked at every 25 ms: the kernel's
    own figure would start with this process's memory.
    """
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile() as output:
        source.write(given)
        source.seek(0)
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=source,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = threading.Event()
        peaks: dict[int, int] = {}
        sampler = threading.Thread(target=_sample, args=(process.pid, ended, peaks))
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        ended.set()
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    problem = f"exit code {process.returncode}: {' '.join(text.split())[-300:]}" if process.returncode else ""
    return Usage(wall, usage.ru_utime + usage.ru_stime, sum(peaks.values()) or _kernel_peak(usage), text, problem)


def _sample(pid: int, ended: threading.Event, peaks: dict[int, int]) -> None:
    deadline = time.monotonic() + LONGEST
    while not ended.wait(SAMPLED_EVERY):
        for member in _family(pid):
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{member}/status").read_text().splitlines()
                peaks[member] = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for member in found:
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{member}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _kernel_peak(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
