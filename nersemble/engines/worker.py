"""The process of a worker of the engine ``local``: units come in as lines, and what came of them goes out as lines.

It ends when nobody gives it units any more, so that none is left behind by a driver that was killed.
"""

from __future__ import annotations

import json
import os
import sys

from ..cores import be_worker
from ..prepare.job import Job
from ..prepare.unit import Unit
from ..prepare.work import run_unit

READY = "ready"


def unit_line(unit: Unit) -> bytes:
    """A unit as the line that a worker reads."""
    return json.dumps(unit.as_dict()).encode()


def main() -> None:
    """Read the job, then unit after unit."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stage that prints must not answer
    be_worker()
    lines = sys.stdin.buffer
    job = Job.from_json(lines.readline().decode())
    _say(answers, READY)
    for line in iter(lines.readline, b""):
        _say(answers, run_unit(job, Unit.from_dict(json.loads(line))).to_json())


def _say(answers: object, line: str) -> None:
    answers.write(line + "\n")  # type: ignore[attr-defined]
    answers.flush()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
