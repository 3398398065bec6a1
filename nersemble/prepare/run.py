"""Running a plan on an engine: the driver, which hands out units and collects what came of them."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ..cores import usable_cores
from ..errors import SelectionError, StorageError
from ..units import format_bytes
from ..written import count_of, switch_of
from .claim import claim
from .halt import Halt, asks_elsewhere
from .job import Job, UnitResult
from .plans import PreparePlan
from .report import RunProgress, RunReport, UnitEvent
from .target import Target
from .unit import Unit

#: Engines by name, and where each is.
ENGINES = {
    "local": "nersemble.engines.local:LocalEngine",
    "ray": "nersemble.engines.ray:RayEngine",
    "datatrove": "nersemble.engines.datatrove:DatatroveEngine",
}


class Engine(Protocol):
    """Runs units somewhere; a unit whose worker dies is run again."""

    def run(self, job: Job, units: Sequence[Unit], done: Callable[[UnitResult], bool]) -> str:
        """Run units in any order.

        Args:
            job: What to make of them.
            units: Which.
            done: Told what came of each, from the caller's thread; answers whether to go on.

        Returns:
            "", or what was handed to a scheduler that goes on by itself.
        """


def run_plan(
    plan: PreparePlan,
    folder: str | os.PathLike[str],
    *,
    engine: str | Engine = "local",
    workers: int | None = None,
    recheck: bool = False,
    progress: bool | None = None,
    watch: Callable[[RunProgress], object] | None = None,
    **engine_options: Any,
) -> RunReport:
    """Make the shards of a plan that are not there; resuming is running it again.

    Args:
        plan: What to make.
        folder: Where to: a folder, or a URL that fsspec can write to.  Shards lie below it in a folder named by the
            config, with the plan.
        engine: ``local`` (processes of this machine), ``ray`` (a Ray cluster), ``datatrove`` (Slurm), or an object that
            does what ``Engine`` says.
        workers: Units at a time; by default as many as there are cores.
        recheck: Read shards that are there as a whole, and make those anew that were damaged since; without it, those
            that are there and have their end are taken for whole.
        progress: Show how far it is; by default on a terminal and in a notebook.
        watch: Called with the progress as it changes.
        engine_options: Of the engine, such as ``partition="gpu"``.

    Returns:
        What came of it.  Units that failed are in it, not raised: look at ``report.complete``.

    Raises:
        SelectionError: If there is no such engine or option.
        PrepareError: If the folder holds shards of another plan of this name.
        StorageError: If the folder cannot be written.
        KeyboardInterrupt: At Ctrl-C; whole shards are kept.
    """
    from ..progress import display, kind_for

    check_watch(watch)
    recheck = switch_of(recheck, "recheck")
    kind = kind_for(progress)
    running = make_engine(engine, workers, engine_options)
    target = Target(folder)
    if "memory://" in target.text:
        raise SelectionError("Workers are other processes, which do not share this one's memory. Give a folder.")
    job = replace(plan.job(target.text), recheck=recheck)
    claim(plan, target)
    began = time.monotonic()
    report = RunReport(target.shown)
    state = RunProgress(len(plan.units), pictures_total=plan.pictures)
    sizes = {unit.name: unit.pictures(plan.options.wanted) for unit in plan.units}
    halt = Halt(getattr(running, "workers", None) or usable_cores(), asks_elsewhere(job, plan.units))
    with display(kind, verb="Preparing") as shown:

        def done(result: UnitResult) -> bool:
            _note(report, state, result, sizes[result.unit])
            report.stopped = report.stopped or halt.reason_after(result)
            shown.file(UnitEvent(result.unit, result.outcome, result.bytes, result.reason))
            shown.update(state)
            if watch is not None:
                watch(state)
            return not report.stopped

        shown.update(state)
        report.submitted = running.run(job, plan.units, done)
    report.not_tried = 0 if report.submitted else len(plan.units) - report.written - report.kept - len(report.failed)
    report.seconds = time.monotonic() - began
    with contextlib.suppress(StorageError):  # the next run sweeps too, and this one's report is not to be lost
        target.sweep(plan.config)
    return report


def make_engine(engine: str | Engine, workers: int | None, options: dict[str, Any]) -> Engine:
    """The engine of a name.

    Raises:
        SelectionError: If there is none, or it does not take an option.
    """
    workers = None if workers is None else count_of(workers, "workers")
    if not isinstance(engine, str):
        if options or workers is not None:
            raise SelectionError("An engine of your own has its options already.")
        if not callable(getattr(engine, "run", None)):
            raise SelectionError(
                f"engine is one of {', '.join(ENGINES)}, or an object with a method run, not {engine!r}."
            )
        return engine
    if engine not in ENGINES:
        raise SelectionError(f"engine is one of {', '.join(ENGINES)}, not {engine!r}.")
    module, _, name = ENGINES[engine].partition(":")
    made, problem = None, ""
    try:
        made = getattr(importlib.import_module(module), name)(workers=workers, **options)
    except TypeError as error:
        problem = str(error).partition(") ")[2] or str(error)
    if made is None:
        raise SelectionError(f"The engine {engine} was given options that it does not take: {problem}.")
    return made


def check_watch(watch: Any) -> None:
    """Check what is to be called with the progress.

    Raises:
        SelectionError: If it is no function.
    """
    if watch is not None and not callable(watch):
        raise SelectionError(f"watch is a function that is called with the progress, not {watch!r}.")


def _note(report: RunReport, state: RunProgress, result: UnitResult, pictures: int) -> None:
    if result.outcome == "failed":
        report.failed[result.unit] = result.reason
        state.failed += 1
        if result.stops:
            report.stopped = result.reason
    else:
        report.written += result.outcome == "written"
        report.kept += result.outcome == "kept"
        report.rows += result.rows
        report.pictures += result.pictures
        report.bytes += result.bytes
        state.add(pictures, result.bytes)
    for kind, spent in result.seconds.items():
        report.work[kind] += spent
    state.files_done += 1
    state.note = f"{format_bytes(report.bytes)} made" if report.bytes else ""
