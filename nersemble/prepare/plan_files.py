"""Plans that lie beside their shards, in a folder or behind a URL."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import PrepareError, StorageError
from .plans import PLAN_FILE, PreparePlan
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


def load_plan(folder: str | os.PathLike[str]) -> PreparePlan:
    """Read the plan of a folder of shards, or a plan's file.

    Args:
        folder: A path, or a URL that fsspec knows.

    Raises:
        PrepareError: If there is none, or several.
        StorageError: If the store behind a URL does not answer.
    """
    return find_plan(folder).read()


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
