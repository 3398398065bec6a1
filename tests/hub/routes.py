"""The hub's API: who am I, repositories and their settings, listings, files by revision.

Each route was checked against the calls of ``HfApi``, ``HfFileSystem`` and ``hf_hub_download`` of huggingface_hub
2.4.0, 1.33 and 0.34, and of ``load_dataset`` and ``push_to_hub`` of datasets 5.2, 4.7 and 3.6, in test_hub.py:

- whoami-v2, organizations/{name}/members: ``whoami``, ``list_organization_members``;
- repos/create: ``visibility`` of 2.x, ``private`` of those before it; 409 with the url of what is there already;
- repos/delete, settings, auth-check, branch, tag, refs, commits (in pages), super-squash: the namesakes;
- revision, tree (in pages, with ``Link``), paths-info (a form; JSON as well): ``repo_info``, ``load_dataset``;
- resolve: ``hf_hub_download`` and streaming; a large file is a redirect to another host name;
- validate-yaml: ``create_commit`` with a card.  It knows no YAML: it warns of a card without metadata, as the hub does.

Not there, as no client here asks for it: pull requests, models and spaces, Xet (404), the data viewer (501).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlencode

from .accounts import Refused
from .handler import Handler, Route
from .repos import Commit, Entry, Repo
from .storage import link

_ID = r"/api/datasets/([^/]+/[^/]+)"


def find(call: Handler, name: str, revision: str) -> tuple[Repo, Commit]:
    """A repository that who asks may read, and one of its commits."""
    repo = call.hub.accounts.check_read(call.token, call.hub.repos.get(name))
    commit = repo.find(revision)
    if commit is None:
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return repo, commit


# --- people -----------------------------------------------------------------------------------------------------------


def whoami(call: Handler) -> None:
    if call.token is None:
        raise Refused(401, "Invalid username or password.")
    call.send_json(call.hub.accounts.describe(call.token))


def members(call: Handler, name: str) -> None:
    call.send_json(call.hub.accounts.members(name))


# --- repositories -----------------------------------------------------------------------------------------------------


def create(call: Handler) -> None:
    asked, hub = call.read_json(), call.hub
    if asked.get("type") != "dataset":
        raise Refused(400, "This hub has data sets only")
    if call.token is None:
        raise Refused(401, "Invalid username or password.")
    namespace = asked.get("organization") or call.token.user
    name = f"{namespace}/{asked['name']}"
    with hub.lock:
        space = hub.accounts.check_create(call.token, namespace, name)
        answer = {"url": f"{hub.named or hub.url}/datasets/{name}", "name": name}
        if name in hub.repos:
            # Whatever visibility was asked for: what is there stays as it is.
            call.send_json({**answer, "error": "You already created this dataset repo"}, status=409)
            return
        private = asked.get("private")
        if asked.get("visibility") is not None:
            private = asked["visibility"] == "private"
        hub.create(name, private=space.default_private if private is None else private, author=call.token.user)
    call.send_json({**answer, "id": f"id-{name}"})


def delete(call: Handler) -> None:
    asked, hub = call.read_json(), call.hub
    namespace = asked.get("organization") or (call.token.user if call.token else "")
    with hub.lock:
        repo = hub.accounts.check_write(call.token, hub.repos.get(f"{namespace}/{asked['name']}"))
        del hub.repos[repo.id]
    call.send_json({})


def settings(call: Handler, name: str) -> None:
    asked, hub = call.read_json(), call.hub
    with hub.lock:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        if "visibility" in asked:
            repo.private = asked["visibility"] == "private"
        repo.private = asked.get("private", repo.private)
        repo.gated = asked.get("gated", repo.gated)
    call.send_json({"private": repo.private, "gated": repo.gated})


def auth_check(call: Handler, name: str, write: str) -> None:
    accounts, repo = call.hub.accounts, call.hub.repos.get(name)
    if write:
        accounts.check_write(call.token, repo)
    else:
        accounts.check_files(call.token, accounts.check_read(call.token, repo))
    call.send_json({})


def info(call: Handler, name: str, revision: str = "") -> None:
    with call.hub.lock:
        name = call.hub.moved.get(name, name)
        repo, commit = find(call, name, revision or "main")
        described = {
            "_id": f"id-{name}",
            "id": name,
            "author": repo.owner,
            "sha": commit.id,
            "createdAt": repo.created,
            "lastModified": commit.date,
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [_sibling(path, entry, call.flag("blobs")) for path, entry in sorted(commit.tree.items())],
        }
    expand = {*call.query.get("expand", ()), *call.query.get("expand[]", ())}
    call.send_json({key: described[key] for key in described if not expand or key in {"_id", "id", *expand}})


def _sibling(path: str, entry: Entry, detailed: bool) -> dict[str, Any]:
    if not detailed:
        return {"rfilename": path}
    described: dict[str, Any] = {"rfilename": path, "size": entry.size, "blobId": entry.oid}
    if entry.sha256:
        described["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return described


# --- listings ---------------------------------------------------------------------------------------------------------


def tree(call: Handler, name: str, revision: str, folder: str = "") -> None:
    with call.hub.lock:
        repo, commit = find(call, name, revision)
        prefix = folder.strip("/") + "/" if folder.strip("/") else ""
        below = [path for path in commit.tree if path.startswith(prefix)]
        if prefix and not below:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound", X_Repo_Commit=commit.id)
        names = set(below) if call.flag("recursive") else {path for path in below if "/" not in path[len(prefix) :]}
        folders = {path[:end] for path in below for end in _slashes(path) if end > len(prefix)}
        if not call.flag("recursive"):
            folders = {path for path in folders if "/" not in path[len(prefix) :]}
        listed = [_listed(call, repo, commit, path) for path in sorted(names | folders)]
    _send_page(call, listed, call.hub.page_size)


def paths_info(call: Handler, name: str, revision: str) -> None:
    if "json" in call.headers.get("Content-Type", ""):
        wanted, expand = call.read_json().get("paths", []), call.read_json().get("expand", False)
    else:
        form = parse_qs(call.read_body().decode())
        wanted, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    call.query["expand"] = [str(expand)]
    with call.hub.lock:
        repo, commit = find(call, name, revision)
        folders = {path[:end] for path in commit.tree for end in _slashes(path)}
        there = [path.strip("/") for path in wanted if path.strip("/") in commit.tree or path.strip("/") in folders]
        listed = [_listed(call, repo, commit, path) for path in there]
    call.send_json(listed)


def _slashes(path: str) -> list[int]:
    return [place for place, letter in enumerate(path) if letter == "/"]


def _listed(call: Handler, repo: Repo, commit: Commit, path: str) -> dict[str, Any]:
    entry = commit.tree.get(path)
    if entry is None:
        described: dict[str, Any] = {"type": "directory", "oid": _tree_id(commit, path), "size": 0, "path": path}
    else:
        described = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            described["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    if call.flag("expand"):
        last = commit
        for before in repo.history(commit):
            if _state(before, path) != _state(commit, path):
                break
            last = before
        described["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return described


def _state(commit: Commit, path: str) -> object:
    return commit.tree.get(path) or _tree_id(commit, path)


def _tree_id(commit: Commit, folder: str) -> str:
    below = sorted((path, entry.oid) for path, entry in commit.tree.items() if path.startswith(f"{folder}/"))
    return hashlib.sha1(repr(below).encode()).hexdigest()


def _send_page(call: Handler, items: list[dict[str, Any]], size: int) -> None:
    start = int(call.query.get("cursor", ["0"])[0])
    headers = {}
    if start + size < len(items):
        query = {**{key: values[0] for key, values in call.query.items()}, "cursor": str(start + size)}
        path = call.path.partition("?")[0]
        headers["Link"] = f'<{call.hub.url}{path}?{urlencode(query)}>; rel="next"'
    call.send_json(items[start : start + size], **headers)


def commits(call: Handler, name: str, revision: str) -> None:
    with call.hub.lock:
        repo, commit = find(call, name, revision)
        listed = [
            {
                "id": step.id,
                "title": step.title,
                "message": step.message,
                "authors": [{"user": step.author, "avatar": ""}],
                "date": step.date,
            }
            for step in repo.history(commit)
        ]
    _send_page(call, listed, call.hub.page_size)


# --- branches ---------------------------------------------------------------------------------------------------------


def refs(call: Handler, name: str) -> None:
    with call.hub.lock:
        repo, _ = find(call, name, "main")
        kinds = {"branches": ("heads", repo.branches), "tags": ("tags", repo.tags)}
        listed = {
            kind: [
                {"name": ref, "ref": f"refs/{folder}/{ref}", "targetCommit": target} for ref, target in known.items()
            ]
            for kind, (folder, known) in kinds.items()
        }
    call.send_json({**listed, "converts": [], "pullRequests": []})


def make_ref(call: Handler, name: str, kind: str, ref: str) -> None:
    """A branch has its own name in the path, a tag the revision that it is put on."""
    asked, hub = call.read_json(), call.hub
    with hub.lock:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        known, new = (repo.branches, ref) if kind == "branch" else (repo.tags, asked["tag"])
        start = asked.get("startingPoint", "main") if kind == "branch" else ref
        if new in known:
            raise Refused(409, f"Reference already exists: {new}")
        known[new] = find(call, name, start)[1].id
    call.send_json({})


def delete_ref(call: Handler, name: str, kind: str, ref: str) -> None:
    with call.hub.lock:
        repo = call.hub.accounts.check_write(call.token, call.hub.repos.get(name))
        known = repo.branches if kind == "branch" else repo.tags
        if ref not in known or (kind == "branch" and ref == "main"):
            raise Refused(404, f"Reference does not exist: {ref}", "RevisionNotFound")
        del known[ref]
        repo.forget()
    call.send_json({})


# --- files ------------------------------------------------------------------------------------------------------------


def resolve(call: Handler, name: str, revision: str, path: str) -> None:
    with call.hub.lock:
        repo, commit = find(call, name, revision)
        call.hub.accounts.check_files(call.token, repo)
        entry = commit.tree.get(path)
        if entry is None:
            raise Refused(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.id)
        data = repo.contents(entry)
    headers = {"X-Repo-Commit": commit.id, "X-Linked-Size": str(entry.size)}
    if entry.sha256 is None:
        call.send_file(data, {**headers, "ETag": f'"{entry.oid}"'})
        return
    headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "Location": link(call, name, entry.sha256, "GET")}
    call.send(302, {**headers, "Content-Type": "text/plain"}, f"Found. Redirecting to {headers['Location']}".encode())


def validate_yaml(call: Handler) -> None:
    lines = call.read_json().get("content", "").lstrip().splitlines()
    warnings = []
    if not lines or lines[0].strip() != "---" or "---" not in [line.strip() for line in lines[1:]]:
        warnings.append({"message": "empty or missing yaml metadata in repo card"})
    call.send_json({"errors": [], "warnings": warnings})


def no_xet(call: Handler, name: str) -> None:
    raise Refused(404, "This repository is not stored with Xet")


ROUTES: list[Route] = [
    (method, re.compile(pattern), name, function)
    for method, pattern, name, function in (
        ("GET", "/api/whoami-v2", "whoami", whoami),
        ("GET", "/api/organizations/([^/]+)/members", "members", members),
        ("POST", "/api/repos/create", "create", create),
        ("DELETE", "/api/repos/delete", "delete", delete),
        ("PUT", f"{_ID}/settings", "settings", settings),
        ("GET", f"{_ID}/auth-check(/write)?", "auth-check", auth_check),
        ("GET", _ID, "info", info),
        ("GET", f"{_ID}/revision/([^/]+)", "info", info),
        ("GET", f"{_ID}/tree/([^/]+)(?:/(.*))?", "tree", tree),
        ("POST", f"{_ID}/paths-info/([^/]+)", "paths-info", paths_info),
        ("GET", f"{_ID}/commits/([^/]+)", "commits", commits),
        ("GET", f"{_ID}/refs", "refs", refs),
        ("POST", f"{_ID}/(branch|tag)/([^/]+)", "branch", make_ref),
        ("DELETE", f"{_ID}/(branch|tag)/([^/]+)", "branch", delete_ref),
        ("GET", f"{_ID}/xet-(?:read|write)-token/.*", "xet", no_xet),
        ("POST", "/api/validate-yaml", "validate-yaml", validate_yaml),
        ("GET", "/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve", resolve),
    )
]
