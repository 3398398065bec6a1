"""Decodes files in several processes to find damaged ones.

Each is a plain ``python -m nersemble.downloads.check_worker`` that takes paths from standard input, one at a time, not
a child of multiprocessing: those import the caller's main module again.  A damaged file that crashes a decoder ends its
process alone and is reported as damaged; a process that ends for any other reason is an error, never a damaged file.
"""

from __future__ import annotations

import collections
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import IO

from ..errors import NersembleError
from .checks import content_problem

#: Signals with which a decoder's own mistakes end a process.
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
#: Seconds between two answers after which the caller gets a turn.
TURN = 0.1
READY = "ready"
#: Bytes of memory that a process may take, far more than a sound file needs: a damaged header can ask for terabytes.
MOST_MEMORY = 4 << 30

Job = tuple[Path, str]


def check_contents(jobs: Iterable[Job], workers: int) -> Generator[tuple[Job, str] | None, None, None]:
    """Decode files, several at a time.

    Args:
        jobs: Files with their ``AssetPath.kind``.
        workers: How many processes; each needs about 150 MB.

    Yields:
        Each job with what ``content_problem`` says of it, in the order in which they are done; None now and then, so
        that the caller can show that time passes.  Closing the iterator ends the processes at once.

    Raises:
        NersembleError: If a process cannot be started, or is ended from outside.
    """
    waiting = collections.deque(jobs)
    selector = selectors.DefaultSelector()
    crew: list[_Worker] = []
    try:
        for _ in range(min(workers, len(waiting))):
            crew.append(_Worker())
            selector.register(crew[-1].output, selectors.EVENT_READ, crew[-1])
        while any(not worker.done for worker in crew):
            for key, _ in selector.select(TURN):
                worker: _Worker = key.data
                result = worker.answer()
                if result is not None:
                    yield result
                if worker.crashed:
                    selector.unregister(worker.output)
                    worker.end()
                    crew.remove(worker)
                    if waiting:
                        worker = _Worker()
                        crew.append(worker)
                        selector.register(worker.output, selectors.EVENT_READ, worker)
                elif waiting:
                    worker.give(waiting.popleft())
                else:
                    worker.done = True
            yield None
    finally:
        selector.close()
        for worker in crew:
            worker.end()


class _Worker:
    """A process, and the file that it is at."""

    def __init__(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nersemble.downloads.check_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            # `-m` puts the working directory before everything else, where another package of this name could lie.
            cwd=package,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C is the caller's, who ends these.
            start_new_session=True,
        )
        self._job: Job | None = None
        self.done = self.crashed = False

    @property
    def output(self) -> IO[bytes]:
        """Where its answers come from."""
        return _pipe(self._process.stdout)

    def give(self, job: Job) -> None:
        """Let it check a file next."""
        self._job = job
        line = json.dumps([os.path.abspath(job[0]), job[1]])
        try:
            _pipe(self._process.stdin).write(line.encode() + b"\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self) -> tuple[Job, str] | None:
        """Its answer, which is there to be read; None for the first, with which it says that it runs."""
        line = self.output.readline()
        job, self._job = self._job, None
        if line.endswith(b"\n"):
            said = json.loads(line)
            return None if job is None or said == READY else (job, str(said))
        code = self._process.wait()
        if job is None or -code not in CRASHES:
            raise self._ended()
        self.crashed = True
        return job, f"damaged: it crashes the decoder ({signal.Signals(-code).name})"

    def _ended(self) -> NersembleError:
        code = self._process.wait()
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip().splitlines()
        if code == -signal.SIGKILL:
            reason = "it was killed, perhaps for want of memory. Try fewer workers"
        else:
            reason = words[-1] if words else f"exit status {code}"
        return NersembleError(f"A process that decodes files has ended: {reason}.")

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _pipe(pipe).close()
        self._said.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # asked for above
        raise NersembleError("A process without its pipe. Please report this.")
    return pipe


def _main() -> None:
    import av  # noqa: F401 - what is missing should show before the first file
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401

    _limit_memory()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not answer
    _say(answers, READY)
    for line in sys.stdin:
        path, kind = json.loads(line)
        _say(answers, content_problem(Path(path), kind))


def _limit_memory() -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MOST_MEMORY if most == resource.RLIM_INFINITY else min(MOST_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _say(answers: IO[str], answer: str) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    _main()
