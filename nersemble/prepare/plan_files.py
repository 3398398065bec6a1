"""Plans that lie beside their shards, in a folder or behind a URL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import PrepareError, StorageError
from ..written import switch_of
from .fingerprint import describe_stage
from .planning import source_folder
from .plans import PLAN_FILE, PreparePlan
from .stages import Stage, check_stages
from .target import Target


@dataclass(frozen=True)
class PlanFile:
    """The file of a plan.

    Attributes:
        folder: The folder of its config, which it lies in with its shards.
        name: What it is called there.
    """

    folder: Target
    name: str = PLAN_FILE

    @property
    def target(self) -> Target:
        """Where the shards are, as it was given to ``run``.

        Raises:
            SelectionError: If the plan does not lie where ``run`` puts it.
        """
        return self.folder.parent

    def read(self) -> PreparePlan:
        """The plan.

        Raises:
            PrepareError: If it cannot be read.
            StorageError: If the store behind a URL does not answer.
        """
        problem = ""
        try:
            with self.folder.open(self.name) as file:
                return PreparePlan.from_json(file.read())
        except PrepareError as error:
            problem = f": {error}"
        except StorageError:
            raise
        except OSError as error:
            problem = f" cannot be read: {error.strerror or error}."
        raise PrepareError(f"{self.folder.shown}/{self.name}{problem}")


def load_plan(
    folder: str | os.PathLike[str],
    *,
    stages: Sequence[Stage] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    from_cache: bool = False,
) -> PreparePlan:
    """Read the plan of a folder of shards, or a plan's file, with what only this machine knows.

    Args:
        folder: A path, or a URL that fsspec knows.
        stages: The stages that it was planned with, without which it can be verified and pushed, but not run.
        data_dir: A folder in the published layout to read; by default what the access URL names.
        from_cache: Read what ``load_dataset`` downloaded into its cache.

    Raises:
        PrepareError: If there is none, or several, or it was planned with other stages.
        SelectionError: If a stage or ``from_cache`` is none, or ``data_dir`` and ``from_cache`` are both given.
        AssetNotFoundError: If nothing was downloaded into the cache.
        StorageError: If the store behind a URL does not answer.
    """
    plan, functions = find_plan(folder).read(), check_stages(stages)
    if functions and tuple(map(describe_stage, functions)) != plan.stages_told:
        names = ", ".join(told["name"] for told in plan.stages_told) or "none"
        raise PrepareError(
            f"The plan was made with other stages than these, or before they changed: {names}. Give those, or plan "
            "again."
        )
    from_cache = switch_of(from_cache, "from_cache")
    source = source_folder(data_dir, from_cache)
    return replace(plan, stages=functions, data_dir=None if data_dir is None else source, from_cache=from_cache)


def find_plan(folder: str | os.PathLike[str]) -> PlanFile:
    """The only plan of ``find_plans``.

    Raises:
        PrepareError: If there is none, or several.
        StorageError: If the store behind a URL does not answer.
    """
    found, place = find_plans(folder), os.fspath(folder)
    place = Target(folder).shown if "://" in place else place
    if not found:
        raise PrepareError(f"There is no {PLAN_FILE} in {place}. Is it a folder that `nersemble prepare` wrote?")
    if len(found) > 1:
        names = ", ".join(one.folder.shown.rpartition("/")[2] for one in found)
        raise PrepareError(f"{place} holds several configs: {names}. Name one: {found[0].folder.shown}.")
    return found[0]


def find_plans(folder: str | os.PathLike[str]) -> list[PlanFile]:
    """The plans in a folder of shards, by path or URL, or in the folder of one config; or the one whose file it is.

    Raises:
        StorageError: If the store behind a URL does not answer.
    """
    place = Target(folder)
    if place.is_file:
        return [PlanFile(place.parent, place.text.rpartition("/")[2])]
    return [PlanFile(one) for one in (place, *place.folders()) if one.has(PLAN_FILE)]
