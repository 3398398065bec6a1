"""``delete``: participants out of a pushed data set, with every trace that the hub lets one remove.

Consent can be withdrawn, also when nobody has the source data any more: all that is needed is on the hub.  What is left
to do follows from what the hub holds, so that doing it again after an interruption, or once more, is harmless.
"""

from __future__ import annotations

from typing import Any

from ..errors import PushError
from ..progress import Count, display, kind_for
from .client import Client, RepoState
from .guard import find_destination
from .held import Held
from .report import DeleteReport, told_ids
from .retry import Patience
from .scan import Forbidden
from .traces import MAIN, Survey, words
from .without import Without, is_in_name, parse_participants

__all__ = ["delete", "is_in_name", "parse_participants"]

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
        SelectionError: If ``participants`` names nobody.
    """
    wanted = parse_participants(participants)
    client = Client(token, endpoint)
    del token
    problem = Forbidden(client.tokens).problem_of(message or "")
    if problem:
        raise PushError(f"Nothing was deleted, since the commit's message {problem}. Give another message=.")
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
        return deleting.look() if dry_run else deleting.run(message or _title(wanted))


def _title(participants: tuple[int, ...]) -> str:
    """A message that does not keep what was deleted."""
    return "Delete a participant" if len(participants) == 1 else "Delete participants"


class _Deleting:
    """The deletion of participants from one data set."""

    def __init__(self, client: Client, repo_id: str, participants: tuple[int, ...]) -> None:
        self._client, self._repo, self._participants = client, repo_id, participants
        self._survey = Survey(client, repo_id, participants)

    def look(self) -> DeleteReport:
        """What there is to delete."""
        report, held = DeleteReport(self._repo, self._participants, dry_run=True), self._held()
        without = Without(held, self._participants)
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
        # The history goes last, for it alone says which stored files are theirs.  It goes also if the hub refuses the
        # stored files, since whoever can read the data set can load all that is in it.
        problems += self._forget(report)
        if is_changed or self._survey.is_in_past:
            problems += self._squash(report, message)
        self._survey.look()
        traces, problems = self._survey.traces(), [*problems, *self._survey.problems]
        try:
            report.commit = self._state().sha
        except PushError as error:
            problems.append(words(error))
        if traces or problems:
            raise PushError(self._unfinished(traces, problems))
        return report

    def _unfinished(self, traces: list[str], problems: list[str]) -> str:
        """What is said if not all is done."""
        again = any(self._survey.theirs(commit) for commit in self._survey.commits[MAIN][:1])
        gone = "no longer" if self._survey.contents else "not"
        where = f"is in main of {self._repo} again, and" if again else f"is {gone} in main of {self._repo}, but"
        what = "something of them is left" if traces else "not all could be done"
        return (
            f"{told_ids(self._participants)} {where} {what}: {'; '.join([*traces, *problems])}. Remove that on the "
            "hub, then delete again, which checks it."
        )

    def _clean_head(self, message: str) -> tuple[DeleteReport, list[str], bool]:
        """Take them out of the head: the report, what cannot be taken out, and whether anything was."""
        report, problems = DeleteReport(self._repo, self._participants), list[str]()
        patience, is_changed, is_done = Patience(self._client.tell), False, False
        while True:
            held = self._held(is_done)
            without = Without(held, self._participants)
            found = DeleteReport(self._repo, self._participants)
            without.count(found)
            problems += [problem for problem in without.problems() if problem not in problems]
            operations = without.operations()
            if not operations:
                report.others = report.others or found.others
                report.unread, report.named = found.unread, report.named or found.named
                return report, problems, is_changed
            _, failure = self._client.commit(self._repo, operations, message, held.sha)
            # The hub may have done what it did not confirm, which the next look at the head tells.
            report, is_changed, is_done = found, True, is_done or failure is None
            if failure is not None and not patience.wait(failure, conflicts=True):
                raise PushError(f"The commit to {self._repo} failed: {failure}. {_AGAIN}")

    def _forget(self, report: DeleteReport) -> list[str]:
        """Delete their stored files; why that cannot be done, in words."""
        try:
            objects = self._survey.forgettable()
            if objects:
                self._client.forget(self._repo, objects)
        except PushError as error:
            problem = (
                f"their stored files, up to {len(self._survey.contents):,}, were not deleted for good "
                f"({words(error)}): delete those that no commit names in the settings of the data set, since a later "
                "deletion no longer knows them"
            )
            return [problem]
        report.forgotten = None if objects is None else len(objects)
        return []

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

    def _state(self, is_done: bool = False) -> RepoState:
        state = self._client.state(self._repo)
        if state is None:
            raise PushError(f"{self._repo} cannot be found on the hub any more.")
        if state.private:
            return state
        done = (
            "It was made public meanwhile. They are no longer in the files of main, but its history still has them, "
            f"which everybody can load. {_AGAIN} "
            if is_done
            else ""
        )
        raise PushError(
            f"{self._repo} is public: everybody can see the faces in it. {done}Make it private in its settings first, "
            "or delete it as a whole."
        )

    def _held(self, is_done: bool = False) -> Held:
        held = Held(self._client, self._repo, self._state(is_done).sha)
        if not held.is_ours:
            # Somebody may have tidied up by hand: the history has them all the same.
            self._survey.look()
            if not self._survey.found:
                raise PushError(f"{self._repo} was not pushed by this package, and nothing is deleted from it.")
        return held
