"""What a hub keeps of a repository: commits by hash, files by content, branches, tags, visibility.

Regular files are kept by the hash that git gives them, large ones by their SHA-256, as on the real hub.  A commit holds
the whole tree, so a revision stays readable for as long as a branch or a tag leads to it.  ``super_squash`` cuts a
branch off from its past; what nothing leads to any more is forgotten, with the large files that it alone had.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

#: Files that are large whatever their size, as in the ``.gitattributes`` of a new data set.
LARGE = (
    *"7z arrow bin bz2 ckpt gz h5 lz4 npy npz parquet pickle pkl pt pth rar safetensors tar tgz xz zip zst".split(),
    *"pcm sam raw aac flac mp3 ogg wav bmp gif png tiff jpg jpeg webp mp4 webm".split(),
)
#: Above this, text is large as well.
LARGE_SIZE = 10 << 20

_ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE).encode()
_SERIAL = itertools.count(1)


class StaleParentError(Exception):
    """A commit names a parent that is no longer the head of its branch."""


class NoSuchFileError(Exception):
    """A commit deletes what is not there."""


class NoSuchObjectError(Exception):
    """A commit names a large file that was never uploaded."""


def git_hash(data: bytes) -> str:
    """The name that git gives to the contents of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether a file is uploaded apart from its commit; an empty one never is."""
    return size > 0 and (path.rpartition(".")[2].lower() in LARGE or size > LARGE_SIZE or b"\0" in sample)


@dataclass(frozen=True)
class Entry:
    """A file of a tree: ``oid`` as git counts, and ``sha256`` if the contents are kept as a large file."""

    oid: str
    size: int
    sha256: str | None = None
    pointer_size: int = 0

    @classmethod
    def regular(cls, data: bytes) -> Entry:
        return cls(git_hash(data), len(data))

    @classmethod
    def large(cls, sha256: str, size: int) -> Entry:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(git_hash(pointer), size, sha256, len(pointer))


@dataclass(frozen=True)
class Commit:
    """One commit, with its whole tree."""

    id: str
    parent: str | None
    tree: Mapping[str, Entry]
    title: str
    message: str
    author: str
    date: str


@dataclass
class Change:
    """What a commit asks for, in the order asked."""

    title: str
    message: str = ""
    parent: str | None = None
    #: ``("file", path, bytes)``, ``("large", path, sha256)``, ``("delete", path, None)``, ``("delete_folder", ...)``
    steps: list[tuple[str, str, bytes | str | None]] = field(default_factory=list)


class Repo:
    """One data set repository.

    Attributes:
        id: ``owner/name``.
        private: Whether only those with access see it.  A test may turn it at any time.
        gated: False, ``"auto"`` or ``"manual"``: files only for the owners and ``granted``.
        granted: Names of users that a gated repository was opened for.
        branches, tags: Name to commit.
        commits: Hash to commit, for those that something leads to.
        files: Contents of regular files by git's hash.
        large: Contents of large files by SHA-256, also those uploaded and not committed yet.
    """

    def __init__(self, name: str, *, private: bool, author: str) -> None:
        self.id, self.private, self.author = name, private, author
        self.gated: bool | str = False
        self.granted: set[str] = set()
        self.created = _now()
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.commits: dict[str, Commit] = {}
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        first = Change("initial commit", steps=[("file", ".gitattributes", _ATTRIBUTES)])
        self.branches["main"] = self._add(first, None, {}, author).id

    @property
    def owner(self) -> str:
        return self.id.partition("/")[0]

    @property
    def head(self) -> Commit:
        """The last commit of ``main``."""
        return self.commits[self.branches["main"]]

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag or a hash, which may be short."""
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        named = self.branches.get(short) or self.tags.get(short) or revision
        if named in self.commits:
            return self.commits[named]
        matching = [commit for name, commit in self.commits.items() if len(revision) >= 7 and name.startswith(revision)]
        return matching[0] if len(matching) == 1 else None

    def history(self, commit: Commit) -> Iterator[Commit]:
        """A commit and those before it."""
        step: Commit | None = commit
        while step is not None:
            yield step
            step = self.commits.get(step.parent) if step.parent else None

    def read(self, path: str, revision: str = "main") -> bytes:
        """The contents of a file; KeyError if there is none.  For tests, which may look behind every permission."""
        commit = self.find(revision)
        if commit is None:
            raise KeyError(revision)
        return self.contents(commit.tree[path])

    def contents(self, entry: Entry) -> bytes:
        return self.files[entry.oid] if entry.sha256 is None else self.large[entry.sha256]

    def paths(self, revision: str = "main") -> list[str]:
        """The files of a revision, but for ``.gitattributes``."""
        commit = self.find(revision)
        return sorted(set(commit.tree) - {".gitattributes"}) if commit else []

    def commit(self, branch: str, change: Change, author: str) -> Commit:
        """Add a commit to a branch, all of it or nothing."""
        parent = self.commits[self.branches[branch]]
        if change.parent is not None and not parent.id.startswith(change.parent):
            raise StaleParentError(parent.id)
        commit = self._add(change, parent.id, parent.tree, author)
        self.branches[branch] = commit.id
        return commit

    def super_squash(self, branch: str, title: str, author: str) -> Commit:
        """Make one commit without a past of a branch, and forget what nothing leads to."""
        tree = self.commits[self.branches[branch]].tree
        commit = self._add(Change(title), None, tree, author)
        self.branches[branch] = commit.id
        self.forget()
        return commit

    def forget(self) -> None:
        """Drop the commits that neither a branch nor a tag leads to, and the contents that only they had."""
        heads = {*self.branches.values(), *self.tags.values()}
        kept = {commit.id: commit for head in heads for commit in self.history(self.commits[head])}
        needed = set(_entries(kept.values()))
        dropped = set(_entries(commit for name, commit in self.commits.items() if name not in kept)) - needed
        still_large = {entry.sha256 for entry in needed}
        for entry in dropped:
            if entry.sha256 is None:
                self.files.pop(entry.oid, None)
            elif entry.sha256 not in still_large:
                self.large.pop(entry.sha256, None)
        self.commits = kept

    def _add(self, change: Change, parent: str | None, tree: Mapping[str, Entry], author: str) -> Commit:
        changed = dict(tree)
        contents: dict[str, bytes] = {}
        for kind, path, value in change.steps:
            if kind == "file" and isinstance(value, bytes):
                changed[path] = Entry.regular(value)
                contents[changed[path].oid] = value
            elif kind == "large" and isinstance(value, str):
                if value not in self.large:
                    raise NoSuchObjectError(value)
                changed[path] = Entry.large(value, len(self.large[value]))
            else:
                self._delete(changed, path, folder=kind == "delete_folder")
        self.files.update(contents)
        listed = "\n".join(f"{path} {entry.oid}" for path, entry in sorted(changed.items()))
        name = hashlib.sha1(f"{next(_SERIAL)} {self.id} {parent} {change.title}\n{listed}".encode()).hexdigest()
        commit = Commit(name, parent, changed, change.title, change.message, author, _now())
        self.commits[name] = commit
        return commit

    @staticmethod
    def _delete(tree: dict[str, Entry], path: str, *, folder: bool) -> None:
        prefix = path.rstrip("/") + "/"
        gone = [name for name in tree if (name.startswith(prefix) if folder else name == path)]
        if not gone:
            raise NoSuchFileError(path)
        for name in gone:
            del tree[name]


def _entries(commits: Iterable[Commit]) -> Iterator[Entry]:
    for commit in commits:
        yield from commit.tree.values()


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
