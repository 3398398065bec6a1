"""A task of datatrove: the units of a rank, from files that the driver wrote; and the process that runs one here.

Tasks read the work from ``WORK`` in the folder of the run, and write what came of it to ``RESULTS``, a line a unit.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import PrepareError
from ..prepare.halt import Halt, asks_elsewhere
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from .worker import main as run_worker
from .worker import make_for

WORK = "work.json"
RESULTS = "results"


def write_work(folder: Path, job: Job, units: Sequence[Unit]) -> None:
    """Write down what is to be done, for tasks anywhere."""
    work = {
        "version": __version__,
        "told": [secrets.token_hex(8), job.to_json()],
        "units": [unit.as_dict() for unit in units],
    }
    (folder / RESULTS).mkdir()
    # A target's URL may have a password in it.
    with open(os.open(folder / WORK, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        json.dump(work, file)


@lru_cache(maxsize=1)
def _read_work(folder: str) -> dict[str, Any]:
    return json.loads((Path(folder) / WORK).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class UnitStep:
    """A step of a pipeline, which makes the units of a rank.

    Attributes:
        folder: Of the run.
    """

    folder: str

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        """Make every ``world_size``-th unit from ``rank`` on.

        Raises:
            PrepareError: If all others would fail too.
        """
        work = _read_work(self.folder)
        place = Path(self.folder) / RESULTS / f"{rank:06d}.jsonl"
        halt = Halt(1, lambda failed: _serves_others(work, failed))
        with open(place, "w", encoding="utf-8", buffering=1) as results:
            for unit in work["units"][rank::world_size]:
                result = make_for(work["version"], tuple(work["told"]), unit)
                results.write(result.to_json() + "\n")
                reason = result.reason if result.stops else halt.reason_after(result)
                if reason:
                    raise PrepareError(reason)


def _serves_others(work: dict[str, Any], failed: set[str]) -> bool:
    """Whether the server answers this machine for other videos than those of some units."""
    return asks_elsewhere(Job.from_json(work["told"][1]), list(map(Unit.from_dict, work["units"])))(failed)


def main() -> None:
    """Be a worker of this machine, to which each unit is a task of its own."""
    from datatrove.executor import LocalPipelineExecutor
    from loguru import logger

    logger.disable("datatrove")
    folder = sys.argv[1]
    ranks = {Unit.from_dict(unit).name: rank for rank, unit in enumerate(_read_work(folder)["units"])}

    def make(job: Job, unit: Unit) -> UnitResult:
        rank = ranks[unit.name]
        executor = LocalPipelineExecutor(
            [UnitStep(folder)],
            tasks=len(ranks),
            workers=1,
            local_tasks=1,
            local_rank_offset=rank,
            logging_dir=folder,
            skip_completed=False,
        )
        problem: PrepareError | None = None
        try:
            # What ``run`` would call beside a process of its own, which nobody ends if this one is killed.
            executor._run_for_rank(rank)
        except PrepareError as error:
            problem = error
        lines = (Path(folder) / RESULTS / f"{rank:06d}.jsonl").read_text(encoding="utf-8").splitlines()
        if not lines:
            raise problem or PrepareError(f"The task of {unit.name} told nothing. Please report this.")
        return UnitResult.from_json(lines[-1])

    run_worker(make)
