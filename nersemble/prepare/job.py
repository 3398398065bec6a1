"""A job: all that a worker has to know of a plan to make any of its units, as JSON; and what came of a unit.

It holds no access URL: each worker finds its own.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..capture import Capture
from .options import PrepareOptions
from .packing import unpack_stages
from .stages import Stage
from .target import Target
from .unit import UNIT_VERSION, Unit, digest


@dataclass(frozen=True)
class Job:
    """What to make of units, and where.

    Attributes:
        options: How pictures are given.
        encoder: What encodes them.
        config: Folder of the shards below the target, and config name once they are pushed.
        target: Folder or URL that shards are written below.
        data_dir: Folder that the videos are read from; None for what the worker's access URL names.
        from_cache: Read them from the cache of `datasets` instead.
        recheck: Read shards that are there as a whole, rather than their footers, to see whether they are.
        columns: Columns that stages add, with their kinds.
        stages_told: What a plan keeps of each stage.
        stages: The stages, packed; "" if there are none.
        plan: Hash of the plan, which the folder of the shards is to belong to; "" if whose it is does not matter.
    """

    options: PrepareOptions
    encoder: str
    config: str
    target: str
    data_dir: str | None = None
    from_cache: bool = False
    recheck: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    stages_told: tuple[dict[str, Any], ...] = ()
    stages: str = ""
    plan: str = ""

    def digest_of(self, unit: Unit) -> str:
        """What tells the shard of a unit from one that was made in another way."""
        asked = {
            "version": UNIT_VERSION,
            "options": self.options.as_dict(),
            "encoder": self.encoder,
            "stages": list(self.stages_told),
            "unit": unit.as_dict(),
        }
        return digest(asked)

    def shard_name(self, unit: Unit) -> str:
        """Path of the shard of a unit below the target."""
        return f"{self.config}/{unit.name}"

    @cached_property
    def capture(self) -> Capture:
        """Where the videos are read."""
        if self.from_cache:
            return Capture(str(cache_folder()))
        if self.data_dir is not None:
            return Capture(os.path.realpath(os.path.expanduser(self.data_dir)))
        from ..filesystem import filesystem

        return Capture(filesystem().local_folder)

    @cached_property
    def output(self) -> Target:
        """Where shards are written."""
        return Target(self.target)

    @cached_property
    def functions(self) -> tuple[Stage, ...]:
        """The stages, unpacked."""
        return unpack_stages(self.stages) if self.stages else ()

    def to_json(self) -> str:
        """As text for a worker."""
        return json.dumps({**asdict(self), "options": self.options.as_dict()})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read back what ``to_json`` gave."""
        held = json.loads(text)
        options = PrepareOptions.from_dict(held.pop("options"))
        return cls(options=options, stages_told=tuple(held.pop("stages_told")), **held)


@dataclass(frozen=True)
class UnitResult:
    """What came of a unit.

    Attributes:
        unit: Its name.
        outcome: ``written``, ``kept`` (its shard was there, whole) or ``failed``.
        rows: Rows of its shard.
        pictures: Pictures that were made.
        bytes: Length of its shard.
        reason: Why it failed.
        stops: Whether every other unit would fail for the same reason: no access, a full disk.
        unserved: Whether it failed for the server, which could not be reached or broke off.
        seconds: How long each kind of work took.
    """

    unit: str
    outcome: str
    rows: int = 0
    pictures: int = 0
    bytes: int = 0
    reason: str = ""
    stops: bool = False
    unserved: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text from a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> UnitResult:
        """Read back what ``to_json`` gave."""
        return cls(**json.loads(text))

    def failed(self, reason: str) -> UnitResult:
        """The same unit, failed."""
        return replace(self, outcome="failed", reason=reason)


def cache_folder() -> Path:
    """The folder in the cache of `datasets` that downloads of the published videos are kept in."""
    import datasets

    from ..access import root_name

    return Path(datasets.config.DOWNLOADED_DATASETS_PATH) / "nersemble" / root_name()
