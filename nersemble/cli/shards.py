"""What ``nersemble verify`` and ``status`` do with a folder of prepared shards, which they tell by its plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import SelectionError
from . import options

if TYPE_CHECKING:
    from ..prepare.plan_files import PlanFile
    from ..prepare.plans import PreparePlan
    from ..prepare.target import Target


def plans_of(folder: str, *, quiet: bool = False, **selecting: Any) -> list[PlanFile]:
    """The plans of a folder of shards, by path or URL; none of one that holds the published files.

    Args:
        folder: What was named.
        quiet: Show no note of shards that are passed over.
        selecting: Options that select files of the data set, which shards do not have.

    Raises:
        SelectionError: If one of them is given for shards.
        PrepareError: If there is no plan behind a URL.
        StorageError: If the store behind a URL does not answer.
    """
    from ..prepare.plan_files import find_plan, find_plans

    if "://" in folder:
        plans = find_plans(folder) or [find_plan(folder)]
    else:
        place = Path(folder).expanduser()
        is_plan = place.name == "plan.json" and place.is_file()
        plans = find_plans(place) if place.is_dir() or is_plan else []
    if plans and "://" not in folder and any(place.glob("[0-9][0-9][0-9]/calibration")):
        if not quiet:
            names = ", ".join(one.folder.shown for one in plans)
            typer.echo(f"Note: prepared shards are a folder of their own to this command: {names}.", err=True)
        return []
    given = [f"--{name}" for name, value in selecting.items() if value] if plans else []
    if given:
        raise SelectionError(
            f"{folder} holds prepared shards, which are looked at whole. Leave out {', '.join(given)}."
        )
    return plans


def verify_shards(plans: list[PlanFile], *, deep: bool, workers: int | None, as_json: bool, quiet: bool) -> bool:
    """Check the shards of some plans, and say what was found; whether all are sound."""
    from ..prepare.verify import verify_shards as check
    from ..progress import display, is_terminal

    kind = "none" if quiet else "bars" if is_terminal() else "lines"
    reports = []
    for file in plans:
        plan = file.read()
        with display(kind, verb="Decoding" if deep else "Checking", found="bad") as shown:
            reports.append(check(plan, file.target.text, decode=deep, workers=workers, watch=shown.update))
        if not as_json and not (quiet and reports[-1].sound):
            typer.echo(reports[-1])
    if as_json:
        options.print_json([report.as_dict() for report in reports])
    return all(report.sound for report in reports)


def show_shards(plans: list[PlanFile], as_json: bool) -> None:
    """Say what the shards of some plans are, and which of them are there."""
    told = [_describe(file.read(), file.target) for file in plans]
    if as_json:
        options.print_json(told)
        return
    for one in told:
        typer.echo(f"{one['folder']}: prepared shards")
        typer.echo(f"  {one['plan']}")
        typer.echo(f"  complete       {options.count(one['complete'], 'shard')}")
        rest = f": {options.named(one['to_do'])}" if one["to_do"] else ""
        typer.echo(f"  to do          {options.count(len(one['to_do']), 'shard')}{rest}")


def _describe(plan: PreparePlan, target: Target) -> dict[str, Any]:
    from ..prepare.whole import are_whole

    job = plan.reading_job(target.text)
    to_do = [unit.name for unit, whole in zip(plan.units, are_whole(job, plan.units), strict=True) if not whole]
    return {
        "folder": f"{target.shown}/{plan.config}",
        "plan": str(plan),
        "rows": plan.rows,
        "complete": len(plan.units) - len(to_do),
        "to_do": to_do,
    }
