"""What a user asks for: participants, sequences and cameras, however they are written.

``parse_config_name`` reads a config name such as ``participant_50-60__camera_222200037``; ``select`` resolves the
written forms against a catalogue into a ``Selection``, in which equal selections are equal.  Unknown names raise a
``SelectionError`` that names the nearest ones.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .catalog import Catalog
from .errors import SelectionError
from .layout import SERIALS, canonical_sequence, sequence_order
from .written import index_of, items_of

KINDS = ("participant", "sequence", "camera")
EVERYTHING = "all"
#: Of a participant; Python turns no text of thousands of digits into one.
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(rf"({_NUMBER.pattern})\s*-\s*({_NUMBER.pattern})")
_GLOB = re.compile(r"[*?\[]")
SHOWN = 3
#: Said of what has a slash, which is not repeated: it may be the access URL without its scheme.
NO_PATHS = "The path of a folder goes to data_dir=, and the access URL only to `nersemble login`."


@dataclass(frozen=True)
class Selection:
    """A resolved selection.

    Attributes:
        participants: Selected ids, ascending, with and without a selected sequence.
        sequences_of: For each participant that has one, ascending, its selected sequences as the server spells them.
        cameras: Selected serials in rig order.
        name: A config name that says it.
        name_without_sequences: The same for views to which sequences do not matter.
    """

    participants: tuple[int, ...]
    sequences_of: tuple[tuple[int, tuple[str, ...]], ...]
    cameras: tuple[str, ...]
    name: str
    name_without_sequences: str


def parse_config_name(name: str) -> dict[str, str]:
    """Read a config name into the written forms of its parts.

    >>> parse_config_name("participant_50-60__camera_222200037")
    {'participants': '50-60', 'cameras': '222200037'}
    """
    if not isinstance(name, str):
        raise SelectionError(f"A config is a name such as 'participant_240', not {name!r}. Ids go to participants=.")
    if "/" in name:
        raise SelectionError(f"A config name has no slash. {NO_PATHS}")
    parts: dict[str, str] = {}
    if name == EVERYTHING:
        return parts
    for part in name.split("__"):
        kind, _, written = part.partition("_")
        if kind not in KINDS or not written:
            near = difflib.get_close_matches(name, [*KINDS, EVERYTHING], 1, 0.5)
            hint = f" Did you mean {_example(near[0])!r}?" if near else ""
            raise SelectionError(
                f"Unknown config {name!r}.{hint} A config is participant_<ids>, sequence_<names>, camera_<serials>, "
                "these joined by __, or all; for example participant_240 or participant_50-60__sequence_EXP-1-head."
            )
        if kind + "s" in parts:
            raise SelectionError(f"The config {name!r} names its {kind}s twice. Join them with commas: {kind}_a,b.")
        parts[kind + "s"] = written
    return parts


def _example(kind: str) -> str:
    return {"participant": "participant_240", "sequence": "sequence_EXP-1-head", "camera": "camera_222200037"}.get(
        kind, kind
    )


def select(catalog: Catalog, participants: Any = None, sequences: Any = None, cameras: Any = None) -> Selection:
    """Resolve written forms against a catalogue.

    Args:
        catalog: What is published.
        participants: An id, a range ``"50-60"``, a comma-separated string of these, or a list of these; None for all.
            A range selects what exists in it.
        sequences: A name, a glob such as ``"EMO-*"``, a comma-separated string or a list of these; None for all.
            Both spellings of SEN-07 mean the same.
        cameras: A serial, a comma-separated string or a list of these; None for all 16.

    Raises:
        SelectionError: If a name does not exist, or nothing is left.
    """
    ids = _participants(catalog, participants)
    names = _sequences(catalog, sequences)
    serials = _cameras(cameras)
    wanted = {canonical_sequence(name) for name in names}
    chosen = [(p, tuple(s for s in catalog.sequences_of[p] if canonical_sequence(s) in wanted)) for p in ids]
    pairs = tuple((p, held) for p, held in chosen if held)
    if not pairs and names != catalog.sequences:
        has = sorted({s for p in ids for s in catalog.sequences_of[p]})
        raise SelectionError(
            f"None of the selected participants has any of the sequences {_short(names)}. They have {_short(has)}."
        )
    return Selection(
        ids, pairs, serials, _name(catalog, pairs, serials), _name(catalog, [(p, ()) for p in ids], serials)
    )


def _name(catalog: Catalog, pairs: Sequence[tuple[int, tuple[str, ...]]], serials: tuple[str, ...]) -> str:
    """A config name for resolved pairs, so that equal selections have equal names however they were written."""
    ids = [p for p, _ in pairs]
    held = sorted({s for _, names in pairs for s in names}, key=sequence_order)
    every_sequence = all(not names or names == catalog.sequences_of[p] for p, names in pairs)
    parts = [
        "" if tuple(ids) == catalog.participants else "participant_" + _ranges(ids),
        "" if every_sequence else "sequence_" + ",".join(dict.fromkeys(map(canonical_sequence, held))),
        "" if serials == SERIALS else "camera_" + ",".join(serials),
    ]
    return "__".join(filter(None, parts)) or EVERYTHING


def _words(written: Any, what: str) -> list[str]:
    """Flatten a written form into words: strings are split at commas, numbers become strings."""
    if isinstance(written, str):
        if "/" in written:
            raise SelectionError(f"{what} have no slash in their names. {NO_PATHS}")
        words = [word.strip() for word in written.split(",")]
    elif isinstance(written, (bool, bytes, bytearray, memoryview)) or written is None:
        raise SelectionError(f"{what} cannot be {written!r}.")
    elif (number := index_of(written)) is not None:
        words = [str(number)]
    elif (items := items_of(written)) is not None:
        words = [word for item in items for word in _words(item, what)]
    else:
        raise SelectionError(f"{what} are names or numbers, not {type(written).__name__}.")
    words = [word for word in words if word]
    if not words:
        raise SelectionError(f"{what} are empty. Leave the option out to select all.")
    return words


def _is_everything(written: Any) -> bool:
    """Whether all are meant; what arrays are equal to is an array."""
    return written is None or (isinstance(written, str) and written == EVERYTHING)


def _participants(catalog: Catalog, written: Any) -> tuple[int, ...]:
    known = catalog.participants
    if _is_everything(written):
        return known
    chosen: set[int] = set()
    for word in _words(written, "participants"):
        span = _RANGE.fullmatch(word)
        if word == EVERYTHING:
            chosen.update(known)
        elif span:
            first, last = int(span[1]), int(span[2])
            if first > last:
                raise SelectionError(f"The range {word} runs backwards. Did you mean {last}-{first}?")
            found = [p for p in known if first <= p <= last]
            if not found:
                raise SelectionError(f"No participant in {word}.{_nearest_ids(known, first)}")
            chosen.update(found)
        elif not _NUMBER.fullmatch(word):
            raise SelectionError(f"{word!r} is no participant id. Write a number or a range, such as 240 or 50-60.")
        elif int(word) not in known:
            raise SelectionError(f"No participant {int(word)}.{_nearest_ids(known, int(word))}")
        else:
            chosen.add(int(word))
    return tuple(sorted(chosen))


def _nearest_ids(known: Sequence[int], wanted: int) -> str:
    near = sorted(known, key=lambda p: (abs(p - wanted), p))[:SHOWN]
    numbers = " or ".join(map(str, near))
    return f" Did you mean {numbers}? The catalogue has {len(known)} participants." if near else " There are none."


def _sequences(catalog: Catalog, written: Any) -> tuple[str, ...]:
    known = catalog.sequences
    if _is_everything(written):
        return known
    chosen: set[str] = set()
    for word in _words(written, "sequences"):
        wanted = catalog.spelling(word)
        if word == EVERYTHING:
            chosen.update(known)
        elif wanted in known:
            chosen.add(wanted)
        elif _GLOB.search(word) and (found := [s for s in known if _matches(s, word)]):
            chosen.update(found)
        else:
            lower = {s.lower(): s for s in known}
            near = [lower[s] for s in difflib.get_close_matches(word.lower(), lower, SHOWN, 0.4)]
            hint = f" Did you mean {' or '.join(near)}?" if near else f" There are {_short(known, len(known))}."
            raise SelectionError(f"No sequence {word!r}.{hint}")
    return tuple(s for s in known if s in chosen)


def _matches(sequence: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (sequence, canonical_sequence(sequence)))


def _cameras(written: Any) -> tuple[str, ...]:
    if _is_everything(written):
        return SERIALS
    chosen: set[str] = set()
    for word in _words(written, "cameras"):
        if word == EVERYTHING:
            chosen.update(SERIALS)
        elif word in SERIALS:
            chosen.add(word)
        elif _GLOB.search(word) and (found := fnmatch.filter(SERIALS, word)):
            chosen.update(found)
        else:
            near = difflib.get_close_matches(word, SERIALS, SHOWN, 0.6)
            if _NUMBER.fullmatch(word) and int(word) < len(SERIALS):
                near = [SERIALS[int(word)]]
            hint = f" Did you mean {' or '.join(near)}?" if near else f" The serials are {', '.join(SERIALS)}."
            raise SelectionError(f"No camera {word!r}.{hint}")
    return tuple(s for s in SERIALS if s in chosen)


def _ranges(ids: Sequence[int]) -> str:
    """Ids as a comma-separated string, neighbours joined: ``33,50-52``."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _short(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
