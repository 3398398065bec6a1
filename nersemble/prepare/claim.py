"""Whose a folder of shards is: that of the plan that lies in it.

Whoever would mix other shards with its own is refused, and a run stops where another one took the folder meanwhile, as
it may while there is no shard yet.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import PrepareError, SelectionError, StorageError
from ..layout import AssetPath
from .job import Job
from .plans import PLAN_FILE, PreparePlan
from .scratch import sweep_scratch
from .target import Target
from .unit import Unit
from .whole import are_whole

#: Bytes of a plan in which its hash stands, and how.
_HEAD, _HASH = 256, re.compile(rb'"hash": "(\w+)"')
_INSTEAD = "Give another folder, or another config_name= (--config-name); or remove it, if it is not needed any more."


class FolderTakenError(PrepareError):
    """Another run has taken the folder of this one."""


def claim(plan: PreparePlan, target: Target) -> None:
    """Keep a plan beside its shards.

    Raises:
        PrepareError: If the folder holds shards that it would write over or leave behind.
        StorageError: If the store behind a URL does not answer.
    """
    problem = refusal(plan, target)
    if problem:
        raise PrepareError(problem)
    name, text = f"{plan.config}/{PLAN_FILE}", plan.to_json()
    held = _held(target, name)
    if held != text.encode():
        target.write_text(name, text)
        if held is not None and _problem(plan, target, held) and _shards(plan, target):
            target.write_text(name, held.decode("utf-8", "replace"))
            raise PrepareError(
                f"Another run, of a plan with other options, has just begun in {target.shown}/{plan.config}. {_INSTEAD}"
            )
    target.sweep(plan.config)
    sweep_scratch()


def refusal(plan: PreparePlan, target: Target) -> str:
    """Why a plan will not be run into a folder, which holds shards that are not its own; "" if it will."""
    held = _held(target, f"{plan.config}/{PLAN_FILE}")
    if held == plan.to_json().encode():
        return ""
    problem = _problem(plan, target, held)
    if not problem or not _shards(plan, target):
        return ""
    return f"{target.shown}/{plan.config} {problem}. {_INSTEAD}"


def check_claim(job: Job, unit: Unit) -> None:
    """Check that the folder of a job is still that of its plan, or of one that has the same unit, if a plan lies there.

    Raises:
        FolderTakenError: If it is another one's.
        StorageError: If the store behind a URL does not answer.
    """
    name = f"{job.config}/{PLAN_FILE}"
    head = _held(job.output, name, _HEAD) if job.plan else None
    found = head and _HASH.search(head)
    if not head or (found and found[1].decode() == job.plan):
        return
    plan = _plan_in(job.target, name, head)
    theirs = next((one for one in plan.units if one.name == unit.name), None)
    if _ways(plan) != _ways(job) or theirs is None or job.digest_of(theirs) != job.digest_of(unit):
        raise FolderTakenError(
            f"Another run, of a plan with other options or another selection, has taken {job.output.shown}/"
            f"{job.config}. This one stops, since their shards would be mixed: give each a folder of its own, or "
            "another config_name= (--config-name)."
        )


@lru_cache(maxsize=1)
def _plan_in(target: str, name: str, head: bytes) -> PreparePlan:
    """The plan in a folder, which is read once as long as it begins so."""
    return PreparePlan.from_json(_held(Target(target), name) or b"")


def _ways(one: PreparePlan | Job) -> tuple[object, ...]:
    """How shards are made."""
    return one.options, one.stages_told, one.encoder


def _shards(plan: PreparePlan, target: Target) -> list[str]:
    return [name for name in target.names(plan.config) if name.endswith(".parquet")]


def _held(target: Target, name: str, most: int = -1) -> bytes | None:
    """The content of a small file of a target, or ``most`` bytes of it; None if it is not there."""
    problem = ""
    try:
        with target.open(name) as file:
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except StorageError:
        raise
    except OSError as error:
        problem = str(error.strerror or error)
    raise StorageError(f"{target.shown}/{name} cannot be read: {problem}.")


def _problem(plan: PreparePlan, target: Target, held: bytes | None) -> str:
    """Why a plan does not go on with what is there beside the file ``held``, or without one; "" if it does."""
    before, damaged = None, f"no {PLAN_FILE}"
    if held is not None:
        try:
            before = PreparePlan.from_json(held)
        except (PrepareError, SelectionError):
            damaged = f"a {PLAN_FILE} that was changed, damaged or written by another version"
    return _unclaimed(plan, target, damaged) if before is None else _conflict(plan, before)


def _unclaimed(plan: PreparePlan, target: Target, beside: str) -> str:
    """Why a plan does not go on with shards that no plan lies beside; "" if they are its own."""
    job, units = plan.reading_job(target.text), {f"{plan.config}/{unit.name}": unit for unit in plan.units}
    shards = _shards(plan, target)
    ours = [name for name in shards if name in units]
    whole = dict(zip(ours, are_whole(job, [units[name] for name in ours]), strict=True))
    strange = next((name for name in shards if not whole.get(name)), "")
    if not strange:
        return ""
    return f"holds {beside}, but files such as {strange}, so that nobody knows how they were made: not by this plan"


def _conflict(plan: PreparePlan, before: PreparePlan) -> str:
    """Why a plan does not go on with the shards of another one, ``before``; "" if it does.

    Units may have more cameras than before, and fewer where ``without=`` named their videos: those are made anew.
    """
    if before.options != plan.options or before.stages_told != plan.stages_told:
        what = "options" if before.options != plan.options else "stages"
        return f"holds shards that were made with other {what}: plan {before.hash}, not {plan.hash}"
    if before.encoder != plan.encoder:
        return f"holds pictures that {before.encoder} encoded, and {plan.encoder} would encode the others"
    now = {unit.name: unit for unit in plan.units}
    for unit in before.units:
        same = now.get(unit.name)
        if same is None or same.stop != unit.stop or not _videos(unit) <= _videos(same) | plan.left_out:
            return f"holds shards of another selection, such as {unit.name}, which this plan does not have as they are"
    return ""


def _videos(unit: Unit) -> set[AssetPath]:
    return {unit.asset(video) for video in unit.videos}
