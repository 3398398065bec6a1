"""The engine ``ray``: Ray Core tasks, on a cluster or on this machine.

Only the job, a unit's numbers and what came of it go through Ray; videos are read and shards written by the workers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import __version__
from ..errors import SelectionError
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from .ray_session import connected

#: Seconds after which the size of the cluster is asked anew.
TURN = 0.5


class RayEngine:
    """Runs units as tasks of the Ray that is initialised, of a cluster, or of a Ray that is started here.

    Args:
        workers: Units at a time; by default the cluster's CPUs, with as many more waiting, so that it can grow.
        address: Of a cluster; by default ``RAY_ADDRESS``, and without that a Ray is started here for the run alone.
        max_retries: How often a unit is run again whose worker died.

    Raises:
        SelectionError: If an option is none.
    """

    def __init__(self, workers: int | None = None, address: str | None = None, max_retries: int = 3) -> None:
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
            raise SelectionError(f"max_retries is a number of 0 or more, not {max_retries!r}.")
        self.workers = workers
        self.address = address or os.environ.get("RAY_ADDRESS") or None
        self.max_retries = max_retries

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        """Run units; as ``Engine.run``.

        Raises:
            PrepareError: If Ray is not installed, or does not start or answer.
        """
        with connected(self.address, self.workers) as ray:
            task = ray.remote(max_retries=self.max_retries, scheduling_strategy="SPREAD")(_task())
            # Told from an earlier run of this driver, whose workers may still be there.
            text = ray.put((os.urandom(8).hex(), job.to_json()))
            waiting, running = deque(units), dict[Any, Unit]()
            while waiting or running:
                while waiting and len(running) < self._most(ray):
                    unit = waiting.popleft()
                    running[task.remote(__version__, text, unit.as_dict())] = unit
                for ref in ray.wait(list(running), timeout=TURN)[0]:
                    if not done(_result(ray, ref, running.pop(ref))):
                        # What is under way ends with the connection. It is not cancelled: Ray ends this very process
                        # if a task is done in that moment (ray-project/ray#54798 mends it for retries alone).
                        return ""
        return ""

    def _most(self, ray: Any) -> int:
        """How many units may be under way."""
        return self.workers or max(2, 2 * int(ray.cluster_resources().get("CPU", 0)))


def _task() -> Callable[[str, tuple[str, str], dict[str, Any]], str]:
    """What a worker does; a function in a function, since Ray sends that whole, to workers without this package too."""

    def make_unit(version: str, told: tuple[str, str], unit: dict[str, Any]) -> str:
        import json

        try:
            from nersemble.engines.worker import make_for
        except ImportError as error:
            reason = f"a worker of Ray cannot import nersemble {version} ({error}). Install it on every node"
            return json.dumps({"unit": "", "outcome": "failed", "reason": reason, "stops": True})
        return make_for(version, told, unit).to_json()

    return make_unit


def _result(ray: Any, ref: Any, unit: Unit) -> UnitResult:
    """What came of a task; one whose workers died is a failed unit."""
    errors = ray.exceptions
    failed = UnitResult(unit.name, "failed")
    try:
        return replace(UnitResult.from_json(ray.get(ref)), unit=unit.name)
    except errors.RayTaskError as error:
        return failed.failed(f"{type(error.cause).__name__}: {error.cause}")
    except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError, errors.ObjectLostError) as error:
        return failed.failed(f"every worker that tried it died, the last with {type(error).__name__}")
    except errors.RayError as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        return replace(failed, reason=f"Ray cannot run it: {told}", stops=True)
