"""Workers in processes of this machine: they are handed units, and replaced where they die."""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable, Sequence

from ..errors import PrepareError
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from .process import WorkerProcess

#: Workers that may die of one unit, or one after another before they have begun.
TRIES = 3
#: Seconds after which it is looked whether one has died of which others hold the pipe open.
TURN = 0.5


def run_crew(
    module: str,
    arguments: Sequence[str],
    workers: int,
    job: Job,
    units: Sequence[Unit],
    done: Callable[[UnitResult], bool],
) -> None:
    """Run units in processes.

    Args:
        module: Whose ``main`` each process runs; as ``worker.main``.
        arguments: Of its command line.
        workers: How many processes.
        job: What to make.
        units: Of what.
        done: As of ``Engine.run``.

    Raises:
        PrepareError: If workers end before they have begun.
    """
    waiting = deque((unit, 0) for unit in units)
    crew: list[WorkerProcess] = []
    stillborn = 0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or crew:
                while len(crew) < workers and sum(not worker.ready for worker in crew) < len(waiting):
                    crew.append(WorkerProcess(module, arguments, job))
                    selector.register(crew[-1].output, selectors.EVENT_READ, crew[-1])
                heard = [key.data for key, _ in selector.select(TURN)]
                for worker in heard + [one for one in crew if one not in heard and one.has_ended]:
                    line = worker.listen()
                    unit, tries = worker.task
                    if line:
                        worker.ready, stillborn = True, 0
                        worker.task = (None, 0)
                        if unit is not None and not done(UnitResult.from_json(line)):
                            return
                        if waiting:
                            worker.give(*waiting.popleft())
                    if worker.died or (line and worker.task[0] is None):
                        crew.remove(worker)
                        selector.unregister(worker.output)
                        worker.end()
                    if worker.died and unit is not None and tries + 1 < TRIES:
                        waiting.append((unit, tries + 1))
                    elif worker.died and unit is not None:
                        if not done(
                            UnitResult(unit.name, "failed", reason=f"{TRIES} workers died of it, {worker.why}")
                        ):
                            return
                    elif worker.died:
                        stillborn += 1
                        if stillborn == TRIES:
                            raise PrepareError(f"{TRIES} workers ended before they had begun, {worker.why}.")
        finally:
            for worker in crew:
                worker.end()
