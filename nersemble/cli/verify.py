"""``nersemble verify``: what is damaged in a folder, and with ``--deep`` whether every frame decodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .options import AsJson, FolderOrShards, Participant

if TYPE_CHECKING:
    from ..downloads.verify import VerifyReport

#: Found something: as with `download`, the command worked and the folder is not complete.
FOUND = 2


def verify(
    folder: FolderOrShards,
    participant: Participant = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every video, picture and matrix too.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "--n_workers",
            "--n-workers",
            min=1,
            help="Processes that decode.",
            show_default="one a processor",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show what is found alone.")] = False,
) -> None:
    """Check the files in a folder.

    Sizes are compared with those remembered from the download, else with the server's; a file whose size nobody knows
    is looked at. What is found damaged is fetched again by the next `nersemble download`. Of a folder that `nersemble
    prepare` wrote, shards are compared with their plan. Exit code 2 if anything is wrong.
    """
    from ..downloads.verify import verify_folder
    from ..progress import display, is_terminal
    from . import shards

    options.show_notes(quiet=quiet)
    options.stop_on_signals()
    plans = shards.plans_of(folder, quiet=quiet, participant=participant)
    if plans:
        if not shards.verify_shards(plans, deep=deep, workers=workers, as_json=as_json, quiet=quiet):
            raise typer.Exit(FOUND)
        return
    kind = "none" if quiet else "bars" if is_terminal() else "lines"
    report = None
    try:
        with display(kind, verb="Decoding" if deep else "Checking", found="bad") as shown:
            report = verify_folder(
                folder,
                participants=options.written(participant, "--participant"),
                deep=deep,
                workers=workers,
                watch=shown.update,
            )
    except KeyboardInterrupt:
        typer.echo(
            "Stopped. What was found damaged until now is noted, and fetched again by the next download.", err=True
        )
    if report is None:
        raise typer.Exit(options.STOPPED)
    if as_json:
        options.print_json(report.as_dict())
    else:
        _print(report, quiet)
    if not report.sound:
        raise typer.Exit(FOUND)


def _print(report: VerifyReport, quiet: bool) -> None:
    for found in report.findings:
        typer.echo(found)
    if quiet:
        return
    ways = {
        "compared with the sizes remembered from their download": report.by_record,
        "compared with the server's sizes": report.by_server,
        "looked at, since their sizes are not known": report.by_structure,
        "decoded from start to end": report.decoded,
    }
    typer.echo(f"{options.count(report.files)} checked: {_sizes(report)}")
    for way, number in ways.items():
        if number:
            typer.echo(f"  {number:,} {way}")
    if report.not_asked:
        typer.echo(f"  The server was not asked for sizes: {report.not_asked}")
    if report.partial:
        typer.echo(f"{options.count(len(report.partial))} half downloaded: {options.named(list(report.partial))}")
    if report.strays:
        typer.echo(f"{options.count(len(report.strays), 'stray')}, not of the data set: {options.named(report.strays)}")
    if report.sound:
        typer.echo("Nothing wrong was found.")
    else:
        wrong = options.count(len(report.findings))
        typer.echo(f"{wrong} found damaged. `nersemble download` into the same folder fetches them again.")


def _sizes(report: VerifyReport) -> str:
    from ..downloads import format_bytes

    return f"{format_bytes(report.bytes)} in {report.seconds:.1f} s"
