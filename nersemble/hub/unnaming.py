"""The section of a config in the card without some participants, where no plan tells what else it should say."""

from __future__ import annotations

import re

from .card import section_of
from .report import told_ids

_IDS = re.compile(r"^\| (Participants|Selected participants) \| (?:[\d,]+: )?(.*) \|\n", re.MULTILINE)
_COUNTS = re.compile(r"^\| (?:Rows|Pictures|Shards) \| .* \|\n", re.MULTILINE)
_RUN = re.compile(r"(?<![\w.])(\d{1,6})(?:\s*-\s*(\d{1,6}))?(?![\w.])")


def unname(card: str | None, config: str, participants: tuple[int, ...]) -> str | None:
    """A card whose section of a config names none of some participants, and counts nothing if it did.

    All else stays, such as that a push was not finished; the next push writes the section anew.
    """
    text = (card or "").replace("\r\n", "\n").replace("\r", "\n")
    section = section_of(text, config)
    changed = _IDS.sub(lambda row: _without(row, participants), section)
    return card if changed == section else text.replace(section, _COUNTS.sub("", changed))


def _without(row: re.Match[str], participants: tuple[int, ...]) -> str:
    runs = [(int(run[1]), int(run[2] or run[1])) for run in _RUN.finditer(row[2])]
    if not any(first <= one <= last for first, last in runs for one in participants):
        return row[0]
    left = sorted({one for first, last in runs for one in range(first, last + 1)} - set(participants))
    if not left:
        return ""
    told = f"{len(left):,}: {told_ids(left)}" if row[1] == "Participants" else ",".join(map(str, left))
    return f"| {row[1]} | {told} |\n"
