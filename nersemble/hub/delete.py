"""``delete``: participants out of a pushed data set, with every trace that the hub lets one remove.

Consent can be withdrawn, also when nobody has the source data any more: all that is needed is on the hub.  What is left
to do follows from what the hub holds, so that doing it again after an interruption, or once more, is harmless.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..errors import PushError, SelectionError
from ..prepare import PreparePlan
from ..prepare.plans import PLAN_FILE
from ..progress import Count, display, kind_for
from .card import merge_card, remove_config, unfinished
from .client import Client, RepoState
from .guard import find_destination
from .held import CARD, Held
from .report import DeleteReport, told_ids
from .retry import Patience
from .traces import contents_of, find_traces, forgettable, is_history_listed

_AGAIN = "Delete again: what was done already is passed over."


def delete(
    repo_id: str,
    participants: Any,
    *,
    token: str | None = None,
    dry_run: bool = False,
    endpoint: str | None = None,
    message: str | None = None,
    progress: bool | None = None,
) -> DeleteReport:
    """Delete participants from every config of a private data set that this package pushed, with its history.

    The history of ``main`` becomes one commit: revisions that were pinned before do not load any more.

    Args:
        repo_id: ``owner/name``.
        participants: An id, a range ``"50-60"``, a comma-separated string, or a list of these.  Who is not there is
            passed over.
        token: A token that may write; by default the one that this machine is logged in with.
        dry_run: Say what would be deleted, and do nothing.
        endpoint: URL of the hub; by default the usual one, or ``HF_ENDPOINT``.
        message: Of the commit.
        progress: Show how far it is; by default on a terminal and in a notebook.

    Returns:
        What came of it.  Nothing of these participants is then in any commit of the data set.

    Raises:
        PushError: If the data set is not private or not one of ours, or if something is left: a branch, a tag or a pull
            request that still has them is named.
        SelectionError: If ``participants`` names nobody.
    """
    wanted = parse_participants(participants)
    client = Client(token, endpoint)
    del token
    destination = find_destination(client, repo_id)
    if destination.state is None:
        raise PushError(f"There is no data set {destination.repo_id} that this token can see.")
    with display(kind_for(progress), verb="Deleting") as shown:
        state = Count()

        def note(words: str) -> None:
            state.note = words
            shown.update(state)

        client.tell = note
        deleting = _Deleting(client, destination.repo_id, wanted)
        return deleting.look() if dry_run else deleting.run(message or f"Delete {told_ids(wanted)}")


def parse_participants(participants: Any) -> tuple[int, ...]:
    """The ids that somebody wrote down, ascending.

    Raises:
        SelectionError: If it names nobody.
    """
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


class _Deleting:
    """The deletion of participants from one data set."""

    def __init__(self, client: Client, repo_id: str, participants: tuple[int, ...]) -> None:
        self._client, self._repo, self._participants = client, repo_id, participants

    def look(self) -> DeleteReport:
        """What there is to delete."""
        held = self._held()
        report = DeleteReport(self._repo, self._participants, dry_run=True, commit=held.sha)
        self._count(held, report)
        return report

    def run(self, message: str) -> DeleteReport:
        """Delete."""
        report = DeleteReport(self._repo, self._participants)
        patience = Patience(self._client.tell)
        while True:
            held = self._held()
            operations = self._operations(held)
            if not operations:
                break
            found = DeleteReport(self._repo, self._participants)
            self._count(held, found)
            _, failure = self._client.commit(self._repo, operations, message, held.sha)
            report = found
            if failure is not None and not patience.wait(failure, conflicts=True):
                raise PushError(f"The commit to {self._repo} failed: {failure}. {_AGAIN}")
        # Also if there was nothing to do: an earlier call may have come this far and no further.  The history goes
        # last, for it alone says which stored files are theirs.
        contents = contents_of(self._client, self._repo, self._participants)
        objects = forgettable(self._client, self._repo, self._participants, contents)
        if objects:
            self._client.forget(self._repo, objects)
        report.forgotten = None if objects is None else len(objects)
        report.history_listed = is_history_listed(self._client, self._repo)
        if len(self._client.commits(self._repo, "main") or ()) != 1:
            self._client.squash(self._repo, message)
            report.squashed = True
        report.commit = self._state().sha
        report.remaining = find_traces(self._client, self._repo, self._participants)
        if report.remaining:
            raise PushError(
                f"{told_ids(self._participants)} is no longer in main of {self._repo}, but something of them is left: "
                f"{'; '.join(report.remaining)}. Remove that on the hub, then delete again, which checks it."
            )
        return report

    # --- what is there ------------------------------------------------------------------------------------------------

    def _state(self) -> RepoState:
        state = self._client.state(self._repo)
        if state is None:
            raise PushError(f"{self._repo} cannot be found on the hub any more.")
        if not state.private:
            raise PushError(
                f"{self._repo} is public: everybody can see the faces in it. Make it private in its settings first, or "
                "delete it as a whole."
            )
        return state

    def _held(self) -> Held:
        held = Held(self._client, self._repo, self._state().sha)
        if not held.is_ours:
            raise PushError(f"{self._repo} was not pushed by this package, and nothing is deleted from it.")
        return held

    def _paths(self, held: Held) -> dict[str, list[str]]:
        """The files of these participants, by config; a config without any is left out."""
        folders = {config: tuple(f"{config}/{one:03d}/" for one in self._participants) for config in held.configs}
        found = {config: [path for path in held.files if path.startswith(folders[config])] for config in folders}
        return {config: paths for config, paths in found.items() if paths}

    def _count(self, held: Held, report: DeleteReport) -> None:
        paths = self._paths(held)
        flat = [path for found in paths.values() for path in found]
        report.configs = tuple(paths)
        report.shards, report.bytes = len(flat), sum(held.files[path].size for path in flat)
        report.found = tuple(sorted({int(path.split("/")[1]) for path in flat}))
        report.emptied = tuple(config for config in paths if not held.shards(config).keys() - set(paths[config]))
        staying = (config for config in held.configs if config not in report.emptied)
        report.named = tuple(config for config in staying if is_in_name(config, self._participants))

    def _operations(self, held: Held) -> list[Any]:
        """What makes the head such as it should be; nothing if it is."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = []
        card, paths = held.card or "", self._paths(held)
        for config in held.configs:
            plan, gone = held.plan(config), paths.get(config, [])
            rest = held.shards(config).keys() - set(gone)
            left = None if plan is None else self._less(plan)
            if not gone and left == plan:
                continue
            if not rest and (left is None or not left.units):
                operations.append(CommitOperationDelete(f"{config}/", is_folder=True))
                card = remove_config(card, config)
                continue
            folders = sorted({os.path.dirname(path) for path in gone})
            operations += [CommitOperationDelete(f"{folder}/", is_folder=True) for folder in folders]
            if left is not None and left.units:
                operations.append(CommitOperationAdd(f"{config}/{PLAN_FILE}", left.to_json().encode()))
                size = sum(held.files[path].size for path in rest)
                # A push that was not finished stays one.
                card = merge_card(card, left, size, incomplete=bool(unfinished(card, config)))
        if card and card != held.card:
            operations.append(CommitOperationAdd(CARD, card.encode()))
        return operations

    def _less(self, plan: PreparePlan) -> PreparePlan:
        """A plan without these participants, also in what it says of its selection."""
        units = tuple(unit for unit in plan.units if unit.participant not in self._participants)
        left = replace(plan, units=units)
        if units == plan.units and not _named(plan.selected.get("participants", ""), self._participants):
            return plan
        return replace(left, selected={**plan.selected, "participants": ",".join(map(str, left.participants))})


def is_in_name(config: str, participants: tuple[int, ...]) -> bool:
    """Whether the name of a config has the id of a participant, or a range with it."""
    ids = "|".join(map(str, participants))
    if re.search(rf"(?<!\d)0*({ids})(?!\d)", config):
        return True
    # Names that somebody chose can have numbers of other things.
    ranges = re.findall(r"(?<!\d)(\d{1,6})-(\d{1,6})(?!\d)", config) if config.startswith("participant_") else []
    return any(int(first) <= one <= int(last) for first, last in ranges for one in participants)


def _named(selected: str, participants: tuple[int, ...]) -> bool:
    """Whether a selection in words names one of these participants."""
    try:
        return bool(set(parse_participants(selected)) & set(participants))
    except SelectionError:
        return False
