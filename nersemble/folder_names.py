"""What callers of a folder name: its path, participants, sequences, cameras, timesteps, however they write them.

Nothing here looks whether it is there.  What cannot be a name is a ``SelectionError``.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import SelectionError
from .layout import FRONTAL_SERIAL, SEQUENCES
from .written import index_of

NUMBER = re.compile(r"[0-9]{1,9}")
#: Names shown at most where one was misspelled.
SHOWN = 3

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def path_of(folder: Any) -> str:
    """Absolute path of a folder as a caller gives it, without looking for it."""
    path = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(path, str) or not path or "\0" in path:
        raise SelectionError(f"open_folder takes the path of a folder on disk, not {folder!r}.")
    if _URL.match(path):  # not shown: it could be the access URL
        raise SelectionError(
            "open_folder takes a folder on disk, not a URL. For the server there is nersemble.load_dataset; or "
            "download a folder first."
        )
    return os.path.abspath(os.path.expanduser(path))


def participant_of(written: Any) -> int:
    """A participant's id: ``240`` or ``"240"``."""
    is_number = isinstance(written, str) and NUMBER.fullmatch(written)
    number = int(written) if is_number else index_of(written)
    if number is None or number < 0:
        raise SelectionError(f"A participant is an id such as 240, not {written!r}.")
    return number


def sequence_of(written: Any) -> str:
    """A sequence's name, as it is written."""
    if not isinstance(written, str):
        raise SelectionError(f"A sequence is a name such as {SEQUENCES[1]!r}, not {written!r}.")
    return written


def serial_of(written: Any) -> str:
    """A camera's serial: text or a number."""
    number = index_of(written)
    if number is None and not isinstance(written, str):
        raise SelectionError(f"A camera is a serial such as {FRONTAL_SERIAL!r}, not {written!r}.")
    return written if isinstance(written, str) else str(number)


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """The known names that a misspelled one may stand for, the nearest first."""
    lower = {name.lower(): name for name in known}
    return [lower[name] for name in difflib.get_close_matches(word.lower(), lower, SHOWN, 0.5)]


def did_you_mean(names: Iterable[str]) -> str:
    """A question to put behind a sentence; nothing if there is no name."""
    joined = " or ".join(names)
    return f" Did you mean {joined}?" if joined else ""
