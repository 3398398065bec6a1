"""Where something of deleted participants may be left: other branches and tags, pull requests, stored files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .client import Client


def find_traces(client: Client, repo_id: str, participants: tuple[int, ...]) -> list[str]:
    """What of a data set still leads to files of these participants, in words: every commit of every reference."""
    looked: dict[str, bool] = {}
    found = []
    for ref in ["main", *client.other_refs(repo_id)]:
        if ref.startswith("refs/convert/"):
            found.append(f"{ref}, which the hub made of the data, may have copies")
            continue
        for commit in client.commits(repo_id, ref):
            if commit not in looked:
                looked[commit] = _has(client.tree(repo_id, commit), participants)
            if looked[commit]:
                found.append(f"{_called(ref)} has them in its commit {commit[:8]}")
                break
    return found


def unneeded_objects(client: Client, repo_id: str, participants: tuple[int, ...]) -> list[Any]:
    """Stored files that nothing needs but these participants' files, in whatever commit of any reference."""
    stored = client.stored(repo_id)
    needed: set[str | None] = set()
    for ref in ["main", *client.other_refs(repo_id)]:
        for commit in client.commits(repo_id, ref):
            files = client.tree(repo_id, commit)
            needed |= {file.sha256 for path, file in files.items() if not _has([path], participants)}
    return [one for one in stored if one.oid not in needed and one.file_oid not in needed]


def _has(files: Iterable[str], participants: tuple[int, ...]) -> bool:
    """Whether a commit has a shard of one of them, in whatever config."""
    folders = {f"{participant:03d}" for participant in participants}
    return any(path.endswith(".parquet") and folders & set(path.split("/")[:-1]) for path in files)


def _called(ref: str) -> str:
    for start, kind in (("refs/heads/", "the branch"), ("refs/tags/", "the tag"), ("refs/pr/", "the pull request")):
        if ref.startswith(start):
            return f"{kind} {ref.removeprefix(start)}"
    return ref
