"""Where something of deleted participants may be left: other branches and tags, pull requests, stored files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .client import Client


def find_traces(client: Client, repo_id: str, participants: tuple[int, ...]) -> list[str]:
    """What of a data set still leads to files of these participants, in words: every commit of every reference."""
    looked: dict[str, bool] = {}
    found = []
    for ref in _refs(client, repo_id):
        if ref.startswith("refs/convert/"):
            found.append(f"{ref}, which the hub made of the data, may have copies")
            continue
        for commit in client.commits(repo_id, ref) or [ref]:
            if commit not in looked:
                looked[commit] = _has(client.tree(repo_id, commit), participants)
            if looked[commit]:
                found.append(f"{_called(ref)} has them in its commit {commit[:8]}")
                break
    return found


def contents_of(client: Client, repo_id: str, participants: tuple[int, ...]) -> set[str]:
    """The SHA-256 of every shard of these participants, in whatever commit of any reference."""
    found: set[str] = set()
    seen: set[str] = set()
    for ref in _refs(client, repo_id):
        for commit in client.commits(repo_id, ref) or [ref]:
            if commit not in seen:
                seen.add(commit)
                files = client.tree(repo_id, commit)
                found |= {file.sha256 for path, file in files.items() if file.sha256 and _has([path], participants)}
    return found


def forgettable(client: Client, repo_id: str, participants: tuple[int, ...], contents: set[str]) -> list[Any] | None:
    """Stored files with these contents, but for those that are needed now; None if the hub does not list them.

    What no commit names is none of them: somebody else may have sent it and be about to commit it.  Needed is all that
    ``main`` names, since these participants may have been pushed again, and all that is not theirs of any reference.
    """
    kept = client.stored(repo_id)
    if kept is None:
        return None
    stored = [one for one in kept if {one.oid, one.file_oid} & contents]
    needed: set[str | None] = set()
    for ref in _refs(client, repo_id) if stored else []:
        files = client.tree(repo_id, ref)
        needed |= {file.sha256 for path, file in files.items() if ref == "main" or not _has([path], participants)}
    return [one for one in stored if not {one.oid, one.file_oid} & needed]


def is_history_listed(client: Client, repo_id: str) -> bool:
    """Whether the hub tells what there is to look through: the branches, and the commits of ``main``."""
    return client.other_refs(repo_id) is not None and client.commits(repo_id, "main") is not None


def _refs(client: Client, repo_id: str) -> list[str]:
    return ["main", *(client.other_refs(repo_id) or [])]


def _has(files: Iterable[str], participants: tuple[int, ...]) -> bool:
    """Whether a commit has a shard of one of them, in whatever config."""
    folders = {f"{participant:03d}" for participant in participants}
    return any(path.endswith(".parquet") and folders & set(path.split("/")[:-1]) for path in files)


def _called(ref: str) -> str:
    for start, kind in (("refs/heads/", "the branch"), ("refs/tags/", "the tag"), ("refs/pr/", "the pull request")):
        if ref.startswith(start):
            return f"{kind} {ref.removeprefix(start)}"
    return ref
