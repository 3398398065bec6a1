"""What a push or a deletion will do, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..units import format_bytes

#: Names that a text shows.
_SHOWN = 5


@dataclass(frozen=True)
class PushDescription:
    """What a push would do, found out without changing anything.

    Attributes:
        config: Name of the config.
        plan: Hash of the plan.
        rows: Rows that it has.
        pictures: Pictures in them.
        participants: Ids of the participants.
        shards: How many shards it has.
        bytes: Bytes of the shards in the folder; None if no folder was given.
        missing: Shards of the plan that are not in the folder.
        to_send: Shards of the folder that the data set does not have as they are here.
        bytes_to_send: Bytes of these.
        to_delete: Shards on the hub that the plan does not have.
        repo_id: ``owner/name``.
        exists: Whether it exists.
        visibility: ``private``, ``PUBLIC``, or ``to be made, private``.
        user: Whose token it is.
        readers: Who will be able to see the faces, in words.
        organization: Whether these are the members of an organisation.
        members: How many they are; None if the hub does not tell.
        url_known: Whether this machine has an access URL, which is looked for in the shards only then.
        overridden: What others wrote of licence, gate and viewer in the card, in whose place others come.
        refusal: Why it would be refused; "" if nothing is known to stand against it.
    """

    config: str
    plan: str
    rows: int
    pictures: int
    participants: tuple[int, ...]
    shards: int
    bytes: int | None
    missing: int
    to_send: int
    bytes_to_send: int
    to_delete: int
    repo_id: str
    exists: bool
    visibility: str
    user: str
    readers: str
    organization: bool
    members: int | None
    url_known: bool
    overridden: tuple[str, ...]
    refusal: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**self.__dict__, "participants": list(self.participants), "overridden": list(self.overridden)}

    def __str__(self) -> str:
        held = f"{self.rows:,} rows, {self.pictures:,} pictures, {len(self.participants):,} participants"
        size = "" if self.bytes is None else f", {format_bytes(self.bytes)}"
        lines = [
            f"Push {self.config}: {held}, {self.shards:,} shards{size}",
            f"  to          {self.repo_id}: {self.visibility}",
            f"  as          {self.user}",
            f"  seen by     {self.readers}",
        ]
        if self.bytes is not None:
            there = self.shards - self.missing - self.to_send
            size = format_bytes(self.bytes_to_send)
            lines.append(f"  to send     {self.to_send:,} shards, {size}; {there:,} there already")
        if self.to_delete:
            lines.append(f"  to delete   {self.to_delete:,} shards there that the plan does not have")
        if self.organization:
            lines.append(f"Note: {self.readers} will be able to see the faces.")
        if not self.url_known:
            lines.append(_note_of_url("cannot"))
        lines += _note_of_terms(self)
        if self.refusal:
            lines.append(f"This will be refused: {self.refusal}")
        return "\n".join(lines)


@dataclass
class PushReport:
    """What came of a push.

    Attributes:
        description: What was to be done.
        dry_run: Whether that was all.
        commit: The commit that has everything, which never changes; "" of a dry run.
        commits: How many commits were made; 0 if the hub had everything.
        sent: Shards that the data set did not have as they are here, and that were handed to the hub.
        bytes_sent: Their bytes. Of what was handed over before and not committed, or is in another config, the hub
            takes none again; its client does not tell.
        deleted: Shards that were deleted on the hub.
        seconds: How long it took.
    """

    description: PushDescription
    dry_run: bool = False
    commit: str = ""
    commits: int = 0
    sent: int = 0
    bytes_sent: int = 0
    deleted: int = 0
    seconds: float = 0.0

    @property
    def repo_id(self) -> str:
        """``owner/name``."""
        return self.description.repo_id

    @property
    def load_line(self) -> str:
        """Python that loads exactly what was pushed, whatever is pushed later; "" of a dry run."""
        if not self.commit:
            return ""
        return f'load_dataset("{self.repo_id}", "{self.description.config}", split="train", revision="{self.commit}")'

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            **self.description.as_dict(),
            "dry_run": self.dry_run,
            "commit": self.commit,
            "commits": self.commits,
            "sent": self.sent,
            "bytes_sent": self.bytes_sent,
            "deleted": self.deleted,
            "seconds": round(self.seconds, 3),
            "load": self.load_line,
        }

    def __str__(self) -> str:
        if self.dry_run:
            return str(self.description)
        told = self.description
        did = f"{self.sent:,} new or changed, {format_bytes(self.bytes_sent)}"
        did += f"; {self.deleted:,} deleted" if self.deleted else ""
        return "\n".join(
            [
                f"Pushed {told.config} to {self.repo_id}: {told.rows:,} rows, {told.shards:,} shards; {did}.",
                f"It is private, seen by {told.readers}.",
                *([] if told.url_known else [_note_of_url("could not")]),
                *_note_of_terms(told),
                f"Commit {self.commit}",
                self.load_line,
            ]
        )


@dataclass
class DeleteReport:
    """What came of a deletion.

    Attributes:
        repo_id: ``owner/name``.
        participants: Who was to be deleted.
        found: Who was there, in whatever commit.
        dry_run: Whether nothing was deleted.
        shards: Shards that were deleted.
        files: Other files in the participants' folders that were deleted.
        bytes: Bytes of both.
        past: More shards of theirs that only the history of ``main`` had.
        configs: Configs that had any of them.
        changed: Configs whose shards, plan or section of the card had them, if only in the words of a selection.
        emptied: Configs that have nothing left, and are gone.
        named: Configs that stay, and whose name has one of the ids, or a range with it.
        others: Files that stay of these and of configs without a plan any more, as this package did not make them.
        unread: Configs whose plan, which stays, cannot be read: it may name them.
        squashed: Whether the history was made one commit.
        history_listed: Whether the hub lists branches and commits; what it does not list was not looked through.
        forgotten: Stored files that the hub deleted for good; None if it does not list them.
        remaining: Where else something of them is, or could not be looked for, in words; only of a dry run, since
            otherwise it raises.
        commit: The commit that ``main`` is at.
    """

    repo_id: str
    participants: tuple[int, ...]
    found: tuple[int, ...] = ()
    dry_run: bool = False
    shards: int = 0
    files: int = 0
    bytes: int = 0
    past: int = 0
    configs: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    squashed: bool = False
    history_listed: bool = True
    forgotten: int | None = 0
    remaining: list[str] = field(default_factory=list)
    commit: str = ""

    @property
    def nobody(self) -> bool:
        """Whether nothing of these participants was there, in any commit, and so nothing was to do."""
        return self.history_listed and not (self.found or self.changed or self.squashed or self.remaining)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}

    def __str__(self) -> str:
        who = told_ids(self.participants)
        if self.nobody:
            lines = [
                f"Nothing of {who} is in any config of {self.repo_id}, in no commit: nothing to delete.",
                "A copy that somebody put elsewhere is not known by that.",
            ]
            return "\n".join([*lines, *self._notes()])
        files = f" and {self.files:,} other files" if self.files else ""
        held = f"{self.shards:,} shards{files}, {format_bytes(self.bytes)}, in {len(self.configs):,} configs"
        held += f"; {self.past:,} more in the history" if self.past else ""
        if self.dry_run:
            return "\n".join(
                [
                    f"To delete from {self.repo_id}: {who}: {held}.",
                    "The history of main becomes one commit, if it has them: pinned revisions then load no more.",
                    *(
                        []
                        if self.history_listed
                        else ["This hub does not list all that would have to be looked through."]
                    ),
                    *(f"It will not be enough: {one}." for one in self.remaining),
                    *self._notes(),
                ]
            )
        lines = [f"Deleted from {self.repo_id}: {who}: {held}."]
        if self.emptied:
            lines.append(f"Gone with them, as nothing was left: {', '.join(self.emptied)}.")
        lines += self._notes()
        lines.append(
            "They are in no commit any more."
            if self.history_listed
            else "The history of main is one commit without them. This hub does not list what else there is: look "
            "through its branches and pull requests."
        )
        lines.append(
            "This hub does not list its stored files: ask those who run it to delete what no commit names."
            if self.forgotten is None
            else f"{self.forgotten:,} stored files were deleted for good."
            if self.history_listed
            else f"{self.forgotten:,} stored files were deleted for good; look for those that no commit names."
        )
        lines.append("Copies that others made are beyond the hub's reach: tell whoever loaded this data set.")
        return "\n".join(lines)

    def _notes(self) -> list[str]:
        """What stays and may say something of them."""
        notes = []
        if self.named:
            notes.append(f"The name stays of {', '.join(self.named)}, which names them, or a range with them.")
        if self.others:
            notes.append(f"Not made by this package, and left: {shown(self.others)}.")
        if self.unread:
            notes.append(f"The plan cannot be read, and may name them, of {', '.join(self.unread)}.")
        return notes


def _note_of_terms(told: PushDescription) -> list[str]:
    said = "; ".join(told.overridden)
    viewer = ", which the hub is not to show in its viewer," if "viewer: " in said else ""
    return (
        [f"Note: in the card, the terms of the NeRSemble data set{viewer} take the place of: {said}."] if said else []
    )


def _note_of_url(can: str) -> str:
    return f"Note: no access URL is set here, so shards {can} be searched for it."


def shown(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def told_ids(numbers: Iterable[int]) -> str:
    """``"50-52, 240"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
