"""Hands units to Slurm through datatrove."""

from __future__ import annotations

import contextlib
import inspect
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..access import KEYS
from ..errors import PrepareError, SelectionError
from .rank import UnitStep

#: Options of datatrove's executor that are this package's to give.
OWN = {"pipeline", "tasks", "workers", "logging_dir", "skip_completed"}


def check_slurm_options(given: dict[str, Any]) -> None:
    """Check options of datatrove's ``SlurmPipelineExecutor`` by name.

    Raises:
        SelectionError: If one is none, or one that Slurm needs is not there.
    """
    from datatrove.executor import SlurmPipelineExecutor

    known = set(inspect.signature(SlurmPipelineExecutor).parameters) - OWN
    unknown = sorted(set(given) - known)
    if unknown:
        raise SelectionError(f"Slurm jobs take no {', '.join(unknown)}, but {', '.join(sorted(known))}.")
    if not {"partition", "time"} <= set(given):
        raise SelectionError('Slurm has to know where and how long: partition="cpu", time="04:00:00".')


def submit_job(folder: Path, tasks: int, workers: int, options: dict[str, Any]) -> str:
    """Submit the work of a folder.

    Args:
        folder: Of the run.
        tasks: Over how many it is spread.
        workers: Tasks at a time; -1 for any number.
        options: Of datatrove's ``SlurmPipelineExecutor``.

    Returns:
        The number of the job.

    Raises:
        PrepareError: If Slurm does not take it.
    """
    from datatrove.executor import SlurmPipelineExecutor

    if "SLURM_ARRAY_TASK_ID" in os.environ:
        raise PrepareError("This is a task of Slurm already, from which datatrove submits none. Use a login node.")
    where = {"logging_dir": str(folder), "skip_completed": False, **_this_environment(options)}
    executor = SlurmPipelineExecutor([UnitStep(str(folder))], tasks=tasks, workers=workers, **where, **options)
    # Its job for statistics has none to gather here.
    executor.launch_merge_stats = _no_statistics
    problem = ""
    with _quiet(), _without_access():
        try:
            executor.run()
        except (OSError, subprocess.SubprocessError, IndexError) as error:
            problem = f"{type(error).__name__}: {error}"
    if problem:
        raise PrepareError(f"Slurm did not take the job: {problem}. Is `sbatch` at hand here?")
    return str(executor.job_id)


def _this_environment(options: dict[str, Any]) -> dict[str, Any]:
    """Nodes run the virtual environment that runs here, unless another one is named."""
    if sys.prefix == sys.base_prefix or {"env_command", "condaenv", "venv_path"} & set(options):
        return {}
    return {"venv_path": shlex.quote(os.path.join(sys.prefix, "bin", "activate"))}


def _no_statistics() -> None:
    """In the place of a job that is not needed."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from loguru import logger

    logger.disable("datatrove")
    try:
        yield
    finally:
        logger.enable("datatrove")


@contextlib.contextmanager
def _without_access() -> Iterator[None]:
    """Slurm keeps the environment of who submits a job: without the access URL, which each node finds for itself."""
    held = {key: os.environ.pop(key) for key in KEYS if key in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
