"""Whether a run ends before its units do: the server failed, not their videos.

Failures in a row say so, as of downloads; whether another video is served tells those of a few videos from those of
all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import NersembleError, TransportError
from .job import Job, UnitResult
from .unit import Unit

#: Failures in a row, for each worker, after which the server may be failing altogether; of as many workers at least.
FAILURES, WORKERS = 3, 4
#: Others that the server is asked for then.
ASKED = 3
#: Failures in a row after which it ends in any case: workers on other machines may not reach what this one does.
MOST_FAILURES = 1000


class Halt:
    """Takes note of what comes of units.

    Args:
        workers: How many units are under way at a time.
        serves_others: Whether the server answers for a video far from those of the units named.
    """

    def __init__(self, workers: int, serves_others: Callable[[set[str]], bool]) -> None:
        self._enough = FAILURES * max(workers, WORKERS)
        self._serves_others = serves_others
        self._in_a_row: list[str] = []

    def reason_after(self, result: UnitResult) -> str:
        """Why all ends after what came of a unit; "" if it goes on."""
        if not result.unserved:
            if result.outcome != "kept":  # for which nothing was asked of the server
                self._in_a_row.clear()
            return ""
        self._in_a_row.append(result.unit)
        count = len(self._in_a_row)
        if count % self._enough:
            return ""
        others = "" if self._serves_others(set(self._in_a_row)) else ", and others too"
        if not others and count < MOST_FAILURES:
            return ""
        return f"the server failed {count} units in a row{others}; the last one so: {result.reason}"


def asks_elsewhere(job: Job, units: Sequence[Unit]) -> Callable[[set[str]], bool]:
    """What ``Halt`` asks, of a run of these units."""

    def serves_others(failed: set[str]) -> bool:
        gone = [unit for unit in units if unit.name in failed]
        people, sequences = {one.participant for one in gone}, {(one.participant, one.sequence) for one in gone}
        others = [unit for unit in units if unit.name not in failed] or gone
        others.sort(key=lambda one: (one.participant in people, (one.participant, one.sequence) in sequences, one.name))
        # Not the next ones to each other: a few videos alone may be what the server fails.
        far = [one for one in others if one.participant not in people] or others
        return any(_is_served(job, one) for one in far[:: max(1, len(far) // ASKED)][:ASKED])

    return serves_others


def _is_served(job: Job, unit: Unit) -> bool:
    """Whether the server answers for a video, be it that it does not have it."""
    try:
        job.capture.video_facts(unit.asset(unit.videos[0]))
    except TransportError:
        return False
    except NersembleError:
        pass
    return True
