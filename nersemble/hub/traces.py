"""Where something of participants is: in commits of ``main`` and of other references, and among the stored files."""

from __future__ import annotations

from typing import Any

from ..errors import PushError
from .client import Client, RemoteFile
from .report import shown
from .theirs import is_shard, theirs_in

MAIN = "main"


class Survey:
    """What commits and stored files have of some participants, as far as the hub lets one look.

    Attributes:
        commits: The commits of each reference, newest first, as far as they could be looked at; a reference whose
            history the hub does not list has itself for a commit.
        problems: What could not be looked at, in words.
        is_listed: Whether the hub tells what there is to look through: the references, and the commits of ``main``.
        is_main_known: Whether all commits of ``main`` were looked at.
        contents: SHA-256 of every large file of theirs that was ever found.
        shards: Of their shards alone, each of which is in no file by chance.
    """

    def __init__(self, client: Client, repo_id: str, participants: tuple[int, ...]) -> None:
        self._client, self._repo, self._participants = client, repo_id, participants
        self._trees: dict[str, dict[str, RemoteFile]] = {}
        self._theirs: dict[str, dict[str, RemoteFile]] = {}
        self._texts: dict[str, bytes] = {}
        self.commits: dict[str, list[str]] = {}
        self.problems: list[str] = []
        self.is_listed = self.is_main_known = True
        self.contents: set[str] = set()
        self.shards: set[str] = set()

    def look(self) -> None:
        """Look at all commits of all references; commits that were looked at before are not asked for again."""
        for ref in self.commits:
            self._trees.pop(ref, None)
            self._theirs.pop(ref, None)
        self.commits, self.problems = {}, []
        others: list[str] | None = []
        try:
            others = self._client.other_refs(self._repo)
        except PushError as error:
            self.problems.append(f"branches, tags and pull requests could not be looked for ({words(error)})")
        self.is_listed = others is not None
        self.is_main_known = True
        self._look_at(MAIN)
        for ref in others or ():
            if not _is_conversion(ref):
                self._look_at(ref)
            else:
                self.commits[ref] = []

    def _look_at(self, ref: str) -> None:
        self.commits[ref] = []
        try:
            commits = self._client.commits(self._repo, ref)
            if commits is None and ref == MAIN:
                self.is_listed = self.is_main_known = False
            for commit in commits or [ref]:
                for path, file in self.theirs(commit).items():
                    self.contents |= {file.sha256} if file.sha256 else set()
                    self.shards |= {file.sha256} if file.sha256 and is_shard(path) else set()
                self.commits[ref].append(commit)
            if commits is None and ref != MAIN and self.is_listed:  # the hub knows the question
                self.problems.append(f"the history of {_called(ref)} could not be looked at")
        except PushError as error:
            self.problems.append(f"{_called(ref)} could not be looked at ({words(error)})")
            self.is_main_known = self.is_main_known and ref != MAIN

    # --- commits ------------------------------------------------------------------------------------------------------

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """All files of a commit."""
        if commit not in self._trees:
            self._trees[commit] = self._client.tree(self._repo, commit)
        return self._trees[commit]

    def theirs(self, commit: str) -> dict[str, RemoteFile]:
        """The files of these participants in a commit."""
        if commit not in self._theirs:
            files = self.files(commit)

            def read(path: str) -> bytes:
                oid = files[path].oid
                if oid not in self._texts:
                    self._texts[oid] = self._client.read(self._repo, path, commit)
                return self._texts[oid]

            self._theirs[commit] = theirs_in(files, self._participants, read)
        return self._theirs[commit]

    def copies(self, commit: str) -> list[str]:
        """Files of a commit that are not theirs by path, and have what one of their shards has."""
        theirs = self.theirs(commit)
        files = self.files(commit).items()
        return sorted(path for path, file in files if file.sha256 in self.shards and path not in theirs)

    @property
    def found(self) -> tuple[int, ...]:
        """Which of the participants are in any commit, ascending."""
        commits = {commit for commits in self.commits.values() for commit in commits}
        return tuple(sorted({int(path.split("/")[1]) for commit in commits for path in self.theirs(commit)}))

    @property
    def past(self) -> dict[tuple[str, str], RemoteFile]:
        """Their shards in the history of ``main`` and not in its head, by path and content."""
        head, *before = self.commits.get(MAIN) or [""]
        has = set(self._keys(head)) if head else set()
        return {key: file for commit in before for key, file in self._keys(commit).items() if key not in has}

    def _keys(self, commit: str) -> dict[tuple[str, str], RemoteFile]:
        return {(path, file.oid): file for path, file in self.theirs(commit).items() if path.endswith(".parquet")}

    @property
    def is_in_past(self) -> bool:
        """Whether a commit of ``main`` before its head has something of theirs; also if that cannot be found out."""
        before = self.commits[MAIN][1:]
        return not self.is_main_known or any(self.theirs(commit) or self.copies(commit) for commit in before)

    def traces(self, *, history: bool = True) -> list[str]:
        """What still leads to files of theirs, in words.

        Args:
            history: Whether ``main`` and its history are to be free of them; what was not copied elsewhere is passed
                over there if not.
        """
        found = []
        for ref, commits in self.commits.items():
            called, copies = _called(ref), dict[str, str]()
            if _is_conversion(ref):
                found.append(f"{ref}, which the hub made of the data, may have copies")
            for place, commit in enumerate(commits):
                past = ref == MAIN and place > 0
                if not past or history:
                    for path in self.copies(commit):
                        copies.setdefault(path, commit)
            having = next((one for one in commits if self.theirs(one)), "")
            if having and (ref != MAIN or history):
                past = ref == MAIN and having != commits[0]
                called_so = "main's history, still loadable by revision," if past else called
                found.append(f"{called_so} has them in its commit {having[:8]}")
            if copies:
                first = next(iter(copies.values()))
                found.append(
                    f"{called} has copies of their shards in its commit {first[:8]}, {shown(copies)}, which are not "
                    "where this package puts any: remove them yourself, with their history and stored files, since a "
                    "later deletion no longer knows them"
                )
        return found

    # --- stored files -------------------------------------------------------------------------------------------------

    def forgettable(self) -> list[Any] | None:
        """Stored files of theirs, but for those that are needed now; None if the hub does not list them.

        What no commit names is none of them: somebody else may have sent it and be about to commit it.  Needed is all
        that ``main`` names now, since these participants may have been pushed again, and all that is not theirs of any
        other reference.

        Raises:
            PushError: If the hub refuses to tell.
        """
        kept = self._client.stored(self._repo)
        if kept is None:
            return None
        stored = [one for one in kept if {one.oid, one.file_oid} & self.contents]
        if not stored:
            return []
        needed = {file.sha256 for file in self._client.tree(self._repo, MAIN).values()}
        for ref, commits in self.commits.items():
            for commit in commits if ref != MAIN else ():
                theirs = self.theirs(commit)
                needed |= {file.sha256 for path, file in self.files(commit).items() if path not in theirs}
        return [one for one in stored if not {one.oid, one.file_oid} & needed]


def _is_conversion(ref: str) -> bool:
    return ref.startswith("refs/convert/")


def words(error: PushError) -> str:
    """What an error says, to stand inside a sentence."""
    return str(error).rstrip(". ")


def _called(ref: str) -> str:
    for start, kind in (("refs/heads/", "the branch"), ("refs/tags/", "the tag"), ("refs/pr/", "the pull request")):
        if ref.startswith(start):
            return f"{kind} {ref.removeprefix(start)}"
    return ref
