"""The engine ``datatrove``: units as tasks of a pipeline, for Slurm, or in processes of this machine to try it.

The executor's own marks of what is completed are not asked: the shards that are there say that.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..cores import usable_cores
from ..errors import PrepareError, SelectionError
from ..prepare.job import Job, UnitResult
from ..prepare.scratch import scratch_folder
from ..prepare.unit import Unit
from ..prepare.whole import are_whole
from ..written import count_of
from .crew import run_crew
from .rank import RESULTS, write_work
from .slurm import check_slurm_options, submit_job

#: Tasks of a Slurm job at most: below the array size that most clusters allow.
TASKS = 1000


class DatatroveEngine:
    """Runs units as tasks of datatrove.

    Args:
        workers: Tasks at a time; by default one for each core, and on Slurm as many as it starts.
        executor: ``local`` or ``slurm``.
        logging_dir: Folder that gets one for each run, with logs and what came of units; for Slurm one that every node
            sees, by default ``nersemble-slurm``.
        tasks: Tasks of a Slurm job; each makes its share of the units.
        slurm: Of datatrove's ``SlurmPipelineExecutor``: ``partition``, ``time``, ``cpus_per_task``,
            ``mem_per_cpu_gb``, ``venv_path``, ``sbatch_args`` and so on.

    Raises:
        PrepareError: If datatrove is not installed.
        SelectionError: If an option is none.
    """

    def __init__(
        self,
        workers: int | None = None,
        executor: str = "local",
        logging_dir: str | os.PathLike[str] | None = None,
        tasks: int = TASKS,
        **slurm: Any,
    ) -> None:
        found = None
        with contextlib.suppress(ImportError):
            found = importlib.import_module("datatrove")
        if found is None:
            raise PrepareError("The engine datatrove is not installed: pip install datatrove.")
        if executor not in ("local", "slurm"):
            raise SelectionError(f"executor is local or slurm, not {executor!r}.")
        tasks = count_of(tasks, "tasks")
        if executor == "slurm":
            check_slurm_options(slurm)
        elif slurm:
            raise SelectionError(f"Of Slurm alone, not of executor='local': {', '.join(sorted(slurm))}.")
        self.workers, self.executor, self.tasks, self.slurm = workers, executor, tasks, slurm
        self.logging_dir = None if logging_dir is None else Path(logging_dir).expanduser().absolute()

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        """Run units, or hand those whose shards are not there to Slurm; as ``Engine.run``.

        Raises:
            PrepareError: If workers end before they have begun, or Slurm does not take the job.
        """
        if self.executor == "slurm":
            return self._submit(job, units, done)
        with scratch_folder("work") as scratch:
            folder = _new_folder(job, self.logging_dir or Path(scratch))
            write_work(folder, job, units)
            run_crew("nersemble.engines.rank", [str(folder)], self.workers or usable_cores(), job, units, done)
        return ""

    def _submit(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        missing = []
        for unit, whole in zip(units, are_whole(job, units), strict=True):
            if not whole:
                missing.append(unit)
            elif not done(_kept(job, unit)):
                return ""
        if not missing:
            return ""
        folder = _new_folder(job, self.logging_dir or Path("nersemble-slurm").absolute())
        write_work(folder, job, missing)
        tasks = min(len(missing), self.tasks)
        number = submit_job(folder, tasks, self.workers or -1, {"job_name": f"nersemble-{job.config}", **self.slurm})
        return (
            f"Slurm job {number}, {tasks:,} tasks for {len(missing):,} units. What comes of them is in "
            f"{folder / RESULTS}. Once it is over, run the plan again: it submits what is not there."
        )


def _new_folder(job: Job, place: Path) -> Path:
    folder = place / f"{job.config}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    return folder


def _kept(job: Job, unit: Unit) -> UnitResult:
    rows = len(unit.rows(job.options.wanted, job.options.rows))
    return UnitResult(unit.name, "kept", rows=rows, bytes=job.output.size(job.shard_name(unit)))
