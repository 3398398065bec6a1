"""The engine ``local``: processes of this machine.

Each is a plain ``python -m nersemble.engines.worker`` that takes units from standard input, not a child of
multiprocessing: those import the caller's main module again.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ..cores import usable_cores
from ..errors import PrepareError
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from .worker import unit_line

#: Workers that may die of one unit.
TRIES = 3
#: Seconds between two answers after which the caller can be interrupted.
TURN = 0.5


class LocalEngine:
    """Runs units in processes of this machine.

    Args:
        workers: How many; one for each core by default.  Each takes about 300 MB.

    Raises:
        PrepareError: If workers end before they have begun.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        """Run units; as ``Engine.run``."""
        waiting = deque((unit, 0) for unit in units)
        selector = selectors.DefaultSelector()
        crew: list[_Worker] = []

        def hire() -> None:
            worker = _Worker(job)
            crew.append(worker)
            selector.register(worker.output, selectors.EVENT_READ, worker)

        try:
            for _ in range(min(self.workers, len(waiting))):
                hire()
            while crew:
                for key, _ in selector.select(TURN):
                    worker: _Worker = key.data
                    unit, result = worker.answer()
                    if result is not None and not done(result):
                        return ""
                    if worker.died:
                        selector.unregister(worker.output)
                        worker.end()
                        crew.remove(worker)
                        if unit is not None and not self._again(waiting, worker, unit, done):
                            return ""
                        if waiting:
                            hire()
                    elif waiting:
                        worker.give(*waiting.popleft())
                    else:
                        selector.unregister(worker.output)
                        worker.end()
                        crew.remove(worker)
        finally:
            selector.close()
            for worker in crew:
                worker.end()
        return ""

    def _again(
        self, waiting: deque[tuple[Unit, int]], worker: _Worker, unit: Unit, done: Callable[[UnitResult], bool]
    ) -> bool:
        """Put a unit whose worker died back in front, unless others have died of it; whether to go on."""
        if worker.tries + 1 < TRIES:
            waiting.appendleft((unit, worker.tries + 1))
            return True
        return done(UnitResult(unit.name, "failed", reason=f"{TRIES} workers died of it, the last with {worker.why}"))


class _Worker:
    """A process, and the unit that it is at."""

    def __init__(self, job: Job) -> None:
        package = str(Path(__file__).resolve().parents[2])
        # Stages are found where the caller finds them.
        path = os.pathsep.join(dict.fromkeys([package, *(os.path.abspath(place) for place in sys.path)]))
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nersemble.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # `-m` puts the working directory before everything else, where another package of this name could lie.
            cwd=package,
            env={**os.environ, **threads, "PYTHONPATH": path},
            # Ctrl-C is the caller's, who ends these.
            start_new_session=True,
        )
        self._unit: Unit | None = None
        self.tries = 0
        self.died = False
        self.why = ""
        self._send(job.to_json().encode())

    @property
    def output(self) -> IO[bytes]:
        """Where its answers come from."""
        return _pipe(self._process.stdout)

    def give(self, unit: Unit, tries: int) -> None:
        """Let it make a unit next, of which ``tries`` workers have died."""
        self._unit, self.tries = unit, tries
        self._send(unit_line(unit))

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # if it has died, its output tells
            _pipe(self._process.stdin).write(line + b"\n")
            _pipe(self._process.stdin).flush()

    def answer(self) -> tuple[Unit | None, UnitResult | None]:
        """What it was at, and what came of that; None for the first answer, with which it says that it runs."""
        line = self.output.readline()
        unit, self._unit = self._unit, None
        if line.endswith(b"\n"):
            return unit, None if unit is None else UnitResult.from_json(line.decode())
        code = self._process.wait()
        self.died = True
        self.why = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        if unit is None:
            raise PrepareError(f"A worker ended before it had begun, with {self.why}. What it said is above.")
        return unit, None

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what it was not told any more
                _pipe(pipe).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # asked for above
        raise PrepareError("A process without its pipe. Please report this.")
    return pipe
