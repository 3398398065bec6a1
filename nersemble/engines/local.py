"""The engine ``local``: processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..cores import usable_cores
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from .crew import run_crew


class LocalEngine:
    """Runs units in processes of this machine.

    Args:
        workers: How many; one for each core by default.  Each takes about 400 MB for full-size H.264 videos.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        """Run units; as ``Engine.run``.

        Raises:
            PrepareError: If workers end before they have begun.
        """
        run_crew("nersemble.engines.worker", (), self.workers, job, units, done)
        return ""
