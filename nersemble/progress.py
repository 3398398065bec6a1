"""How far a download or a check is, shown: as bars, as plain lines, as JSON lines, or not at all.

``display`` makes one; it is told with ``update`` how things stand and with ``file`` what became of a file.  Bars and
lines go to stderr, JSON lines to stdout.  ``rich`` is imported by the bars alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import SelectionError
from .units import format_bytes
from .written import switch_of

#: Seconds between plain lines, and between JSON progress events.
LINE_EVERY, EVENT_EVERY = 10.0, 1.0
#: No time left is shown before a rate is known.
SECONDS_KNOWN = 360_000


class State(Protocol):
    """How things stand; the progress of downloads and checks is such."""

    @property
    def files_done(self) -> int: ...
    @property
    def files_total(self) -> int: ...
    @property
    def bytes_done(self) -> int: ...
    @property
    def bytes_total(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def failed(self) -> int: ...
    @property
    def missing(self) -> int: ...
    @property
    def note(self) -> str: ...


@dataclass
class Count:
    """A ``State`` that whoever works keeps up to date; the rate is that since it was made."""

    files_total: int = 0
    bytes_total: int = 0
    files_done: int = 0
    bytes_done: int = 0
    failed: int = 0
    missing: int = 0
    note: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.bytes_done / max(time.monotonic() - self.began, 1e-3)


class Outcome(Protocol):
    """What became of a file."""

    @property
    def asset(self) -> object: ...
    @property
    def outcome(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def reason(self) -> str: ...


class Display:
    """Shows nothing; the others are such."""

    def update(self, state: State) -> None:
        """How things stand; called as often as one likes."""

    def file(self, event: Outcome) -> None:
        """A file is done with."""

    def close(self) -> None:
        """Nothing follows; closing twice is harmless."""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def display(kind: str, *, verb: str = "Downloading", found: str = "failed") -> Display:
    """A display.

    Args:
        kind: ``"bars"``, ``"lines"``, ``"json"`` or ``"none"``.
        verb: What is being done.
        found: What to call files that are not as they should be.

    Raises:
        SelectionError: If there is no such kind.
    """
    if kind == "bars":
        return _Bars(verb, found)
    if kind == "lines":
        return _Lines(verb, found)
    if kind == "json":
        return _JsonLines()
    if kind == "none":
        return Display()
    raise SelectionError(f"No display {kind!r}. There are bars, lines, json and none.")


def kind_for(wanted: bool | None) -> str:
    """The kind of display for ``progress=wanted``.

    Args:
        wanted: None for bars where somebody can watch them (a terminal, a notebook) and nothing elsewhere; True for
            plain lines elsewhere; False for nothing anywhere.

    Raises:
        SelectionError: If it is none of these.
    """
    if wanted is not None and not switch_of(wanted, "progress"):
        return "none"
    if shows_bars():
        return "bars"
    return "lines" if wanted or _is_notebook() else "none"


def shows_bars() -> bool:
    """Whether bars can be shown: on a terminal, and in a notebook that has ipywidgets, without which rich warns."""
    if _is_notebook():
        return importlib.util.find_spec("ipywidgets") is not None
    return is_terminal()


def is_terminal() -> bool:
    """Whether stderr is a terminal on which a line can be written over."""
    return bool(sys.stderr and sys.stderr.isatty()) and os.environ.get("TERM") != "dumb"


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Bars(Display):
    """A bar for bytes and one for files, with what failed above them."""

    def __init__(self, verb: str, found: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._found = found
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[amount]}", markup=False, justify="right"),
            TextColumn("{task.fields[rest]}", markup=False, justify="right"),
        )
        # The caller's turns are ten a second; a thread of its own would write into what follows an interrupt.
        self._bars = Progress(
            *columns,
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            expand=True,
        )
        self._bytes = self._bars.add_task(verb, total=None, amount="", rest="")
        self._files = self._bars.add_task("Files", total=None, amount="", rest="")
        self._bars.start()

    def update(self, state: State) -> None:
        self._bars.update(
            self._bytes,
            total=max(state.bytes_total, 1),
            completed=state.bytes_done,
            amount=f"{format_bytes(state.bytes_done)} of {format_bytes(state.bytes_total)}",
            rest=state.note or f"{format_bytes(state.rate)}/s  {_left(state)}".rstrip(),
        )
        self._bars.update(
            self._files,
            total=max(state.files_total, 1),
            completed=state.files_done,
            amount=f"{state.files_done:,} of {state.files_total:,}",
            rest=_troubles(state, self._found),
        )
        self._bars.refresh()

    def file(self, event: Outcome) -> None:
        if event.outcome == "failed":
            self._bars.console.print(_failure(event), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bars.stop()


class _Lines(Display):
    """A line now and then, and one for each failure: for logs."""

    def __init__(self, verb: str, found: str) -> None:
        self._verb, self._found = verb, found
        self._next = 0.0
        self._note = ""
        self._last: State | None = None
        self._line = ""

    def update(self, state: State) -> None:
        now = time.monotonic()
        self._last = state
        if now >= self._next or state.note != self._note:
            self._next, self._note = now + LINE_EVERY, state.note
            self._show(state)

    def file(self, event: Outcome) -> None:
        if event.outcome == "failed":
            _say(_failure(event))

    def close(self) -> None:
        if self._last is not None:
            self._show(self._last)

    def _show(self, state: State) -> None:
        words = [
            f"{self._verb}: {state.files_done:,} of {state.files_total:,} files",
            f"{format_bytes(state.bytes_done)} of {format_bytes(state.bytes_total)}" if state.bytes_total else "",
            f"{format_bytes(state.rate)}/s" if state.rate else "",
            _left(state),
            _troubles(state, self._found),
            state.note,
        ]
        line = ", ".join(filter(None, words))
        if line != self._line:
            self._line = line
            _say(line)


class _JsonLines(Display):
    """An object a line on stdout, whose ``event`` says what it is about."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last: State | None = None
        self._shown: State | None = None

    def update(self, state: State) -> None:
        self._last = state
        if time.monotonic() >= self._next:
            self._show(state)

    def _show(self, state: State) -> None:
        self._next, self._shown = time.monotonic() + EVENT_EVERY, state
        write_json(
            event="progress",
            files_done=state.files_done,
            files_total=state.files_total,
            bytes_done=state.bytes_done,
            bytes_total=state.bytes_total,
            rate=round(state.rate),
            failed=state.failed,
            missing=state.missing,
            note=state.note,
        )

    def file(self, event: Outcome) -> None:
        write_json(
            event="file", path=str(event.asset), outcome=event.outcome, bytes=event.bytes, reason=event.reason or ""
        )

    def close(self) -> None:
        if self._last is not None and self._last != self._shown:
            self._show(self._last)


def write_json(**event: Any) -> None:
    """Write one event to stdout as a line of JSON, for a script that reads along."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _failure(event: Outcome) -> str:
    where = "" if str(event.asset) in event.reason else f"{event.asset}: "
    return f"Failed: {where}{event.reason}"


def _troubles(state: State, found: str) -> str:
    words = [f"{state.failed:,} {found}" if state.failed else "", f"{state.missing:,} missing" if state.missing else ""]
    return ", ".join(filter(None, words))


def _left(state: State) -> str:
    """Time left, such as ``"2:03:04 left"``; "" where nobody can say."""
    rest = state.bytes_total - state.bytes_done
    if state.rate <= 0 or rest <= 0 or rest > state.rate * SECONDS_KNOWN:
        return ""
    seconds = int(rest / state.rate)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"
