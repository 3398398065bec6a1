"""What a plan takes away from a config that holds the shards of another one: whole shards, or pictures of some.

A shard has the name of where it starts, so that one of fewer cameras or with an earlier end is called the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ..prepare import PreparePlan
from ..prepare.unit import Unit
from ..timesteps import Timesteps


def losses(there: Iterable[str], plan: PreparePlan, before: PreparePlan | None) -> tuple[str, str]:
    """What would be lost of shards, in words, and the first shard that loses something; twice "" if nothing is.

    Args:
        there: Paths of the shards.
        plan: What is to take their place.
        before: What they are; None if nobody knows.
    """
    there, config = set(there), plan.config
    gone = there - {f"{config}/{unit.name}" for unit in plan.units}
    units = {} if before is None else {f"{config}/{unit.name}": unit for unit in before.units}
    fewer = _fewer({name: unit for name, unit in units.items() if name in there - gone}, plan)
    told = []
    if gone:
        rows = 0 if before is None else sum(_rows(units[name], before) for name in gone & units.keys())
        told.append(f"{len(gone):,} shards" + ("" if before is None else f" with {rows:,} rows"))
    if fewer:
        told.append(f"{sum(fewer.values()):,} pictures of {len(fewer):,} {'other ' if gone else ''}shards")
    return " and ".join(told), min((*gone, *fewer), default="")


def _rows(unit: Unit, plan: PreparePlan) -> int:
    return len(unit.rows(plan.options.wanted, plan.options.rows))


def _fewer(units: dict[str, Unit], plan: PreparePlan) -> dict[str, int]:
    """How many pictures of shards a plan has in no shard at all, by name; those alone of which some are lost."""
    now = {f"{plan.config}/{unit.name}": unit for unit in plan.units}
    shrunk = {name: unit for name, unit in units.items() if not _covers(now[name], unit)}
    sequences = defaultdict(list)
    for unit in plan.units if shrunk else ():
        sequences[unit.participant, unit.sequence].append(unit)
    wanted = plan.options.wanted
    lost = {
        name: _lost(unit, sequences[now[name].participant, now[name].sequence], wanted) for name, unit in shrunk.items()
    }
    return {name: count for name, count in lost.items() if count}


def _covers(unit: Unit, other: Unit) -> bool:
    """Whether a unit has all of another one that starts where it does: no earlier end of any of its cameras."""
    ends = {video.camera: min(unit.stop, video.facts.num_frames) for video in unit.videos}
    return all(ends.get(video.camera, 0) >= min(other.stop, video.facts.num_frames) for video in other.videos)


def _lost(unit: Unit, others: list[Unit], wanted: Timesteps) -> int:
    """How many pictures of a unit are in none of others of its sequence."""
    count = 0
    for video in unit.videos:
        due = unit.timesteps(wanted, video.facts.num_frames)
        for other in others:
            for same in (one for one in other.videos if one.camera == video.camera):
                due = np.setdiff1d(due, other.timesteps(wanted, same.facts.num_frames))
        count += len(due)
    return count
