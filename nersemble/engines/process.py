"""A worker in a process of this machine: given a unit, listened to, ended.

It is a plain Python that takes units from its standard input, not a child of multiprocessing: those import the caller's
main module again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import PrepareError
from ..prepare.job import Job
from ..prepare.unit import Unit
from .worker import unit_line

#: One core each: the others are theirs.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
#: Seconds that a process may take to end once its output has.
ENDING = 2.0
#: Without the working directory, whose modules are not meant, in front of what the caller imports from.
CODE = (
    "import sys; sys.path[0] or sys.path.pop(0); import json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from {module} import main; main()"
)


class WorkerProcess:
    """A process, and the unit that it is at."""

    def __init__(self, module: str, arguments: Sequence[str], job: Job) -> None:
        package = str(Path(__file__).resolve().parents[2])
        # In the caller's order: in PYTHONPATH, its folder would stand before the standard library.
        path = json.dumps([*(place or os.getcwd() for place in sys.path), package])
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE.format(module=module), path, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=_stderr(),
            env={**os.environ, **THREADS},
            # Ctrl-C is the caller's, who ends these, and what they have started.
            start_new_session=True,
        )
        os.set_blocking(self.output.fileno(), False)
        self._heard = b""
        self._closed = False
        self.task: tuple[Unit | None, int] = (None, 0)
        self.ready = self.died = False
        self._send(job.to_json().encode())

    @property
    def output(self) -> IO[bytes]:
        """Where its answers come from."""
        return _pipe(self._process.stdout)

    @property
    def has_ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    @property
    def why(self) -> str:
        """How it ended, in words."""
        code = self._process.wait()
        if self._closed:
            return "the last once its pipe was closed. Does a stage close descriptors that are not its own?"
        if code == -signal.SIGKILL:
            return "the last with SIGKILL, as of a machine short of memory: take fewer workers"
        return f"the last with {signal.Signals(-code).name if code < 0 else f'exit status {code}; see above'}"

    def give(self, unit: Unit, tries: int) -> None:
        """Let it make a unit next, of which ``tries`` workers have died."""
        self.task = (unit, tries)
        self._send(unit_line(unit))

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # if it has died, its output tells
            _pipe(self._process.stdin).write(line + b"\n")
            _pipe(self._process.stdin).flush()

    def listen(self) -> str:
        """Its next answer, "" as long as that is not whole; then it may have died."""
        ended = self.has_ended
        try:
            heard = os.read(self.output.fileno(), 1 << 20)
            self.died = not heard
        except BlockingIOError:
            heard, self.died = b"", ended
        line, end, self._heard = (self._heard + heard).partition(b"\n")
        if not end:
            self._heard = line
        return line.decode() if end else ""

    def end(self) -> None:
        """End it and what it has started, whatever they are at."""
        if self.died:
            # Its output ends with a process, or a moment earlier; if it lives on, what ends it below is not why.
            try:
                self._process.wait(ENDING)
            except subprocess.TimeoutExpired:
                self._closed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what it was not told any more
                _pipe(pipe).close()


def _stderr() -> int | None:
    """Where its messages go: where this process's do, and nowhere if that was closed (``2>&-``).

    What has that number then is any file that was opened since.
    """
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return subprocess.DEVNULL if sys.__stderr__ is None else None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # asked for above
        raise PrepareError("A process without its pipe. Please report this.")
    return pipe
