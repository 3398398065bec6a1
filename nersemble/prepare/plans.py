"""``PreparePlan``: what is to be prepared, as pure data: a selection, options, and the units of the work."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import PrepareError
from ..layout import AssetPath
from .job import Job
from .names import check_config
from .options import PrepareOptions
from .packing import pack_stages
from .stages import Stage
from .unit import Unit, digest

if TYPE_CHECKING:
    from .report import RunReport
    from .verify import ShardReport

#: Name of a plan beside its shards.
PLAN_FILE = "plan.json"
FORMAT = 2


@dataclass(frozen=True)
class PreparePlan:
    """What is to be prepared.

    Attributes:
        config: Name of the config, and of the folder of its shards.
        options: How pictures are given.
        units: The work, in the order of the data set's rows: participant, name of the sequence, time.
        selected: What was selected, in words: participants, sequences, cameras.
        encoder: What encodes pictures.
        package: Version of this package that planned it.
        stages_told: What is kept of each stage.
        stages: The stages themselves; they are not part of a plan read from a file.
        data_dir: The folder that videos are read from, where it is not what the access URL names; not part of the plan.
        from_cache: Whether they are read from the cache of `datasets`; not part of the plan.
        left_out: Videos that ``without=`` named; not part of the plan.
    """

    config: str
    options: PrepareOptions
    units: tuple[Unit, ...]
    selected: dict[str, str]
    encoder: str
    package: str = __version__
    stages_told: tuple[dict[str, Any], ...] = ()
    stages: tuple[Stage, ...] = field(default=(), compare=False)
    data_dir: str | None = field(default=None, compare=False)
    from_cache: bool = field(default=False, compare=False)
    left_out: frozenset[AssetPath] = field(default=frozenset(), compare=False)

    # --- what is in it ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """How many rows there will be."""
        return sum(len(unit.rows(self.options.wanted, self.options.rows)) for unit in self.units)

    @property
    def pictures(self) -> int:
        """How many pictures there will be."""
        return sum(unit.pictures(self.options.wanted) for unit in self.units)

    @property
    def participants(self) -> tuple[int, ...]:
        """Their ids, ascending."""
        return tuple(sorted({unit.participant for unit in self.units}))

    @property
    def hash(self) -> str:
        """What tells it from any other plan; the same for equal inputs, wherever the videos lie."""
        return digest({**self.as_dict(), "hash": None})

    @property
    def columns(self) -> dict[str, str]:
        """Columns that stages add, with their kinds."""
        return {name: kind for told in self.stages_told for name, kind in told["columns"].items()}

    def __str__(self) -> str:
        return (
            f"Plan {self.hash} of {self.config}: {self.rows:,} rows, {self.pictures:,} pictures, {len(self.units):,} "
            f"shards, {len(self.participants):,} participants"
        )

    def job(self, target: str | os.PathLike[str]) -> Job:
        """What a worker has to know.

        Raises:
            PrepareError: If the plan was read from a file, and needs stages that are not at hand.
        """
        if len(self.stages) != len(self.stages_told):
            names = ", ".join(told["name"] for told in self.stages_told)
            raise PrepareError(
                f"The plan has stages that its file cannot hold: {names}. Give them to "
                "load_plan(..., stages=[...]), or as --stage MODULE:FUNCTION."
            )
        return replace(
            self.reading_job(target),
            data_dir=self.data_dir,
            from_cache=self.from_cache,
            stages=pack_stages(self.stages) if self.stages else "",
            plan=self.hash,
        )

    def reading_job(self, target: str | os.PathLike[str]) -> Job:
        """What tells its shards from others: a plan read from a file has that too."""
        text = os.fspath(target)
        return Job(
            options=self.options,
            encoder=self.encoder,
            config=self.config,
            target=text if "://" in text else os.path.abspath(os.path.expanduser(text)),
            columns=self.columns,
            stages_told=self.stages_told,
        )

    # --- as JSON ------------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: without paths of this machine."""
        return {
            "format": FORMAT,
            "config": self.config,
            "selected": self.selected,
            "options": self.options.as_dict(),
            "encoder": self.encoder,
            "package": self.package,
            "stages": list(self.stages_told),
            "units": [unit.as_dict() for unit in self.units],
        }

    def to_json(self) -> str:
        """As text, its hash included."""
        return json.dumps({"hash": self.hash, **self.as_dict()}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> PreparePlan:
        """Read back what ``to_json`` gave.

        Raises:
            PrepareError: If it is none, was changed, or is of a newer version of this package.
        """
        try:
            held = json.loads(text)
            if held["format"] != FORMAT:
                raise PrepareError(f"The plan was written by nersemble {held['package']}, which this one cannot read.")
            plan = cls(
                config=check_config(held["config"]),
                options=PrepareOptions.from_dict(held["options"]),
                units=tuple(Unit.from_dict(unit) for unit in held["units"]),
                selected=held["selected"],
                encoder=held["encoder"],
                package=held["package"],
                stages_told=tuple(held["stages"]),
            )
            plan.columns  # noqa: B018 - of stages that are none
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            problem = "" if plan.hash == held.get("hash") else "it was changed after it was written"
        if problem:
            raise PrepareError(
                f"This is no plan: {problem}. Other options are planned anew, for another folder. To go on beside the "
                "shards of this one, plan with the options of before and run that into their folder: it writes the "
                "plan anew, and keeps them."
            )
        return plan

    # --- what is done with it -----------------------------------------------------------------------------------------

    def run(self, folder: str | os.PathLike[str], **options: Any) -> RunReport:
        """Make the shards that are not there; as ``nersemble.prepare.run.run_plan``."""
        from .run import run_plan

        return run_plan(self, folder, **options)

    def verify(self, folder: str | os.PathLike[str], **options: Any) -> ShardReport:
        """Check shards against the plan; as ``nersemble.prepare.verify.verify_shards``."""
        from .verify import verify_shards

        return verify_shards(self, folder, **options)

    def push(self, folder: str | os.PathLike[str], repo_id: str, **options: Any) -> Any:
        """Push shards to a private data set of the hub; as ``nersemble.hub.push``."""
        # The hub comes after this room in the order of imports.
        return importlib.import_module("nersemble.hub").push(self, folder, repo_id, **options)
