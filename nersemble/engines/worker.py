"""What a worker does, wherever it is; and the process that is one of the engine ``local``.

Units come to that process as lines of its standard input, and what came of them goes out as lines of its standard
output.  It ends when nobody gives it units any more, so that none is left behind by a driver that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from .. import __version__
from ..capture import forget_calibrations
from ..cores import be_worker
from ..prepare.job import Job, UnitResult
from ..prepare.unit import Unit
from ..prepare.work import run_unit

READY = "ready"


def unit_line(unit: Unit) -> bytes:
    """A unit as the line that a worker reads."""
    return json.dumps(unit.as_dict()).encode()


def make_for(version: str, told: tuple[str, str], unit: dict[str, Any]) -> UnitResult:
    """Make a unit for a driver on another machine.

    Args:
        version: Of this package, there.
        told: What names the run, and its job as JSON.
        unit: The unit as JSON holds it.

    Returns:
        As ``run_unit``; what stops the run names this machine, whose access URL or disk it is.
    """
    be_worker()
    made = Unit.from_dict(unit)
    if version != __version__:
        problem = f"nersemble is {__version__} there, and {version} where the run was started. Install one version"
        result = UnitResult(made.name, "failed", reason=problem, stops=True)
    else:
        result = run_unit(_job(*told), made)
    if not result.stops:
        return result
    return replace(result, reason=f"On {platform.node()}, where a worker ran: {result.reason}")


@lru_cache(maxsize=1)
def _job(run: str, text: str) -> Job:
    """The job of a run; one that follows it in this process reads calibrations anew."""
    forget_calibrations()
    return Job.from_json(text)


def main(make: Callable[[Job, Unit], UnitResult] = run_unit) -> None:
    """Read the job, then unit after unit.

    Args:
        make: Makes a unit.
    """
    # A stage may print and read: it does neither to the driver.
    answers, lines = os.dup(1), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    be_worker()
    text = lines.readline()
    if not text:  # the driver has gone, here as below
        return
    job = Job.from_json(text.decode())
    with contextlib.suppress(BrokenPipeError):
        _say(answers, READY)
        for line in iter(lines.readline, b""):
            _say(answers, make(job, Unit.from_dict(json.loads(line))).to_json())


def _say(answers: int, line: str) -> None:
    left = line.encode() + b"\n"
    while left:
        left = left[os.write(answers, left) :]


if __name__ == "__main__":
    main()
