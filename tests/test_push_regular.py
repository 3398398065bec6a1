"""Shards that a hub keeps as regular files, since its repository says that Parquet files are none of its large ones."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import fsspec
import pytest
from _hub_cleaning import erase, pushed
from _pushing import DEPRECATED, Pushing, pushing
from hub import Hub, run

from nersemble.errors import PushError
from nersemble.hub import content

pytestmark = DEPRECATED


def find_none_large(hub: Hub) -> None:
    """Let a hub keep every file as a regular one."""

    def preupload(call, name, revision):
        paths = [file["path"] for file in call.read_json()["files"]]
        call.send_json({"files": [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in paths]})

    hub.routes.insert(0, ("POST", re.compile("/api/datasets/(.+)/preupload/(.+)"), "preupload", preupload))


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """Her hub finds no file large."""
    find_none_large(hub)
    hub.create("alice/faces")
    return pushing(hub, demo_folder, monkeypatch)


def assert_nothing_left_to_do(alice, **options):
    """Another push of the same sends nothing and commits nothing, and a dry run says so."""
    head = alice.repo.head.id
    alice.hub.reset()
    told = alice.push(dry_run=True, **options).description
    assert (told.to_send, told.bytes_to_send, told.to_delete) == (0, 0, 0)
    again = alice.push(**options)
    assert (again.commits, again.sent, alice.hub.received, again.commit) == (0, 0, 0, head)


def test_they_are_pushed_once_and_found_there(alice):
    report = alice.push()
    alice.assert_whole()
    assert {alice.repo.head.tree[name].sha256 for name in alice.shards} == {None}
    assert (report.commits, report.commit) == (1, alice.repo.head.id)
    assert_nothing_left_to_do(alice)
    downloaded, streamed = alice.load(alice.plan.config, report.commit)
    assert len(downloaded) == alice.plan.rows
    assert downloaded == streamed


def test_they_are_found_there_from_a_store_behind_a_url(alice):
    memory = fsspec.filesystem("memory")
    memory.put(f"{alice.folder}/", "/regular/", recursive=True)
    try:
        alice.push(folder="memory://regular")
        alice.assert_whole()
        assert_nothing_left_to_do(alice, folder="memory://regular")
    finally:
        memory.rm("/regular", recursive=True)


def test_one_of_that_length_with_other_bytes_is_sent_again(alice):
    alice.push()
    data = (alice.folder / alice.shards[1]).read_bytes()
    alice.put(alice.shards[1], bytes([data[0] ^ 1]) + data[1:])
    assert alice.push(dry_run=True).description.to_send == 1
    assert alice.push().sent == 1
    alice.assert_whole()


def test_one_that_changed_since_it_was_looked_through_is_not_taken_for_what_the_hub_has(alice, tmp_path):
    folder = alice.copy(tmp_path / "changing")
    alice.push(folder=folder)
    last = folder / alice.shards[-1]
    # Of a push: the dry look, and then, all being looked through, the one that says what is to be done.
    alice.hub.faults.add("tree", run(lambda: last.write_bytes(last.read_bytes()[::-1])), at=2)
    with pytest.raises(PushError, match=rf"{alice.shards[-1]} was changed while it was being pushed. Push again"):
        alice.push(folder=folder)


def test_what_is_hashed_is_read_in_blocks(monkeypatch):
    monkeypatch.setattr(content, "BLOCK", 10)

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size == 10
            return super().read(size)

    data = b"PAR1" * 20
    found = content.git_hash(Watched(data), len(data), hashlib.sha256(data).hexdigest())
    assert found == hashlib.sha1(b"blob 80\0" + data).hexdigest()
    with pytest.raises(ValueError, match="another"):
        content.git_hash(Watched(data), len(data), hashlib.sha256(b"").hexdigest())


def test_copies_elsewhere_of_those_of_a_deleted_participant_are_named(hub, demo_folder, three, monkeypatch):
    find_none_large(hub)
    alice = pushed(hub, demo_folder, three, monkeypatch)
    alice.put("backup/somebody.parquet", (alice.folder / alice.shards[0]).read_bytes())
    alice.put("backup/other.parquet", b"PAR1 somebody else's numbers PAR1")
    with pytest.raises(PushError, match=r"main has copies of their shards in its commit \w+, backup/somebody.parquet,"):
        erase(alice)
    (left,) = alice.repo.history(alice.repo.head)
    assert {path for path in left.tree if "/240/" in path or "backup" in path} == {
        "backup/somebody.parquet",
        "backup/other.parquet",
    }
