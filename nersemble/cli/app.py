"""The ``nersemble`` command: the table of its commands, and the one place where errors become a line and an exit code.

A command's file imports what it needs inside its function, so that ``nersemble --help`` imports none of it; of those
files, that of the command that was named is imported alone.  Errors of this package end as one line on stderr and exit
code 1, wrong usage as exit code 2.  No traceback ever shows local variables: they can hold the access URL.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import NersembleError
from .options import STOPPED, SpacedAssets

_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}
#: Each command: its name, where its function is, and what else its parser should know.
COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("list", "nersemble.cli.list:list_published", {}),
    ("download", "nersemble.cli.download:download", {"cls": SpacedAssets}),
    ("status", "nersemble.cli.status:status", {}),
    ("verify", "nersemble.cli.verify:verify", {}),
    ("prepare", "nersemble.cli.prepare:prepare", {}),
    ("push", "nersemble.cli.push:push", {}),
    ("demo", "nersemble.cli.demo:demo", {}),
    # Mistaken arguments and options reach the function, which refuses them without repeating what may be a URL.
    ("login", "nersemble.cli.login:login", {"context_settings": _ANY}),
    ("autoload", "nersemble.cli.autoload:autoload", {}),
]
_URL_GIVEN = (
    "An access URL does not belong on the command line, where the shell's history and the list of processes show it. "
    "Run `nersemble login`, which asks for it."
)
_HUB_LINK = re.compile(r"(?:--\w+=)?https://(?:huggingface\.co|hf\.co)/datasets/[\w./-]+")
_LINK_GIVEN = (
    "A data set of the hub is named OWNER/NAME, such as my-lab/heads, not by its link. Leave out "
    "https://huggingface.co/datasets/."
)


def main() -> None:
    """Run the command line on ``sys.argv`` and exit."""
    # Before the parser, whose messages repeat what they do not understand.
    urls = [argument for argument in sys.argv[1:] if re.search("https?:", argument, re.IGNORECASE)]
    if urls:
        _fail(_LINK_GIVEN if all(map(_HUB_LINK.fullmatch, urls)) else _URL_GIVEN, code=2)
    problem = ""
    try:
        build(sys.argv[1:])(prog_name="nersemble")
    except NersembleError as error:
        problem = str(error)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    if problem:
        _fail(problem)


def build(words: Sequence[str] = ()) -> typer.Typer:
    """The command line with every command of ``COMMANDS``, or the one that its first words name."""
    # Plain help needs no rich; pretty exceptions would print local variables.
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(_options)
    # The options before a command take no value, so that the first other word is its name.
    named = next((word for word in words if not word.startswith("-")), "")
    for name, place, settings in [one for one in COMMANDS if one[0] == named] or COMMANDS:
        module, _, function = place.partition(":")
        app.command(name, **settings)(getattr(importlib.import_module(module), function))
    return app


def _fail(message: str, *, code: int = 1) -> NoReturn:
    typer.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nersemble {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """NeRSemble v2 for Hugging Face datasets.

    Start with `nersemble demo`, which needs no access to the data.
    """
