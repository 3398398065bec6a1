"""The engine ``ray``: Ray Core tasks, on a cluster or on this machine.

Only the job, a unit's numbers and what came of it go through Ray; videos are read and shards written by the workers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import __version__
from ..cores import usable_cores
from ..errors import PrepareError, SelectionError
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit

#: Seconds after which the size of the cluster is asked anew.
TURN = 0.5
#: How a Ray of this machine is started: nobody is told that it is used, it listens on loopback alone, and its object
#: store is small, since the job is all that is put there.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
LOOPBACK = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 100 << 20}


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
        with self._connected() as ray:
            task = ray.remote(max_retries=self.max_retries, scheduling_strategy="SPREAD")(_task())
            # Told from an earlier run of this driver, whose workers may still be there.
            text = ray.put((os.urandom(8).hex(), job.to_json()))
            waiting, running = deque(units), dict[Any, Unit]()
            try:
                while waiting or running:
                    while waiting and len(running) < self._most(ray):
                        unit = waiting.popleft()
                        running[task.remote(__version__, text, unit.as_dict())] = unit
                    for ref in ray.wait(list(running), timeout=TURN)[0]:
                        if not done(_result(ray, ref, running.pop(ref))):
                            return ""
            finally:
                for ref in running:
                    ray.cancel(ref, force=True)
        return ""

    def _most(self, ray: Any) -> int:
        """How many units may be under way."""
        return self.workers or max(2, 2 * int(ray.cluster_resources().get("CPU", 0)))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """Ray, as long as it is needed."""
        ray: Any = None
        with contextlib.suppress(ImportError):
            ray = importlib.import_module("ray")
        if ray is None:
            raise PrepareError("The engine ray needs Ray, which is not installed: pip install 'nersemble[ray]'.")
        if ray.is_initialized():
            yield ray
            return
        options: dict[str, Any] = {"address": self.address, "log_to_driver": False, "logging_level": "error"}
        if self.address is None:
            options |= {"address": "local", "num_cpus": self.workers or usable_cores(), **LOOPBACK}
        problem = ""
        with _kept(QUIET if self.address is None else {}):
            try:
                ray.init(**options)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                where = f"No Ray answers at {self.address}" if self.address else "Ray does not start on this machine"
                raise PrepareError(f"{where}: {problem}")
            try:
                yield ray
            finally:
                ray.shutdown()


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


@contextlib.contextmanager
def _kept(values: dict[str, str]) -> Iterator[None]:
    """Set variables that the caller has not set; in the end these, and what happens at SIGTERM, are as they were."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    on_term = signal.getsignal(signal.SIGTERM)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)
