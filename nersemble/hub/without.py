"""What the head of a data set becomes without some participants: files, plans, and the card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import SelectionError
from ..prepare import PreparePlan
from ..prepare.plans import PLAN_FILE
from .card import configs_of, is_ours, merge_card, remove_config, unfinished
from .facts import RemoteFile
from .held import Held
from .report import DeleteReport
from .theirs import CARD, is_shard, theirs_in
from .unnaming import unname


def parse_participants(participants: Any) -> tuple[int, ...]:
    """The ids that somebody wrote down, ascending.

    Raises:
        SelectionError: If it names nobody.
    """
    if isinstance(participants, bytes | bytearray | memoryview):  # whose numbers are those of letters
        raise SelectionError("Bytes name no participant: write ids or ranges as text, such as 240 or 240,250-260.")
    parts = participants if isinstance(participants, Iterable) and not isinstance(participants, str) else [participants]
    found: set[int] = set()
    for word in (word.strip() for part in parts for word in str(part).split(",")):
        match = re.fullmatch(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?", word)
        if match is None:
            raise SelectionError(f"{word!r} names no participant: write ids or ranges, such as 240 or 240,250-260.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 10_000:
            raise SelectionError(f"{word!r} is no range of participants.")
        found.update(range(first, last + 1))
    if not found:
        raise SelectionError("Name the participants to delete, such as 240 or 240,250-260.")
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Config:
    """What becomes of a config.

    Attributes:
        gone: Its files that go, but for the plan: all below the folders of the participants.
        rest: Shards that stay.
        others: Files that stay of a config without a plan any more, which this package did not make.
        left: Its plan as it will be; None if there is none, or none that can be read.
        plan_goes: Whether its plan goes.
        section_goes: Whether its section of the card goes.
        changes: Whether anything of it does.
        is_named: Whether its section of the card names them, which need not be what a plan says: a push that was not
            finished has none.
        problem: Why its plan, which stays, cannot be read; "" if it can.
    """

    gone: list[str]
    rest: list[str]
    others: list[str]
    left: PreparePlan | None
    plan_goes: bool
    section_goes: bool
    changes: bool
    is_named: bool
    problem: str


class Without:
    """A head without some participants.

    Args:
        held: What there is.
        participants: Who goes.
    """

    def __init__(self, held: Held, participants: tuple[int, ...]) -> None:
        self._held, self._participants = held, participants

    @cached_property
    def _configs(self) -> dict[str, _Config]:
        theirs = theirs_in(self._held.files, self._participants, self._held.read)
        return {config: self._look_at(config, theirs) for config in self._held.configs}

    def _look_at(self, config: str, theirs: Iterable[str]) -> _Config:
        held, start = self._held, f"{config}/"
        gone = [path for path in theirs if path.startswith(start)]
        stay = [path for path in held.files if path.startswith(start) and path not in set(gone)]
        rest = [path for path in stay if is_shard(path)]
        plan, problem = held.look_at_plan(config)
        left = None if plan is None else self._less(plan)
        changes = bool(gone) or left != plan
        nothing = not rest and (left is None or not left.units)
        plan_goes = changes and (nothing or (left is not None and not left.units)) and start + PLAN_FILE in stay
        # Shards that no plan has are of a push that was not finished, whose section says so.
        section_goes = changes and (nothing or (plan_goes and not unfinished(held.card, config)))
        others = [path for path in stay if path != start + PLAN_FILE] if plan_goes or section_goes else []
        problem = "" if plan_goes else problem
        is_named = not problem and unname(held.card, config, self._participants) != held.card
        return _Config(gone, rest, others, left, plan_goes, section_goes, changes, is_named, problem)

    def _less(self, plan: PreparePlan) -> PreparePlan:
        """A plan without these participants, also in what it says of its selection."""
        units = tuple(unit for unit in plan.units if unit.participant not in self._participants)
        left = replace(plan, units=units)
        if units == plan.units and not _named(plan.selected.get("participants", ""), self._participants):
            return plan
        return replace(left, selected={**plan.selected, "participants": ",".join(map(str, left.participants))})

    @property
    def gone(self) -> dict[str, RemoteFile]:
        """The participants' files, which go."""
        return {path: self._held.files[path] for one in self._configs.values() for path in one.gone}

    def count(self, report: DeleteReport) -> None:
        """Tell what goes."""
        having = {config: one for config, one in self._configs.items() if one.gone}
        flat = [path for one in having.values() for path in one.gone]
        shards = [path for path in flat if path.endswith(".parquet")]
        report.configs = tuple(having)
        report.shards, report.files = len(shards), len(flat) - len(shards)
        report.bytes = sum(self._held.files[path].size for path in flat)
        report.found = tuple(sorted({int(path.split("/")[1]) for path in flat}))
        report.changed = tuple(config for config, one in self._configs.items() if one.changes or one.is_named)
        report.emptied = tuple(config for config, one in having.items() if one.section_goes)
        report.others = tuple(path for one in self._configs.values() for path in one.others)
        report.unread = tuple(config for config, one in self._configs.items() if one.problem)
        staying = (config for config in self._configs if config not in report.emptied)
        report.named = tuple(config for config in staying if is_in_name(config, self._participants))

    def operations(self) -> list[Any]:
        """What makes the head such as it should be; nothing if it is."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = []
        for config, one in self._configs.items():
            if not one.changes:
                continue
            folders = sorted({"/".join(path.split("/")[:2]) for path in one.gone})
            operations += [CommitOperationDelete(f"{folder}/", is_folder=True) for folder in folders]
            if one.plan_goes:
                operations.append(CommitOperationDelete(f"{config}/{PLAN_FILE}"))
            elif one.left is not None:
                operations.append(CommitOperationAdd(f"{config}/{PLAN_FILE}", one.left.to_json().encode()))
        card = self._card()
        if card and card != self._held.card:
            operations.append(CommitOperationAdd(CARD, card.encode()))
        return operations

    def _card(self) -> str:
        """The card as it should be."""
        held, card = self._held, self._held.card or ""
        for config, one in self._configs.items():
            # Otherwise somebody took out what this package wrote.
            if one.changes and (is_ours(card) or one.left or one.plan_goes):
                if one.section_goes:
                    card = remove_config(card, config)
                elif one.left is not None and one.left.units:
                    size = sum(held.files[path].size for path in one.rest)
                    # A push that was not finished stays one.
                    card = merge_card(card, one.left, size, incomplete=bool(unfinished(card, config)))
            if not one.problem:
                card = unname(card, config, self._participants) or ""
        return card

    def problems(self) -> list[str]:
        """Plans that stay and cannot be read, and perhaps name them, in words."""
        told = []
        for config, one in self._configs.items():
            if not one.problem:
                continue
            text = self._held.read(f"{config}/{PLAN_FILE}").decode("utf-8", "replace")
            if one.gone or _says(text, self._participants):
                section = " and its section of the card" if config in configs_of(self._held.card) else ""
                told.append(f"{config}/{PLAN_FILE}{section} may still name them ({one.problem.rstrip('. ')})")
        return told


def is_in_name(config: str, participants: tuple[int, ...]) -> bool:
    """Whether the name of a config has the id of a participant, or a range with it."""
    ids = "|".join(map(str, participants))
    if re.search(rf"(?<!\d)0*({ids})(?!\d)", config):
        return True
    # Names that somebody chose can have numbers of other things.
    ranges = re.findall(r"(?<!\d)(\d{1,6})-(\d{1,6})(?!\d)", config) if config.startswith("participant_") else []
    return any(int(first) <= one <= int(last) for first, last in ranges for one in participants)


def _says(text: str, participants: tuple[int, ...]) -> bool:
    """Whether a text has one of these numbers, or a range with it."""
    ids = "|".join(map(str, participants))
    ranges = re.findall(r"(?<![\w.])(\d{1,6})-(\d{1,6})(?![\w.])", text)
    return re.search(rf"(?<![\w.])0*({ids})(?![\w.])", text) is not None or any(
        int(first) <= one <= int(last) for first, last in ranges for one in participants
    )


def _named(selected: str, participants: tuple[int, ...]) -> bool:
    """Whether a selection in words names one of these participants."""
    try:
        return bool(set(parse_participants(selected)) & set(participants))
    except SelectionError:
        return False
