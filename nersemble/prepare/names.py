"""Names of prepared configs: what stands in ``load_dataset(repo, NAME)``, and of the folder that holds the shards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from ..errors import SelectionError

LONGEST = 80
_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+-]*")
#: Names that stand for something else on the hub.
_TAKEN = {"default", "main"}


def config_name_of(participants: Any, selected: str) -> str:
    """The name of a config: the participants as they were written, or else ``selected``.

    >>> config_name_of(["50 - 60", 240], "participant_50-52,240__sequence_FREE")
    'participant_50-60,240'
    """
    if participants in (None, "all"):
        name = selected
    else:
        words = list(_words(participants))
        name = "participant_" + ",".join(dict.fromkeys(words))
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 9].rstrip('-_,+.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def _words(written: Any) -> Iterable[str]:
    parts = written if isinstance(written, Iterable) and not isinstance(written, (str, bytes)) else [written]
    for part in parts:
        for word in str(part).split(","):
            bare = "-".join(str(int(number)) if number.strip().isdecimal() else number for number in word.split("-"))
            if bare.strip():
                yield bare.strip()


def _is_taken(name: str) -> bool:
    return name in _TAKEN or name.lower().endswith((".md", ".json", ".parquet", ".part"))


def check_config(name: Any) -> str:
    """A config name that folders, the hub and `datasets` all take.

    Raises:
        SelectionError: If it is none.
    """
    if not isinstance(name, str) or not _LEGAL.fullmatch(name) or len(name) > LONGEST or _is_taken(name):
        raise SelectionError(
            f"A config cannot be named {name!r}: use up to {LONGEST} letters, digits and _ - + , . and not a word that "
            "the hub gives another meaning."
        )
    return name
