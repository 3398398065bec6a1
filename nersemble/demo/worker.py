"""Draws and encodes the views of a demo capture in several processes.

Each is a plain ``python -m nersemble.demo.worker`` that reads its job from standard input, not a child of
multiprocessing: those import the caller's main module again, which fails in code from standard input and in a script
without its ``__main__`` guard.  Threads would share one interpreter lock: two gain a fifth.
"""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nersemble.errors import NersembleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nersemble.demo.options import DemoOptions

    View = tuple[int, str]


def run_views(root: Path, options: DemoOptions, views: list[View], workers: int) -> Iterator[None]:
    """Write the stills and videos of ``views``, pairs of participant and serial; yields now and then until done.

    Raises:
        NersembleError: If a process fails; the message ends with the last thing it said.
    """
    workers = max(1, min(workers, len(views)))
    if workers == 1:
        yield from _write(root, options, views)
        return
    # A share is every so many-th view, so that each has about as many videos and as much sound.
    jobs = [pickle.dumps((root, options, views[index::workers])) for index in range(workers)]
    processes = [_start() for _ in jobs]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            pending = {
                pool.submit(process.communicate, job): process for process, job in zip(processes, jobs, strict=True)
            }
            while pending:
                for future in concurrent.futures.wait(pending, timeout=0.1).done:
                    process = pending.pop(future)
                    if process.returncode:
                        words = future.result()[1].decode(errors="replace").strip().splitlines()
                        reason = words[-1] if words else f"exit status {process.returncode}"
                        raise NersembleError(f"A process that makes the demo capture failed: {reason}")
                yield
        finally:
            for process in processes:
                process.kill()


def _start() -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # One thread of linear algebra each: there is a process for every processor already.
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "nersemble.demo.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # `-m` puts the working directory before everything else, where another package of this name could lie.
        cwd=package,
        env=environment,
    )


def _write(root: Path, options: DemoOptions, views: list[View]) -> Iterator[None]:
    # Imported here, so that the process that only waits for others loads no video library.
    from nersemble.demo.encode import write_views

    for participant, serial in views:
        for _ in write_views(root, options, participant, serial):
            yield


def _main() -> None:
    for _ in _write(*pickle.load(sys.stdin.buffer)):
        pass


if __name__ == "__main__":
    _main()
