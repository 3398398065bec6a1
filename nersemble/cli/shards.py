"""What ``nersemble verify`` and ``status`` do with a folder of prepared shards, which they tell by its plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import SelectionError
from . import options

if TYPE_CHECKING:
    from ..prepare.plans import PreparePlan


def plans_of(folder: str, **selecting: Any) -> list[Path]:
    """The files of the plans of a folder of shards; none of one that holds the published files.

    Args:
        folder: What was named.
        selecting: Options that select files of the data set, which shards do not have.

    Raises:
        SelectionError: If one of them is given for shards.
    """
    from ..prepare.plans import find_plans

    place = Path(folder).expanduser()
    is_plan = place.name == "plan.json" and place.is_file()
    plans = find_plans(place) if place.is_dir() or is_plan else []
    if plans and any(place.glob("[0-9][0-9][0-9]/calibration")):
        names = ", ".join(str(path.parent) for path in plans)
        typer.echo(f"Note: prepared shards are a folder of their own to this command: {names}.", err=True)
        return []
    given = [f"--{name}" for name, value in selecting.items() if value] if plans else []
    if given:
        raise SelectionError(
            f"{folder} holds prepared shards, which are looked at whole. Leave out {', '.join(given)}."
        )
    return plans


def verify_shards(plans: list[Path], *, deep: bool, workers: int | None, as_json: bool, quiet: bool) -> bool:
    """Check the shards of some plans, and say what was found; whether all are sound."""
    from ..prepare.plans import load_plan
    from ..prepare.verify import verify_shards as check
    from ..progress import display, is_terminal

    kind = "none" if quiet else "bars" if is_terminal() else "lines"
    reports = []
    for file in plans:
        plan = load_plan(file)
        with display(kind, verb="Decoding" if deep else "Checking", found="bad") as shown:
            reports.append(check(plan, file.parent.parent, decode=deep, workers=workers, watch=shown.update))
        if not as_json and not (quiet and reports[-1].sound):
            typer.echo(reports[-1])
    if as_json:
        options.print_json([report.as_dict() for report in reports])
    return all(report.sound for report in reports)


def show_shards(plans: list[Path], as_json: bool) -> None:
    """Say what the shards of some plans are, and which of them are there."""
    from ..prepare.plans import load_plan

    told = [_describe(load_plan(file), file.parent.parent) for file in plans]
    if as_json:
        options.print_json(told)
        return
    for one in told:
        typer.echo(f"{one['folder']}: prepared shards")
        typer.echo(f"  {one['plan']}")
        typer.echo(f"  complete       {options.count(one['complete'], 'shard')}")
        rest = f": {options.named(one['to_do'])}" if one["to_do"] else ""
        typer.echo(f"  to do          {options.count(len(one['to_do']), 'shard')}{rest}")


def _describe(plan: PreparePlan, folder: Path) -> dict[str, Any]:
    from ..prepare.work import is_whole

    job = plan.reading_job(folder)
    to_do = [unit.name for unit in plan.units if not is_whole(job, unit)]
    return {
        "folder": str(folder / plan.config),
        "plan": str(plan),
        "rows": plan.rows,
        "complete": len(plan.units) - len(to_do),
        "to_do": to_do,
    }
