"""Large files: what the batch call says, and the store behind signed links, under another host name than the hub's.

Checked against ``huggingface_hub.lfs`` (``post_lfs_batch_info``, ``lfs_upload``, single part) and ``file_download`` of
2.4.0 and 0.34: an object that the repository has already gets no actions, so nothing is sent again.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlencode

from .accounts import Refused
from .handler import Handler, Route

_ID = r"([^/]+/[^/]+)"


def batch(call: Handler, name: str) -> None:
    hub, asked = call.hub, call.read_json()
    with hub.lock:
        repo = hub.accounts.check_write(call.token, hub.repos.get(name))
        objects = []
        for wanted in asked["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            described = {"oid": oid, "size": size}
            if len(repo.large.get(oid, b"")) != size:
                verify = f"{hub.url}/datasets/{name}.git/info/lfs/verify"
                described["authenticated"] = True
                described["actions"] = {
                    "upload": {"href": link(call, name, oid, "PUT"), "header": {}},
                    "verify": {"href": verify, "header": {}},
                }
            objects.append(described)
    call.send_json({"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")


def verify(call: Handler, name: str) -> None:
    asked = call.read_json()
    with call.hub.lock:
        repo = call.hub.accounts.check_write(call.token, call.hub.repos.get(name))
        there = len(repo.large.get(asked["oid"], b"")) == asked["size"]
    if not there:
        raise Refused(404, "Object not found")
    call.send_json({})


def put(call: Handler, name: str, oid: str) -> None:
    _check_signature(call, name, oid, "PUT")
    data = call.read_body()
    if hashlib.sha256(data).hexdigest() != oid:
        raise Refused(400, "The SHA-256 you specified did not match what we received")
    with call.hub.lock:
        repo = call.hub.repos.get(name)
        if repo is None:
            raise Refused(404, "NoSuchKey")
        repo.large[oid] = data
    call.send(200, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})


def get(call: Handler, name: str, oid: str) -> None:
    _check_signature(call, name, oid, "GET")
    with call.hub.lock:
        repo = call.hub.repos.get(name)
        data = repo.large.get(oid) if repo else None
    if data is None:
        raise Refused(404, "NoSuchKey")
    call.send_file(data, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})


def link(call: Handler, name: str, oid: str, method: str) -> str:
    """A signed link to a large file, good for one method."""
    query = urlencode({"X-Amz-Expires": "3600", "X-Amz-Signature": call.hub.sign(f"{method} {name} {oid}")})
    return f"{call.hub.storage_url}/storage/{name}/{oid}?{query}"


def _check_signature(call: Handler, name: str, oid: str, method: str) -> None:
    if call.headers.get("Authorization"):
        # As S3 does; a client that sends its token to another host would give it away there.
        raise Refused(400, "Only one auth mechanism allowed")
    if call.query.get("X-Amz-Signature", [""])[0] != call.hub.sign(f"{method} {name} {oid}"):
        raise Refused(403, "SignatureDoesNotMatch")


ROUTES: list[Route] = [
    ("POST", re.compile(rf"/datasets/{_ID}\.git/info/lfs/objects/batch"), "lfs-batch", batch),
    ("POST", re.compile(rf"/datasets/{_ID}\.git/info/lfs/verify"), "lfs-verify", verify),
    ("PUT", re.compile(rf"/storage/{_ID}/([0-9a-f]{{64}})"), "lfs-put", put),
    ("GET", re.compile(rf"/storage/{_ID}/([0-9a-f]{{64}})"), "storage", get),
]
