"""``nersemble download``: what there is to do, a question, the download, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..layout import sequence_order
from . import options
from .options import Assets, Camera, Folder, Participant, Sequences

if TYPE_CHECKING:
    from ..downloads import DownloadReport, Plan
    from ..progress import Display

#: Something failed or was not tried: the same command, run again, goes on.
INCOMPLETE = 2
#: Names shown one by one in each line of the summary.
SHOWN = 6
WORKERS = 16

MaxRate = Annotated[
    str | None,
    typer.Option("--max-rate", metavar="RATE", help="Bytes a second, such as 500K or 20M.", show_default="no limit"),
]
Patience = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="How long to wait for a server that was reached and is not now.",
        show_default="120",
    ),
]


def download(
    folder: Folder,
    participant: Participant = None,
    sequence: Sequences = None,
    camera: Camera = None,
    assets: Assets = None,
    workers: Annotated[
        int, typer.Option("--workers", "--n_workers", "--n-workers", min=1, max=64, help="Files at a time.")
    ] = WORKERS,
    max_rate: MaxRate = None,
    patience: Patience = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what there is to do, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    refine: Annotated[
        bool, typer.Option("--refine", help="Ask the server for the sizes of some files first, for a better estimate.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch files again that are there.")] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Ask again for files that the server did not have within the last day.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON to stdout: an event a line, or the summary of a dry run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show errors alone.")] = False,
) -> None:
    """Download files, or go on where a download stopped.

    The folder gets the published layout. Without options that select, everything is downloaded: 1.5 TB. Files that are
    there are kept, also those that the official kit downloaded. Exit code 2 if something could not be fetched; the same
    command then fetches only that.
    """
    options.show_notes(quiet=quiet)
    options.stop_on_signals()
    begun = False
    code: int | None = None
    try:
        from ..downloads import parse_rate, plan_download

        rate = None if max_rate is None else parse_rate(max_rate)
        plan = plan_download(
            folder=folder,
            participants=options.written(participant, "--participant"),
            sequences=options.written(sequence, "--sequence"),
            cameras=options.written(camera, "--camera"),
            assets=options.written(assets, "--assets"),
            force=force,
            recheck=recheck,
        )
        code = _prepare(plan, dry_run, refine, yes, as_json, quiet)
        if code is None:
            begun = True
            code = _run(plan, workers, rate, patience, as_json, quiet)
    except KeyboardInterrupt:
        kept = "What was downloaded is kept, and the same command goes on from there."
        typer.echo(f"\nStopped. {kept if begun else 'Nothing was downloaded.'}", err=True)
        if begun and as_json:
            from ..progress import write_json

            write_json(event="end", folder=str(folder), complete=False, stopped="interrupted")
        code = options.STOPPED
    if code:
        raise typer.Exit(code)


def _prepare(plan: Plan, dry_run: bool, refine: bool, yes: bool, as_json: bool, quiet: bool) -> int | None:
    """Say what there is to do, and ask; an exit code if that was all."""
    if refine and plan.todo:
        if not quiet:
            typer.echo("Asking the server for the sizes of some files ...", err=True)
        plan.refine()
    if dry_run:
        if as_json:
            options.print_json(describe(plan))
        else:
            typer.echo(summary(plan))
        return 0
    asking = bool(plan.todo) and not yes
    if asking or not quiet:
        typer.echo(summary(plan), err=True)
    return None if not asking or options.agreed("Nothing was downloaded.") else 1


def _run(plan: Plan, workers: int, max_rate: float | None, patience: float | None, as_json: bool, quiet: bool) -> int:
    """Download, and say what came of it."""
    from ..progress import write_json

    if as_json:
        write_json(event="start", **describe(plan))
    with _display(as_json, quiet) as shown:
        report = plan.run(workers=workers, max_rate=max_rate, patience=patience, watch=shown.update, on_file=shown.file)
    if as_json:
        write_json(event="end", **report.as_dict())
    _tell(report, as_json, quiet)
    return 0 if report.complete else INCOMPLETE


def _display(as_json: bool, quiet: bool) -> Display:
    from ..progress import display, is_terminal

    return display("json" if as_json else "none" if quiet else "bars" if is_terminal() else "lines")


def _tell(report: DownloadReport, as_json: bool, quiet: bool) -> None:
    if not report.complete and (as_json or quiet):
        typer.echo(report, err=True)
    elif not as_json and not quiet:
        typer.echo(report)


# --- the summary ------------------------------------------------------------------------------------------------------


def summary(plan: Plan) -> str:
    """What there is to do, for people."""
    from ..downloads import format_bytes

    lines = [f"{options.count(len(plan.files))} selected, for {plan.folder}"]
    lines += [f"  {label:<14}{_counted(numbers)}" for label, numbers in _counts(plan).items() if numbers]
    unknown = sum(asset.camera is not None for asset in plan.unchecked)  # the tables are compared each time
    unchecked = f", {unknown:,} of them to be compared with the server's" if unknown else ""
    lines.append(f"There already   {options.count(len(plan.done) + len(plan.unchecked))}{unchecked}")
    if plan.partial:
        lines.append(f"Begun           {options.count(len(plan.partial))} ({format_bytes(sum(plan.partial.values()))})")
    if plan.absent:
        lines.append(f"Not on server   {options.count(len(plan.absent))}, as of today; --recheck asks again")
    if plan.todo:
        lines.append(f"To download     {options.count(len(plan.todo))}, {plan.estimate()}")
        lines.append(f"Free space      {format_bytes(plan.free_bytes)}")
    else:
        lines.append("To download     nothing")
    return "\n".join(lines)


def _counts(plan: Plan) -> dict[str, dict[str, int]]:
    counts = plan.counts()
    return {
        "participants": {str(int(name)): number for name, number in counts.participants.items()},
        "sequences": {name: counts.sequences[name] for name in sorted(counts.sequences, key=sequence_order)},
        "cameras": counts.cameras,
        "assets": counts.assets,
    }


def _counted(numbers: Mapping[Any, int]) -> str:
    """``"3: 50 (412), 55 (411), 240 (412)"``: the names with their files, the first of them if they are many."""
    shown = [f"{name} ({number:,})" for name, number in numbers.items()]
    more = len(shown) - SHOWN
    text = ", ".join(shown[:SHOWN])
    return f"{len(shown):,}: {text}" + (f" and {more:,} more" if more > 0 else "")


def describe(plan: Plan) -> dict[str, Any]:
    """What there is to do, for scripts."""
    estimate = plan.estimate()
    return {
        "folder": str(plan.folder),
        "files": len(plan.files),
        **_counts(plan),
        "done": len(plan.done),
        "unchecked": len(plan.unchecked),
        "partial": len(plan.partial),
        "partial_bytes": sum(plan.partial.values()),
        "missing": [str(asset) for asset in plan.absent],
        "todo": len(plan.todo),
        "estimate": {
            "bytes": estimate.bytes,
            "error": estimate.error,
            "known": estimate.known,
            "unknown": estimate.unknown,
        },
        "free_bytes": plan.free_bytes,
    }
