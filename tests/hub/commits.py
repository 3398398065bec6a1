"""What writes to a repository: which files are large, commits, and squashing the past away.

Checked against ``create_commit``, ``upload_folder`` and ``super_squash_history`` of huggingface_hub 2.4.0, 1.33 and
0.34: newline-delimited JSON with a header first, then ``file``, ``lfsFile``, ``deletedFile`` and ``deletedFolder``.  A
commit is made as a whole or not at all.  A ``parentCommit`` that is no longer the head is refused with 412.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from .accounts import Refused
from .handler import Handler, Route
from .repos import Change, NoSuchFileError, NoSuchObjectError, StaleParentError, is_large

_ID = r"/api/datasets/([^/]+/[^/]+)"


def preupload(call: Handler, name: str, revision: str) -> None:
    asked, hub = call.read_json(), call.hub
    with hub.lock:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        tree = repo.commits[_branch(repo.branches, revision)].tree
        files = []
        for file in asked["files"]:
            path = file["path"]
            large = is_large(path, file["size"], base64.b64decode(file.get("sample", "")))
            described = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if path in tree:
                described["oid"] = tree[path].sha256 or tree[path].oid
            files.append(described)
    call.send_json({"files": files})


def commit(call: Handler, name: str, revision: str) -> None:
    if call.query.get("create_pr"):
        raise Refused(501, "This hub has no pull requests")
    try:
        change = _change(call.read_body())
    except (ValueError, KeyError) as error:
        raise Refused(400, f"Malformed commit: {error!r}") from None
    with call.hub.lock:
        repo = call.hub.accounts.check_write(call.token, call.hub.repos.get(name))
        _branch(repo.branches, revision)
        try:
            made = repo.commit(revision, change, call.token.user if call.token else "")
        except StaleParentError:
            raise Refused(412, "A commit has happened since. Please refresh and try again.") from None
        except NoSuchFileError as error:
            raise Refused(404, f"A file with this name doesn't exist: {error}", "EntryNotFound") from None
        except NoSuchObjectError as error:
            raise Refused(400, f"LFS pointer pointed to a file that does not exist: {error}") from None
    url = f"{call.hub.named or call.hub.url}/datasets/{name}/commit/{made.id}"
    call.send_json({"success": True, "commitOid": made.id, "commitUrl": url, "hookOutput": ""})


def super_squash(call: Handler, name: str, branch: str) -> None:
    asked = call.read_json()
    with call.hub.lock:
        repo = call.hub.accounts.check_write(call.token, call.hub.repos.get(name))
        _branch(repo.branches, branch)
        repo.super_squash(branch, asked.get("message", "Super-squash"), call.token.user if call.token else "")
    call.send_json({})


def regular_files(body: bytes) -> Iterator[tuple[str, int]]:
    """Path and size of every regular file that a commit brings along."""
    for line in _lines(body):
        if line.get("key") == "file":
            yield line["value"]["path"], len(base64.b64decode(line["value"]["content"]))


def _lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def _change(body: bytes) -> Change:
    header, *lines = _lines(body)
    if header["key"] != "header":
        raise ValueError("no header")
    told = header["value"]
    change = Change(told["summary"], told.get("description", ""), told.get("parentCommit"))
    for line in lines:
        key, value = line["key"], line["value"]
        if key == "file":
            change.steps.append(("file", value["path"], base64.b64decode(value["content"])))
        elif key == "lfsFile":
            change.steps.append(("large", value["path"], value["oid"]))
        else:
            change.steps.append(({"deletedFile": "delete", "deletedFolder": "delete_folder"}[key], value["path"], None))
    return change


def _branch(branches: dict[str, str], revision: str) -> str:
    if revision not in branches:
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return branches[revision]


ROUTES: list[Route] = [
    ("POST", re.compile(rf"{_ID}/preupload/([^/]+)"), "preupload", preupload),
    ("POST", re.compile(rf"{_ID}/commit/([^/]+)"), "commit", commit),
    ("POST", re.compile(rf"{_ID}/super-squash/([^/]+)"), "super-squash", super_squash),
]
