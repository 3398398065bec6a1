"""``nersemble status``: what of a selection a folder holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from . import options
from .options import AsJson, Assets, Camera, FolderOrShards, Participant, Sequences

if TYPE_CHECKING:
    from ..downloads import Status

#: Participants shown in the table.
ROWS = 20
_KINDS = ("complete", "partial", "missing", "to_do")


def status(
    folder: FolderOrShards,
    participant: Participant = None,
    sequence: Sequences = None,
    camera: Camera = None,
    assets: Assets = None,
    as_json: AsJson = False,
) -> None:
    """Show what a folder holds and what it lacks.

    Without options, of what was asked for when it was downloaded. Nothing is fetched but the catalogue. Of a folder
    that `nersemble prepare` wrote, what of its plan is made.
    """
    from ..downloads import folder_status
    from . import shards

    options.show_notes()
    plans = shards.plans_of(folder, participant=participant, sequence=sequence, camera=camera, assets=assets)
    if plans:
        shards.show_shards(plans, as_json)
        return
    found = folder_status(
        folder,
        participants=options.written(participant, "--participant"),
        sequences=options.written(sequence, "--sequence"),
        cameras=options.written(camera, "--camera"),
        assets=options.written(assets, "--assets"),
    )
    for name, problem in found.dropped.items():
        typer.echo(f"Note: {name} was asked for before, and is passed over. {problem}", err=True)
    if found.offline:
        typer.echo(f"Note: only the folder itself could be looked at. {found.offline}", err=True)
    if as_json:
        options.print_json(_described(found))
    else:
        typer.echo(_told(found))


def _described(found: Status) -> dict[str, Any]:
    return {
        "folder": str(found.folder),
        "bytes": found.bytes,
        "complete": [str(asset) for asset in found.complete],
        "partial": {str(asset): held for asset, held in found.partial.items()},
        "missing": [str(asset) for asset in found.missing],
        "to_do": [str(asset) for asset in found.to_do],
        "not_selected": [str(asset) for asset in found.not_selected],
        "dropped": found.dropped,
        "offline": found.offline,
    }


def _told(found: Status) -> str:
    from ..downloads import format_bytes

    partly = f", {len(found.partial):,} of them begun ({format_bytes(sum(found.partial.values()))})"
    lines = [
        f"{found.folder}: {format_bytes(found.bytes)}",
        f"  complete       {options.count(len(found.complete))}",
        f"  to do          {options.count(len(found.to_do))}{partly if found.partial else ''}",
        f"  missing        {options.count(len(found.missing))} that the server did not have",
        f"  not selected   {options.count(len(found.not_selected))}",
    ]
    return "\n".join([*lines, *_table(found)])


def _table(found: Status) -> list[str]:
    """Files of each participant, those that lack some first."""
    numbers = {kind: Counter(asset.participant for asset in getattr(found, kind)) for kind in _KINDS}
    people = sorted({person for number in numbers.values() for person in number if person is not None})
    people.sort(key=lambda person: not numbers["to_do"][person])
    if not people:
        return []
    lines = ["", f"{'participant':<12}" + "".join(f"{kind.replace('_', ' '):>10}" for kind in _KINDS)]
    lines += [f"{one:<12}" + "".join(f"{numbers[kind][one]:>10,}" for kind in _KINDS) for one in people[:ROWS]]
    if len(people) > ROWS:
        lines.append(f"and {len(people) - ROWS:,} more, of whom the first are shown that lack something")
    return lines
