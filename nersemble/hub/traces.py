"""Where something of participants is: in commits of ``main`` and of other references, and among the stored files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import PushError
from .client import Client, NotThereError
from .facts import RemoteFile
from .report import shown
from .theirs import is_shard, shards_in, theirs_in

MAIN = "main"
#: Looks at a data set in which somebody squashes away what is being looked at.
LOOKS = 4
#: Commits of a reference that cannot be looked at, after which no older ones are asked for.
_MOST_UNREAD = 3


class Survey:
    """What commits and stored files have of some participants, as far as the hub lets one look.

    Attributes:
        commits: The commits of each reference that could be looked at, newest first; a reference whose history the hub
            does not list has itself for a commit.
        head: The newest commit of ``main``, also if it could not be looked at; "" if the hub refuses to tell.
        problems: What could not be looked at, in words.
        unread: Those of ``main``: what its history alone tells is not known then.
        is_listed: Whether the hub tells what there is to look through: the references, and the commits of ``main``.
        is_main_known: Whether all commits of ``main`` were looked at.
        contents: SHA-256 of every large file of theirs that was ever found.
        shards: Of their shards alone, each of which is in no file by chance; and git's hash of them, the only one that
            a hub gives for regular files.
    """

    def __init__(self, client: Client, repo_id: str, participants: tuple[int, ...]) -> None:
        self._client, self._repo, self._participants = client, repo_id, participants
        self._trees: dict[str, dict[str, RemoteFile]] = {}
        self._theirs: dict[str, dict[str, RemoteFile]] = {}
        self._texts: dict[str, bytes] = {}
        self._refused: dict[str, str] = {}
        self.commits: dict[str, list[str]] = {}
        self.head = ""
        self.problems: list[str] = []
        self.unread: list[str] = []
        self.is_listed = self.is_main_known = self._is_rest_known = True
        self._is_gone = False
        self.contents: set[str] = set()
        self.shards: set[str] = set()

    def note(self, files: Mapping[str, RemoteFile]) -> None:
        """Keep in mind which large files these files of theirs have."""
        for path, file in files.items():
            self.contents |= {file.sha256} if file.sha256 else set()
            self.shards |= {one for one in (file.oid, file.sha256) if one} if is_shard(path) else set()

    def look(self) -> None:
        """Look at all commits of all references; commits that were looked at before are not asked for again.

        If something is not there that was listed just before, somebody squashed or removed it: all is listed anew.
        """
        for _ in range(LOOKS):
            self._look_once()
            if not self._is_gone:
                return

    def is_outdated(self) -> bool:
        """Whether ``main`` has another head by now, as far as that can be told: its history has more then."""
        try:
            state = self._client.state(self._repo)
        except PushError:
            return False
        return state is not None and self.head not in ("", MAIN, state.sha)

    def _look_once(self) -> None:
        for ref in self.commits:
            self._trees.pop(ref, None)
            self._theirs.pop(ref, None)
        self.commits, self.problems, self._refused, self._is_gone = {}, [], {}, False
        others: list[str] | None = []
        try:
            others = self._client.other_refs(self._repo)
        except PushError as error:
            self.problems.append(f"branches, tags and pull requests could not be looked for ({words(error)})")
        self.is_listed = others is not None
        before = len(self.problems)
        self.unread = self._look_at(MAIN)
        self.problems += self.unread
        for ref in others or ():
            self.commits[ref] = []
            # What the hub made of the data is not looked at: it is named whatever it has.
            self.problems += [] if _is_conversion(ref) else self._look_at(ref)
        is_whole = not before and len(self.problems) == len(self.unread)
        self._is_rest_known = is_whole and others is not None and not any(map(_is_conversion, others))

    def _look_at(self, ref: str) -> list[str]:
        """Look at the commits of a reference; what could not be looked at, in words."""
        self.commits[ref], problems, called = [], list[str](), _called(ref)
        try:
            commits = self._client.commits(self._repo, ref)
        except PushError as error:
            problems.append(f"{called} could not be looked at ({words(error)})")
            commits = []
        if commits is None and ref == MAIN:
            self.is_listed = False
        elif commits is None and self.is_listed:  # the hub knows the question
            problems.append(f"the history of {called} could not be looked at")
            self._is_gone = True
        listed = commits if problems and commits is not None else commits or [ref]
        if ref == MAIN:
            self.head = listed[0] if listed else ""
        unread = 0
        for place, commit in enumerate(listed):
            problem = self._problem_of(commit)
            if not problem:
                self.commits[ref].append(commit)
                continue
            which = called if commit == ref else f"the commit {commit[:8]} of {called}"
            problems.append(f"{which} could not be looked at ({problem})")
            unread, older = unread + 1, len(listed) - place - 1
            if unread == _MOST_UNREAD and older:
                problems.append(f"{older:,} older commits of {called} were not looked at after that")
                break
        if ref == MAIN:
            self.is_main_known = commits is not None and not problems
        return problems

    def _problem_of(self, commit: str) -> str:
        """Note what a commit has of theirs; why it cannot be looked at, in words, or ""."""
        if commit not in self._refused:
            self._refused[commit] = ""
            try:
                self.note(self.theirs(commit))
            except PushError as error:
                self._is_gone = self._is_gone or isinstance(error, NotThereError)
                self._refused[commit] = words(error)
                self.note(shards_in(self._trees.get(commit, {}), self._participants))
        return self._refused[commit]

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
                    self._texts[oid] = self._client.read(self._repo, path, commit, files[path])
                return self._texts[oid]

            self._theirs[commit] = theirs_in(files, self._participants, read)
        return self._theirs[commit]

    def copies(self, commit: str) -> list[str]:
        """Files of a commit that are not theirs by path, and have what one of their shards has."""
        theirs = self.theirs(commit)
        files = self.files(commit).items()
        return sorted(path for path, file in files if {file.oid, file.sha256} & self.shards and path not in theirs)

    @property
    def found(self) -> tuple[int, ...]:
        """Which of the participants are in any commit, ascending."""
        commits = {commit for commits in self.commits.values() for commit in commits}
        return tuple(sorted({int(path.split("/")[1]) for commit in commits for path in self.theirs(commit)}))

    @property
    def past(self) -> dict[tuple[str, str], RemoteFile]:
        """Their shards in the history of ``main`` and not in its head, by path and content."""
        commits = self.commits.get(MAIN, [])
        has = set(self._keys(self.head)) if self.head in commits else set()
        return {key: file for commit in self._before for key, file in self._keys(commit).items() if key not in has}

    @property
    def _before(self) -> list[str]:
        """The commits of ``main`` before its head."""
        return [commit for commit in self.commits.get(MAIN, []) if commit != self.head]

    @property
    def is_in_head(self) -> bool:
        """Whether the head of ``main`` has something of theirs, as far as it could be looked at."""
        return self.head in self.commits.get(MAIN, []) and bool(self.theirs(self.head))

    def _keys(self, commit: str) -> dict[tuple[str, str], RemoteFile]:
        return {(path, file.oid): file for path, file in self.theirs(commit).items() if path.endswith(".parquet")}

    @property
    def is_in_past(self) -> bool:
        """Whether a commit of ``main`` before its head has something of theirs; also if that cannot be found out."""
        return not self.is_main_known or any(self.theirs(commit) or self.copies(commit) for commit in self._before)

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
            for commit in commits:
                past = ref == MAIN and commit != self.head
                if not past or history:
                    for path in self.copies(commit):
                        copies.setdefault(path, commit)
            having = next((one for one in commits if self.theirs(one)), "")
            if having and (ref != MAIN or history):
                past = ref == MAIN and having != self.head
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

    def forgettable(self, *, history: bool) -> tuple[list[Any], list[Any]] | None:
        """Stored files that go, and those that stay for want of knowing; None if the hub does not list any.

        These participants' go.  If the history of ``main`` goes, so do those of all shards that it alone has, whoever
        is in them: somebody may have been deleted by a call that got no further, and nothing tells once it is gone.
        They stay if something else may have them that could not be looked at.

        What no commit names is none of them: somebody else may have sent it and be about to commit it.  Needed is all
        that ``main`` names now, since these participants may have been pushed again, and all that is not theirs of any
        other reference.

        Args:
            history: Whether the history of ``main`` goes.

        Raises:
            PushError: If the hub refuses to tell.
        """
        kept = self._client.stored(self._repo)
        if kept is None:
            return None
        dropped = self._past_shards() if history and self.is_main_known else set()
        stored = [one for one in kept if {one.oid, one.file_oid} & (self.contents | dropped)]
        if not stored:
            return [], []
        needed = {file.sha256 for file in self._client.tree(self._repo, MAIN).values()}
        for ref, commits in self.commits.items():
            for commit in commits if ref != MAIN else ():
                theirs = self.theirs(commit)
                needed |= {file.sha256 for path, file in self.files(commit).items() if path not in theirs}
        free = [one for one in stored if not {one.oid, one.file_oid} & needed]
        sure = [self._is_rest_known or bool({one.oid, one.file_oid} & self.contents) for one in free]
        return (
            [one for one, goes in zip(free, sure, strict=True) if goes],
            [one for one, goes in zip(free, sure, strict=True) if not goes],
        )

    def _past_shards(self) -> set[str]:
        """SHA-256 of all shards in the history of ``main``, whoever is in them."""
        files = [item for commit in self._before for item in self.files(commit).items()]
        return {file.sha256 for path, file in files if file.sha256 and is_shard(path)}


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
