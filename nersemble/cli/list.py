"""``nersemble list``: who is published, or which sequences somebody has."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options
from .options import AsJson, Participant


def list_published(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARTICIPANT", help="The same as --participant.", show_default=False),
    ] = None,
    participant: Participant = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the server whether its catalogue changed today.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the participants, or the sequences of some of them.

    The catalogue is asked for once a day. What it lists can still be missing on the server.
    """
    from ..catalog_cache import published_catalog
    from ..selection import select

    options.show_notes()
    wanted = options.written([*(given or ()), *(participant or ())], "--participant")
    catalog = published_catalog(refresh=refresh)
    if wanted is None:
        if as_json:
            options.print_json({"participants": list(catalog.participants)})
        else:
            typer.echo(options.in_columns([str(number) for number in catalog.participants]))
        return
    held = {number: list(catalog.sequences_of[number]) for number in select(catalog, wanted).participants}
    if as_json:
        options.print_json({"sequences": held})
    elif len(held) == 1:
        (names,) = held.values()
        typer.echo("\n".join(names))
    else:
        for number, names in held.items():
            typer.echo(f"{number}: {' '.join(names)}")
