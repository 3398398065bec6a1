"""``delete``: participants out of a pushed data set, with every trace that the hub lets one remove.

Consent can be withdrawn, also when nobody has the source data any more: all that is needed is on the hub.  What is left
to do follows from what the hub holds, so that doing it again after an interruption, or once more, is harmless.
"""

from __future__ import annotations

from typing import Any

from ..errors import PushError
from ..progress import Count, display, kind_for
from ..written import switch_of
from .client import Client, NotThereError, check_message
from .facts import RepoState
from .guard import find_destination
from .held import Held
from .report import DeleteReport, told_ids
from .retry import ODD, Failure, Patience
from .scan import Forbidden
from .tokens import TOKENS, advice
from .traces import LOOKS, MAIN, Survey, words
from .without import Without, is_in_name, parse_participants

__all__ = ["delete", "is_in_name", "parse_participants"]

_AGAIN = "Delete again: what was done already is passed over."
_STAYS = (
    "main's history was left as it is, with what it has of them, since it alone tells which stored files are theirs "
    "and could not all be looked at; if it never can, push what is left to a new data set and delete this one as a "
    "whole"
)


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

    If it has anything of them, the history of ``main`` becomes one commit: revisions that were pinned before do not
    load any more.

    Args:
        repo_id: ``owner/name``.
        participants: An id, a range ``"50-60"``, a comma-separated string, or a list of these.  Who is not there is
            passed over.
        token: A token that may write; by default the one that this machine is logged in with.
        dry_run: Say what would be deleted, and do nothing.
        endpoint: URL of the hub; by default the usual one, or ``HF_ENDPOINT``.
        message: Of the commits, which the repository keeps: name nobody in it.
        progress: Show how far it is; by default on a terminal and in a notebook.

    Returns:
        What came of it.  Nothing of these participants is then in any commit of the data set.

    Raises:
        PushError: If the data set is not private or not one of ours, or if the message holds a secret; or if something
            is left or was refused on the way, all of which is named, once all else is done.
        SelectionError: If ``participants`` names nobody, ``message`` is no text, or ``dry_run`` neither True nor False.
    """
    check_message(message)
    dry_run = switch_of(dry_run, "dry_run")
    wanted = parse_participants(participants)
    client = Client(token, endpoint)
    del token
    problem = Forbidden(client.tokens).problem_of(message or "")
    if problem:
        raise PushError(f"Nothing was deleted, since the commit's message {problem}. Give another message=.")
    destination = find_destination(client, repo_id)
    if destination.state is None:
        raise PushError(
            f"There is no data set {destination.repo_id} that this token can see: it does not exist, or it is private "
            "and the token may not see it, which the hub answers alike. Look whether the name is right, and what the "
            f"token may do at {TOKENS}."
        )
    with display(kind_for(progress), verb="Deleting") as shown:
        state = Count()

        def note(words: str) -> None:
            state.note = words
            shown.update(state)

        client.tell, client.has_begun = note, True
        deleting = _Deleting(client, destination.repo_id, wanted)
        return deleting.look() if dry_run else deleting.run(message or _title(wanted))


def _title(participants: tuple[int, ...]) -> str:
    """A message that does not keep what was deleted."""
    return "Delete a participant" if len(participants) == 1 else "Delete participants"


class _Deleting:
    """The deletion of participants from one data set."""

    def __init__(self, client: Client, repo_id: str, participants: tuple[int, ...]) -> None:
        self._client, self._repo, self._participants = client, repo_id, participants
        self._survey = Survey(client, repo_id, participants)
        self._fate = ""

    def look(self) -> DeleteReport:
        """What there is to delete."""
        report = DeleteReport(self._repo, self._participants, dry_run=True)
        held, without = self._head()
        without.count(report)
        self._survey.look()
        self._tell(report)
        report.remaining = [*self._survey.traces(history=False), *without.problems(), *self._survey.problems]
        report.commit = held.sha
        return report

    def run(self, message: str) -> DeleteReport:
        """Delete."""
        report, problems, is_changed = self._clean_head(message)
        # Also if there was nothing to do: an earlier call may have come this far and no further.
        self._survey.look()
        self._tell(report)
        known = [*problems, *self._survey.problems, *self._survey.traces()]
        if report.nobody and not is_changed and not known:
            report.commit = self._state().sha
            return report
        # The history goes last, for it alone says which stored files are theirs: not before all of it was looked at.
        # It goes also if the hub refuses the stored files, since whoever can read the data set can load all in it.
        goes, left = self._forget_all(report, is_changed)
        if goes:
            problems += self._squash(report, message)
            # Nobody else will know of them.
            left = self._forget(report, history=True) if left else []
        problems += left
        if self._survey.unread:
            problems = [_STAYS, *problems, *self._survey.problems]
        else:
            self._survey.look()
            problems += self._survey.problems
        traces = self._survey.traces()
        try:
            report.commit = self._state().sha
        except PushError as error:
            problems.append(words(error))
        if traces or problems:
            raise PushError(self._unfinished(traces, problems))
        return report

    def _unfinished(self, traces: list[str], problems: list[str]) -> str:
        """What is said if not all is done."""
        gone = "no longer" if self._survey.contents else "not"
        is_again = self._survey.is_in_head
        where = f"is in main of {self._repo} again, and" if is_again else f"is {gone} in main of {self._repo}, but"
        what = "something of them is left" if traces else "not all could be done"
        return (
            f"{told_ids(self._participants)} {where} {what}: {'; '.join([*traces, *problems])}. Put right on the hub "
            "what can be, then delete again, which checks it."
        )

    def _clean_head(self, message: str) -> tuple[DeleteReport, list[str], bool]:
        """Take them out of the head: the report, what cannot be taken out, and whether anything was."""
        problem = ""
        try:
            return self._commit(message)
        except PushError as error:
            if not self._fate:
                raise
            problem = words(error)
        raise PushError(f"{problem}. {self._fate} {_AGAIN}")

    def _commit(self, message: str) -> tuple[DeleteReport, list[str], bool]:
        report, problems = DeleteReport(self._repo, self._participants), list[str]()
        patience, is_changed, is_done = Patience(self._client.tell), False, False
        while True:
            held, without = self._head()
            found = DeleteReport(self._repo, self._participants)
            without.count(found)
            problems += [problem for problem in without.problems() if problem not in problems]
            operations = without.operations()
            if not operations:
                report.others = report.others or found.others
                report.unread, report.named = found.unread, report.named or found.named
                return report, problems, is_changed
            self._survey.note(without.gone)
            _, failure = self._client.commit(self._repo, operations, message, held.sha)
            # The hub may have done what it did not confirm, which the next look at the head tells.
            report, is_changed, is_done = found, True, is_done or failure is None
            self._fate = self._told_fate(failure, is_done)
            if failure is not None and not patience.wait(failure, conflicts=True):
                again = "" if self._fate else f" {_AGAIN}"
                raise PushError(f"The commit to {self._repo} failed: {failure}.{advice(failure)}{again}")

    def _told_fate(self, failure: Failure | None, is_done: bool) -> str:
        """What a commit has done, in words, for whoever hears of nothing after it; "" if it was refused."""
        who = told_ids(self._participants)
        if is_done:
            return (
                f"The commit was made: {who} is no longer in the files of main, but its history still has them, and so "
                "have the stored files."
            )
        if failure is None or not (failure.passing or failure.status == ODD):
            return ""
        return f"Nobody knows whether the commit was made; main's history and the stored files have {who} still."

    def _forget_all(self, report: DeleteReport, is_changed: bool) -> tuple[bool, list[str]]:
        """Delete the stored files that nothing needs: whether the history goes after it, and what cannot be done."""
        left: list[str] = []
        for _ in range(LOOKS):
            goes = not self._survey.unread and (is_changed or self._survey.is_in_past)
            left = self._forget(report, history=goes)
            if not goes or not self._survey.is_outdated():
                break
            self._survey.look()
        return goes and not self._survey.unread, left

    def _forget(self, report: DeleteReport, *, history: bool) -> list[str]:
        """Delete their stored files; what of that cannot be done, and why, in words."""
        try:
            found = self._survey.forgettable(history=history)
            objects, unsure = found or ([], [])
            if objects:
                self._client.forget(self._repo, objects)
        except PushError as error:
            problem = f"their stored files, up to {len(self._survey.contents):,}, were not deleted for good"
            advice = (
                ": delete those that no commit names in the settings of the data set, since a later deletion no longer "
                "knows them"
            )
            return [f"{problem} ({words(error)}){advice if history else ''}"]
        report.forgotten = None if found is None else (report.forgotten or 0) + len(objects)
        left = (
            f"{len(unsure):,} stored files of shards that main's history alone had, of whomever, were left, since what "
            "could not be looked at may have them: delete those that no commit names in the settings of the data set"
        )
        return [left] if unsure else []

    def _squash(self, report: DeleteReport, message: str) -> list[str]:
        """Make one commit of the history of ``main``; why that cannot be done, in words."""
        if self._survey.is_main_known and len(self._survey.commits[MAIN]) == 1:
            return []
        try:
            self._client.squash(self._repo, message)
        except PushError as error:
            return [f"they are in main's history, still loadable by revision ({words(error)})"]
        report.squashed = True
        return []

    # --- what is there ------------------------------------------------------------------------------------------------

    def _tell(self, report: DeleteReport) -> None:
        """Tell what the commits have beside the head."""
        report.found = tuple(sorted({*report.found, *self._survey.found}))
        report.history_listed = self._survey.is_listed
        # After the commit, what it deleted is in the history as well.
        report.past = max(0, len(self._survey.past) - (0 if report.dry_run else report.shards))

    def _state(self) -> RepoState:
        state = self._client.state(self._repo)
        if state is None:
            raise PushError(
                f"{self._repo} cannot be found on the hub any more: was it deleted or renamed, or the token revoked?"
            )
        if state.private:
            return state
        raise PushError(
            f"{self._repo} is public: everybody can see the faces in it. Make it private in its settings first, or "
            "delete it as a whole."
        )

    def _head(self) -> tuple[Held, Without]:
        """The head, and what becomes of it; looked at anew if somebody squashed it away meanwhile."""
        looks, problem = 0, ""
        while True:
            sha, looks = self._state().sha, looks + 1
            try:
                held = Held(self._client, self._repo, sha)
                self._check_ours(held)
                without = Without(held, self._participants)
                without.operations(), without.problems()  # all is read that they need
                return held, without
            except NotThereError as error:
                problem = words(error)
            if looks == LOOKS or self._state().sha == sha:
                raise PushError(f"{problem}.")

    def _check_ours(self, held: Held) -> None:
        if held.is_ours:
            return
        # Somebody may have tidied up by hand: the history has them all the same.
        self._survey.look()
        if not self._survey.found and not self._survey.unread:
            raise PushError(f"{self._repo} was not pushed by this package, and nothing is deleted from it.")
