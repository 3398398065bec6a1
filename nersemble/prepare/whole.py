"""Whether shards are there, and are those that a job asks for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ..parallel import map_on_threads
from .job import Job
from .shard import is_undamaged, read_header
from .unit import Unit

#: Shards that are looked at at once.
LOOKS = 16


def is_whole(job: Job, unit: Unit) -> bool:
    """Whether the shard of a unit is there, and is the one that is asked for."""
    try:
        with job.output.open(job.shard_name(unit)) as file:
            header = read_header(file)
            rows = len(unit.rows(job.options.wanted, job.options.rows))
            if header is None or header.unit != job.digest_of(unit) or header.rows != rows:
                return False
            return not job.recheck or is_undamaged(file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except (OSError, pa.ArrowException):
        return False


def are_whole(job: Job, units: Sequence[Unit]) -> list[bool]:
    """The same of many units."""
    return map_on_threads(lambda unit: is_whole(job, unit), units, LOOKS)
