"""What deleting needs of a hub beyond pushing: stored files that outlive their commits, and pull requests.

The real hub keeps large files that no commit has any more until they are deleted for good.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from _pushing import Pushing, make, pushing
from hub import Hub, Repo
from hub.routes import find

from nersemble.hub import DeleteReport, delete, retry
from nersemble.prepare import PreparePlan

_ID = "/api/datasets/([^/]+/[^/]+)"


def add_cleaning(hub: Hub) -> None:
    """Let a hub list and delete stored files, and show pull requests: its tags that are called ``refs/pr/N``."""

    def listed(call: Any, name: str) -> None:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        items = [
            {
                "fileOid": oid,
                "oid": oid,
                "filename": "a file",
                "pushedAt": "2026-01-01T00:00:00.000Z",
                "size": len(data),
                "ref": None,
            }
            for oid, data in repo.large.items()
        ]
        call.send_json(items)

    def deleted(call: Any, name: str) -> None:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        for oid in call.read_json()["deletions"]["sha"]:
            repo.large.pop(oid, None)
        call.send_json({})

    def refs(call: Any, name: str) -> None:
        repo, _ = find(call, name, "main")
        kinds: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": [], "pullRequests": []}
        for branch, commit in repo.branches.items():
            kinds["branches"].append({"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commit})
        for tag, commit in repo.tags.items():
            start = {"refs/pr/": "pullRequests", "refs/convert/": "converts"}
            kind = next((kind for start, kind in start.items() if tag.startswith(start)), "tags")
            ref = f"refs/tags/{tag}" if kind == "tags" else tag
            kinds[kind].append({"name": tag, "ref": ref, "targetCommit": commit})
        call.send_json(kinds)

    routes = [
        ("GET", re.compile(f"{_ID}/lfs-files"), "stored", listed),
        ("POST", re.compile(f"{_ID}/lfs-files/batch"), "forget", deleted),
        ("GET", re.compile(f"{_ID}/refs"), "refs", refs),
    ]
    hub.routes[:0] = routes


def keep_objects(repo: Repo) -> None:
    """Keep large files when commits go, as the real hub does."""
    forget = repo.forget

    def commits_alone() -> None:
        kept = dict(repo.large)
        forget()
        repo.large.update(kept)

    repo.forget = commits_alone  # type: ignore[method-assign]


def make_three(folder: Path, demo: Path) -> tuple[Path, PreparePlan]:
    """Shards of three participants in the config ``heads``."""
    options = {"participants": "50,55,240", "sequences": None, "timesteps": "0::30", "config_name": "heads"}
    return folder, make(folder, demo, **options)


def pushed(hub: Hub, demo: Path, three: tuple[Path, PreparePlan], monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """Alice, who pushed a config of 240 alone, and one of three participants."""
    monkeypatch.setattr(retry, "WAITS", (0.02, 0.05, 0.1, 0.2))
    add_cleaning(hub)
    alice = pushing(hub, demo, monkeypatch)
    alice.push()
    alice.push(folder=three[0], plan=three[1])
    keep_objects(alice.repo)
    hub.reset()
    return alice


def erase(alice: Pushing, participants: Any = "240", **options: Any) -> DeleteReport:
    """Delete as Alice."""
    given = {"token": alice.token, "endpoint": alice.hub.url, "progress": False, **options}
    return delete("alice/faces", participants, **given)
