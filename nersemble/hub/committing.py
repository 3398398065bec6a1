"""The part of a push that sends: shards one by one, then commits, each on top of the head that was looked at.

A commit that nobody can tell the fate of, since the connection dropped, is not repeated blindly: the hub is looked at
again, and what it has is not to be done any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import PushError
from ..prepare import PreparePlan
from ..prepare.plans import PLAN_FILE
from ..prepare.target import Target
from ..progress import Count
from .aftermath import set_right
from .card import conflict_in, merge_card, unfinished
from .client import Client
from .content import Content
from .facts import RepoState
from .guard import Destination, public_refusal
from .held import CARD, Held
from .local import GOES_ON, LocalShards
from .looking import Looked
from .report import PushReport
from .retry import Patience
from .tokens import advice

#: Files of a commit at most; one that has more is made of several, and cannot be loaded until the last of them.
MOST = 250


def find_conflict(held: Held, plan: PreparePlan, *, replace: bool) -> str:
    """Why a plan must not be pushed on top of what a data set holds; "" if nothing stands against it.

    Raises:
        PushError: If its card or a plan of it cannot be read.
    """
    coming = [f"{plan.config}/{PLAN_FILE}", *(f"{plan.config}/{unit.name}" for unit in plan.units)]
    conflict = conflict_in(held.card, plan.config, held.files, held.configs, coming)
    return conflict or held.conflict(plan, replace=replace)


class _NotAsItWasError(PushError):
    """The target is public, or not there, while it may hold faces: what is said of it is found out then."""


@dataclass
class _Changes:
    """What a commit has to change: shards to add, paths to delete, and small files with their content."""

    shards: list[str]
    deletions: list[str]
    texts: dict[str, bytes]

    def __len__(self) -> int:
        return len(self.shards) + len(self.deletions) + len(self.texts)


class Committing:
    """Sends the shards of a plan.

    Args:
        client: The hub.
        plan: What they are.
        target: Where they are.
        destination: Where they go.
        looked: What may be sent.
        watch: Told how far it is.
        replace: Whether shards that the plan does not have may be deleted.
    """

    def __init__(
        self,
        client: Client,
        plan: PreparePlan,
        target: Target,
        destination: Destination,
        looked: Looked,
        watch: Callable[[Count], object],
        *,
        replace: bool = False,
    ) -> None:
        self._client, self._plan, self._replace = client, plan, replace
        self._shards = LocalShards(target, looked.shards)
        self._repo, self._looked, self._watch = destination.repo_id, looked, watch
        self._exists = destination.state is not None
        self._progress = Count()
        self._sent: set[str] = set()
        self._tried = False
        client.tell, client.has_begun = self._note, True

    def run(self, report: PushReport, message: str) -> None:
        """Do all that is left to do, and fill in the report.

        However it ends, if a commit may have landed, the hub is asked once more whether the faces are private; before
        that as well, if the target has turned public and held faces already.

        Raises:
            PushError: If the target is not private, or the hub does not take it.
        """
        ended: BaseException | None = None
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(self._shards.close_all)
                self._go(report, message)
        except BaseException as error:  # Ctrl-C as well
            if not self._tried and not isinstance(error, _NotAsItWasError):
                raise
            ended = error
        if ended is None:
            return
        words = set_right(self._client, self._repo)
        if words:
            raise PushError(f"{words} {_ending(ended)}".rstrip())
        if isinstance(ended, _NotAsItWasError):
            raise PushError(f"Somebody changed {self._repo} while it was pushed to; it is private now. Push again.")
        try:
            raise ended
        finally:
            del ended

    def _go(self, report: PushReport, message: str) -> None:
        if not self._exists:
            self._client.create(self._repo)
        patience, seen, done = Patience(self._note), False, False
        landed: set[str] = set()
        while not done:
            held = Held(self._client, self._repo, self._private_state().sha)
            self._check_config(held, first=not seen)
            seen = True
            changes = self._changes(held)
            if held.sha == report.commit:  # else what did not land would be sent for ever
                self._refuse_lost(held.sha, sorted(landed & set(changes.shards)))
            if not changes:
                report.commit = held.sha
                break
            batch = self._batch(changes, held)
            self._send(batch, report)
            operations = self._operations(batch)
            self._check_private()
            self._tried = True
            sha, failure = self._client.commit(self._repo, operations, message, held.sha)
            if failure is None:
                patience.reset()
                report.commit, report.commits = sha, report.commits + 1
                report.deleted += len(batch.deletions)
                for name in batch.shards:
                    self._shards.close(name)
                landed = set(batch.shards)
                done = batch is changes
            elif not patience.wait(failure, conflicts=True):
                raise PushError(f"The commit to {self._repo} failed: {failure}.{advice(failure)} {GOES_ON}")
        self._check_landed(report.commit)
        # The last call of all is that it is private.  What the hub had already are faces as well.
        self._tried = True
        self._check_private()

    # --- what is to be done -------------------------------------------------------------------------------------------

    def _changes(self, held: Held) -> _Changes:
        there, wanted = held.shards(self._plan.config), self._looked.shards
        card = merge_card(held.card, self._plan, self._looked.bytes)
        texts = {f"{self._plan.config}/{PLAN_FILE}": self._looked.plan, CARD: card.encode()}
        return _Changes(
            [name for name in wanted if not self._shards.is_in(there, name)],
            [name for name in there if name not in wanted],
            {path: data for path, data in texts.items() if path not in held.files or not held.files[path].holds(data)},
        )

    def _batch(self, changes: _Changes, held: Held) -> _Changes:
        """All changes, or the first of them with a card that lets nobody load what is not whole."""
        if len(changes) <= MOST:
            return changes
        texts = {}
        if unfinished(held.card, self._plan.config) != self._plan.hash:
            texts[CARD] = merge_card(held.card, self._plan, self._looked.bytes, incomplete=True).encode()
        shards = changes.shards[: MOST - 1]
        return _Changes(shards, changes.deletions[: MOST - 1 - len(shards)], texts)

    def _check_config(self, held: Held, *, first: bool) -> None:
        config = self._plan.config
        problem = find_conflict(held, self._plan, replace=self._replace)
        if not problem and not first and unfinished(held.card, config) not in ("", self._plan.hash):
            problem = f"Somebody else is pushing another plan into {config} of {self._repo}. Let one of you wait."
        if problem:
            raise PushError(problem)

    # --- doing it -----------------------------------------------------------------------------------------------------

    def _send(self, batch: _Changes, report: PushReport) -> None:
        """Send the shards of a batch that were not sent yet."""
        todo = [name for name in batch.shards if name not in self._sent]
        self._progress.files_total += len(todo)
        self._progress.bytes_total += sum(self._looked.shards[name].size for name in todo)
        for name in todo:
            content, size = self._shards.content(name), self._looked.shards[name].size
            self._check_private()
            self._upload(content)
            with self._shards.unchanged(name):
                content.sent()
            self._sent.add(name)
            report.sent, report.bytes_sent = report.sent + 1, report.bytes_sent + size
            self._progress.files_done += 1
            self._progress.bytes_done += size
            self._watch(self._progress)

    def _upload(self, content: Content) -> None:
        problem = ""
        try:
            self._client.upload(self._repo, content.operation)
        except PushError as error:
            problem = str(error)
        if problem:
            raise PushError(f"{problem} {GOES_ON}")

    def _operations(self, batch: _Changes) -> list[Any]:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        for path, data in batch.texts.items():
            secret = self._looked.forbidden.secret_in(data)
            if secret:
                raise PushError(f"{path} would hold {secret}. Take it out of the README.md on the hub.")
        return [
            *(CommitOperationDelete(path) for path in batch.deletions),
            *(self._shards.content(name).operation for name in batch.shards),
            *(CommitOperationAdd(path, data) for path, data in batch.texts.items()),
        ]

    # --- guarding it --------------------------------------------------------------------------------------------------

    def _private_state(self) -> RepoState:
        """The target as it is now.

        Raises:
            PushError: If it is not private, or not there under its name.
        """
        state = self._client.state(self._repo)
        if state is not None and state.id == self._repo and state.private:
            return state
        if self._tried or (state is not None and not state.private and self._has_faces(state)):
            raise _NotAsItWasError
        if state is None or state.id != self._repo:
            raise PushError(f"{self._repo} cannot be found on the hub any more. Was it deleted or renamed?")
        raise PushError(f"{public_refusal(self._repo)} No commit was made.")

    def _check_private(self) -> None:
        """The same, where its head is not needed."""
        if not self._client.is_private(self._repo):
            self._private_state()

    def _has_faces(self, state: RepoState) -> bool:
        """Whether there are faces from before this push; if that cannot be found out, there may be."""
        try:
            return Held(self._client, state.id, state.sha).is_ours
        except PushError:
            return True

    def _check_landed(self, sha: str) -> None:
        """Look whether a commit has everything, for a hub may pass over files that a .gitignore names."""
        changes = self._changes(Held(self._client, self._repo, sha))
        self._refuse_lost(sha, [*changes.shards, *changes.texts])

    def _refuse_lost(self, sha: str, lost: list[str]) -> None:
        if lost:
            raise PushError(
                f"The hub took the commit {sha}, but {len(lost):,} files are not in it as they were sent, {lost[0]} "
                f"first. Does {self._repo} have a .gitignore? {GOES_ON}"
            )

    def _note(self, words: str) -> None:
        self._progress.note = words
        self._watch(self._progress)


def _ending(error: BaseException) -> str:
    """How a push ended, where something else has to be said first."""
    if isinstance(error, _NotAsItWasError):
        return ""
    return f"It ended with: {error}" if isinstance(error, PushError) else f"It was stopped by {type(error).__name__}."
