"""``nersemble login``: ask for the access URL, check it, store it.

The URL comes from a prompt that does not show it or from standard input, never from an argument, and nothing is written
before the server has answered with its catalogue.
"""

from __future__ import annotations

import getpass
import sys
import warnings

import typer

from ..access import KEYS, AccessURL, find_access, write_access
from ..envfile import parse_entries
from ..errors import AccessError

_ARGUMENT_GIVEN = (
    "Error: `nersemble login` takes no argument: the access URL does not belong on the command line, where the shell's "
    "history and the list of processes show it. Run `nersemble login` alone, which asks for it."
)
_NOTHING_GIVEN = "No access URL was given. Paste the one from the approval mail, or run `nersemble login < file`."
_CANNOT_HIDE = "This terminal cannot hide what is typed. Put the URL into a file and run `nersemble login < file`."


def login(context: typer.Context) -> None:
    """Ask for the access URL, check it, and store it for this user.

    Paste the URL from the approval mail, or its whole line; what is typed is not shown. Without a terminal, one line of
    standard input is read. The URL is stored only once the server has answered.
    """
    if context.args:
        typer.echo(_ARGUMENT_GIVEN, err=True)
        raise typer.Exit(2)
    # The text goes from call to call without a name, so that no frame an error passes through holds it.
    access = AccessURL.parse(_read(), source="The access URL given")

    from ..filesystem import load_catalog_from  # after the question, which should not wait for it

    participants = load_catalog_from(access).participants
    path = write_access(access)
    typer.echo(f"The catalogue lists {len(participants)} participant{'s' * (len(participants) != 1)}.")
    typer.echo(f"Stored the access URL in {path}, readable by you alone.")
    if find_access() != access:
        typer.echo(f"Note: {' or '.join(KEYS)} in the environment is another URL, and comes first.", err=True)
    if participants:
        config = f"participant_{participants[0]}"
        typer.echo(f'Next, in Python: import nersemble, datasets; datasets.load_dataset("nersemble", "{config}")')


def _read() -> str:
    """The URL as given, out of its ``NERSEMBLE_... = "..."`` line if there is one."""
    line = _prompt() if sys.stdin.isatty() else _first_line()
    if not line.strip():
        raise AccessError(_NOTHING_GIVEN)
    entries = parse_entries(line)
    return next((entries[key] for key in KEYS if key in entries), line)


def _prompt() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # given where typing would be shown
        try:
            return getpass.getpass("Access URL, or its line from the mail (not shown): ")
        except getpass.GetPassWarning:
            pass
    raise AccessError(_CANNOT_HIDE)


def _first_line() -> str:
    # Bytes that are not UTF-8 become characters that no URL has: a decoding error would quote the line.
    lines = (line.decode("utf-8-sig", "replace") for line in sys.stdin.buffer)
    return next((line for line in lines if line.strip()), "")
