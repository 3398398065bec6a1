"""``nersemble autoload on|off|status``: let every start of this environment's Python import nersemble, or no longer."""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import typer


class Action(str, enum.Enum):
    """What to do with the line."""

    ON = "on"
    OFF = "off"
    STATUS = "status"


def autoload(action: Annotated[Action, typer.Argument(help="Switch it on or off, or say what is the case.")]) -> None:
    """Make load_dataset know "nersemble" without an import.

    "on" writes one line, into a file of its own in this environment's site-packages, that imports nersemble at every
    start of Python. "off" removes it. "status" says whether it is there, and what it costs, measured.
    """
    from .. import autoload as line

    if action is Action.ON:
        typer.echo(f"Autoload is on: wrote {line.turn_on()}. `nersemble autoload off` removes it.")
    elif action is Action.OFF:
        removed = line.turn_off()
        typer.echo(f"Autoload is off: {'removed' if removed else 'there was no'} {line.autoload_path()}.")
        return
    elif line.is_on():
        typer.echo(f"Autoload is on: {line.autoload_path()}")
    else:
        typer.echo(f"Autoload is off: there is no {line.autoload_path()}")
    cost = max(0.0, line.startup_cost())
    verb = "adds" if line.is_on() else "would add"
    typer.echo(f"It {verb} {cost * 1000:.0f} ms to every start of {sys.executable} (median of 5, measured now).")
