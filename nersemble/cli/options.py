"""Options that several commands share, and how their values are read.

What selects may be repeated and comma-separated.  A value that is empty is refused, since a variable that a shell left
empty would otherwise select everything.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import AudienceWarning, SelectionError

#: What ``--assets`` takes.
ASSETS = (
    "images",
    "backgrounds",
    "calibration",
    "color_calibration",
    "metadata_participants",
    "metadata_sequences",
    "metadata",
    "all",
)
STOPPED = 130

# Text: a Path would make "." of "" and lose a slash of a URL.
Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder of the data set.", show_default=False)]
FolderOrShards = Annotated[
    str,
    typer.Argument(
        metavar="DIR", help="A folder of the data set; or one of prepared shards, by path or URL.", show_default=False
    ),
]
Participant = Annotated[
    list[str] | None,
    typer.Option(
        "--participant", "--participants", metavar="IDS", help="Such as 240 or 240,250-260.", show_default=False
    ),
]
Sequences = Annotated[
    list[str] | None,
    typer.Option(
        "--sequence",
        "--sequences",
        metavar="NAMES",
        help="Such as EMO-1-shout+laugh,'SEN-*'; quote patterns, or the shell expands them.",
        show_default=False,
    ),
]
Camera = Annotated[
    list[str] | None,
    typer.Option("--camera", "--cameras", metavar="SERIALS", help="Such as 222200037.", show_default=False),
]
Assets = Annotated[
    list[str] | None,
    typer.Option("--assets", "--asset", metavar="KINDS", help=f"Of {', '.join(ASSETS[:-1])}.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def written(values: Sequence[str] | None, option: str) -> str | None:
    """The values of an option as one written form of ``nersemble.selection``; None where it was left out.

    Raises:
        SelectionError: If a value is empty.
    """
    if not values:
        return None
    if not all(value.strip(" ,") for value in values):
        raise SelectionError(f"{option} is empty. Leave it out to select all.")
    return ",".join(values)


def was_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter was on the command line, be it with the value that it has by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


class SpacedAssets(TyperCommand):
    """Takes ``--assets images backgrounds`` as the official kit does, for ``--assets images,backgrounds``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        return super().parse_args(ctx, join_assets(args))


def join_assets(words: Sequence[str]) -> list[str]:
    """The words of a command line, with the names of assets that follow ``--assets`` joined to it.

    >>> join_assets(["DIR", "--assets", "images", "backgrounds", "--yes"])
    ['DIR', '--assets', 'images,backgrounds', '--yes']
    """
    joined: list[str] = []
    open_to_more = False  # the last word ends the value of --assets so far
    for place, word in enumerate(words):
        if word == "--":
            return [*joined, *words[place:]]
        if open_to_more and _names_assets(word):
            joined[-1] += f",{word}"
            continue
        open_to_more = word.startswith(("--assets=", "--asset=")) or (
            place > 0 and words[place - 1] in ("--assets", "--asset")
        )
        joined.append(word)
    return joined


def _names_assets(word: str) -> bool:
    return all(name in (*ASSETS, "") for name in word.split(",")) and word.strip(",") != ""


def show_notes(*, quiet: bool = False) -> None:
    """Show warnings of this package as notes on stderr, without the place in the code that gave them.

    Args:
        quiet: Show none, as ``--quiet`` asks for, but who will see faces.
    """

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if not quiet or isinstance(message, AudienceWarning):
            typer.echo(f"Note: {message}", err=True)

    warnings.showwarning = show


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, so that what has come is kept: schedulers send them."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is signal.SIG_DFL:
            signal.signal(name, stop)


def agreed(otherwise: str) -> bool:
    """The answer of the person, or of ``yes |``.

    Args:
        otherwise: What to say if it is no.
    """
    typer.echo("Proceed? [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline() if sys.stdin else ""
    if not answer:
        typer.echo("\nThere is nobody to ask. Add --yes to go on without a question.", err=True)
        return False
    if answer.strip().lower() in ("y", "yes"):
        return True
    typer.echo(otherwise, err=True)
    return False


def print_json(value: Any) -> None:
    """Print JSON to stdout, indented."""
    typer.echo(json.dumps(value, indent=2))


def count(number: int, what: str = "file") -> str:
    """A number and what it counts: ``"1 file"``, ``"1,234 files"``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def in_columns(words: Sequence[str]) -> str:
    """Words for people as ``ls`` lays them out on a terminal; one a line for anything else."""
    if not sys.stdout.isatty() or not words:
        return "\n".join(words)
    width = max(map(len, words)) + 2
    columns = max(1, shutil.get_terminal_size().columns // width)
    rows = -(-len(words) // columns)
    lines = ("".join(word.ljust(width) for word in words[row::rows]).rstrip() for row in range(rows))
    return "\n".join(lines)


def named(items: Sequence[object], most: int = 5) -> str:
    """The first of some things, and how many more there are."""
    shown = ", ".join(map(str, items[:most]))
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"
