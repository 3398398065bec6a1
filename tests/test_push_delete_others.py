"""Deleting participants where a hub refuses something on the way, and beside files that others made or moved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from _hub_cleaning import erase, pushed
from _pushing import DEPRECATED, Pushing, make
from hub import Hub, answer, run, run_after

from nersemble.errors import PushError

pytestmark = DEPRECATED
OUR_CARD = b"---\nlicense: other\n---\n# Our data\n"


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, three, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """She pushed a config of 240 alone, and one of three participants."""
    return pushed(hub, demo_folder, three, monkeypatch)


def titles(alice: Pushing) -> list[str]:
    return [commit.title for commit in alice.repo.history(alice.repo.head)]


def has_240(alice: Pushing) -> bool:
    """Whether a commit of main, or the head of another reference, has shards of hers."""
    paths = {path for commit in alice.repo.commits.values() for path in commit.tree}
    return any("/240/" in path and path.endswith("-000000.parquet") for path in paths)


def is_stored(alice: Pushing, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() in alice.repo.large


def branch(alice: Pushing, name: str) -> None:
    alice.api.create_branch("alice/faces", branch=name, repo_type="dataset")


def put_on(alice: Pushing, name: str, path: str, data: bytes) -> None:
    alice.api.upload_file(
        path_or_fileobj=data, path_in_repo=path, repo_id="alice/faces", repo_type="dataset", revision=name
    )


def remove(alice: Pushing, folder: str, revision: str = "main") -> None:
    alice.api.delete_folder(folder, "alice/faces", repo_type="dataset", revision=revision)


# --- what the hub refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["stored", "forget"])
def test_the_history_goes_also_if_the_hub_refuses_the_stored_files_which_are_named(alice, route):
    alice.hub.faults.add(route, answer(403, "only admins"), times=99)
    with pytest.raises(PushError, match=r"stored files, up to \d+, were not deleted for good .*403: only admins"):
        erase(alice)
    assert titles(alice) == ["Delete a participant"]
    assert not has_240(alice)


@pytest.mark.parametrize(("route", "status"), [("commits", 404), ("commits", 403), ("tree", 403)])
def test_one_reference_that_cannot_be_looked_at_is_named_and_main_is_cleaned_all_the_same(alice, route, status):
    head = alice.repo.head.id
    branch(alice, "odd")
    put_on(alice, "odd", "notes.txt", b"by Bob")  # a commit that main does not have
    odd = alice.repo.branches["odd"]
    alice.hub.faults.add(route, answer(status), times=99, path="odd" if route == "commits" else odd)
    with pytest.raises(PushError, match=r"the branch odd could not be looked at|history of the branch odd could not"):
        erase(alice)
    assert titles(alice) == ["Delete a participant"]
    assert head not in [commit.id for commit in alice.repo.history(alice.repo.head)]


def test_a_history_that_cannot_be_squashed_is_said_to_be_loadable(alice):
    alice.hub.faults.add("super-squash", answer(403, "protected"))
    with pytest.raises(PushError, match=r"in main's history, still loadable by revision.*403: protected"):
        erase(alice)
    assert not [data for data in alice.repo.large.values() if data == (alice.folder / alice.shards[0]).read_bytes()]


def test_a_hub_that_refuses_to_list_its_branches_has_main_cleaned_all_the_same(alice):
    alice.hub.faults.add("refs", answer(403), times=99)
    with pytest.raises(PushError, match="branches, tags and pull requests could not be looked for"):
        erase(alice)
    assert titles(alice) == ["Delete a participant"]


def test_a_data_set_that_turns_public_meanwhile_is_said_to_have_them_in_its_history(alice):
    alice.hub.faults.add("commit", run_after(lambda: setattr(alice.repo, "private", False)))
    with pytest.raises(PushError, match=r"is public.*no longer in the files of main, but its history still has them"):
        erase(alice)
    alice.repo.private = True
    erase(alice)
    assert titles(alice) == ["Delete a participant"]


def test_nothing_is_said_to_be_done_of_a_commit_that_did_not_come_about(alice):
    def turn() -> None:
        alice.put("notes.txt", b"by Bob")  # so that the commit is refused
        alice.repo.private = False

    alice.hub.faults.add("commit", run(turn))
    with pytest.raises(PushError, match="is public") as caught:
        erase(alice)
    assert "no longer" not in str(caught.value)


def test_what_the_hub_made_of_the_data_stays_an_error_until_it_is_gone(alice):
    alice.repo.tags["refs/convert/parquet"] = alice.repo.head.id
    for _ in range(2):
        with pytest.raises(PushError, match="refs/convert/parquet, which the hub made"):
            erase(alice)
    assert erase(alice, dry_run=True).remaining
    alice.repo.tags.clear()
    assert erase(alice).nobody


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["main", "kept"])
def test_a_copy_of_a_shard_elsewhere_is_named_and_not_deleted(alice, place):
    shard = (alice.folder / alice.shards[0]).read_bytes()
    if place != "main":
        branch(alice, place)
        remove(alice, "heads/240", place)
        remove(alice, alice.plan.config, place)
    put_on(alice, place, "backup/somebody.parquet", shard)
    told = erase(alice, dry_run=True)
    assert any("backup/somebody.parquet" in trace and place in trace for trace in told.remaining)
    with pytest.raises(PushError, match=rf"{place} has copies of their shards in its commit \w+, backup/somebody"):
        erase(alice)
    assert alice.repo.read("backup/somebody.parquet", place) == shard
    assert not has_240(alice) or place != "main"


# --- what is theirs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["main", "exp"])
def test_files_of_others_in_folders_that_are_called_like_an_id_are_not_theirs(alice, three, place):
    numbers = b"PAR1 somebody else's numbers PAR1"
    if place != "main":
        branch(alice, place)
        for config in ("heads", alice.plan.config):
            remove(alice, f"{config}/240", place)
        tip = alice.repo.commits[alice.repo.branches[place]]
        alice.repo.branches[place] = alice.repo._add(_change(), None, tip.tree, "bob").id
    put_on(alice, place, "runs/240/metrics.parquet", numbers)
    erase(alice)
    assert alice.repo.read("runs/240/metrics.parquet", place) == numbers
    assert len(titles(alice)) == 1


def _change():
    from hub.repos import Change

    return Change("what a branch was cut down to")


def test_a_config_that_is_called_like_an_id_keeps_other_participants(alice, tmp_path, demo_folder):
    plan = make(tmp_path / "named", demo_folder, participants="50", timesteps="0::30", config_name="240")
    alice.push(plan=plan, folder=tmp_path / "named")
    report = erase(alice)
    assert report.named == ("240",)
    for unit in plan.units:
        assert alice.repo.read(f"240/{unit.name}") == (tmp_path / "named" / "240" / unit.name).read_bytes()


@pytest.mark.parametrize("place", ["main", "prev"])
def test_whatever_lies_in_a_participant_s_folder_goes_with_its_stored_object(alice, place):
    face = b"\x89PNG a face"
    if place != "main":
        branch(alice, place)
        remove(alice, "heads/240", place)
        remove(alice, alice.plan.config, place)
    put_on(alice, place, "heads/240/preview.png", face)
    put_on(alice, place, "heads/preview.png", b"\x89PNG of somebody else")
    if place == "main":
        assert erase(alice).files == 1
    else:
        with pytest.raises(PushError, match="the branch prev has them"):
            erase(alice)
    assert not is_stored(alice, face)
    assert is_stored(alice, b"\x89PNG of somebody else")


@pytest.mark.parametrize("place", ["docs/plan.json", "runs/plan.json"])
def test_a_plan_of_others_stands_against_nothing(alice, place):
    alice.put(place, b'{"milestones": []}')
    report = erase(alice)
    assert report.unread == ()
    assert alice.repo.read(place) == b'{"milestones": []}'
    assert not has_240(alice)


def test_a_plan_of_a_newer_version_is_named_and_the_shards_go(alice):
    newer = {**json.loads(alice.repo.read("heads/plan.json")), "format": 99}
    alice.put("heads/plan.json", json.dumps(newer).encode())
    told = erase(alice, dry_run=True)
    assert told.unread == ("heads",)
    with pytest.raises(PushError, match=r"heads/plan\.json and its section of the card may still name them"):
        erase(alice)
    assert not has_240(alice)
    assert len(titles(alice)) == 1
    assert [path for path in alice.repo.paths() if path.startswith("heads/050/")]


def test_what_others_put_into_a_config_that_goes_is_left_and_named(alice):
    config = alice.plan.config
    alice.put(f"{config}/notes.md", b"consent forms")
    told = erase(alice, dry_run=True)
    report = erase(alice)
    assert report.others == told.others == (f"{config}/notes.md",)
    assert report.emptied == (config,)
    assert f"left: {config}/notes.md" in str(report)
    assert alice.repo.read(f"{config}/notes.md") == b"consent forms"
    assert f"{config}/plan.json" not in alice.repo.paths()


# --- history ----------------------------------------------------------------------------------------------------------


def tidy_up(alice: Pushing) -> None:
    """Take out by hand what this package wrote."""
    for config in ("heads", alice.plan.config):
        remove(alice, config)
    alice.put("README.md", OUR_CARD)


def test_somebody_who_was_taken_out_by_hand_goes_from_the_history(alice):
    tidy_up(alice)
    report = erase(alice)
    assert report.found == (240,)
    assert (report.shards, report.past > 3, report.squashed) == (0, True, True)
    assert len(titles(alice)) == 1
    assert alice.repo.read("README.md") == OUR_CARD
    assert not [data for data in alice.repo.large.values() if data == (alice.folder / alice.shards[0]).read_bytes()]


def test_a_dry_run_counts_what_the_history_alone_has_and_names_other_references(alice):
    branch(alice, "old")
    alice.repo.tags["refs/pr/3"] = alice.repo.head.id
    tidy_up(alice)
    head = alice.repo.head.id
    told = erase(alice, dry_run=True)
    assert told.past == shards_of_240(alice)
    assert f"{told.past} more in the history" in str(told)
    assert [trace.partition(" has them")[0] for trace in told.remaining] == ["the branch old", "the pull request 3"]
    assert "the pull request 3 has them" in str(told)
    assert alice.repo.head.id == head


def shards_of_240(alice: Pushing) -> int:
    """Distinct shards of 240 in any commit."""
    trees = [commit.tree for commit in alice.repo.commits.values()]
    return len({(path, tree[path].oid) for tree in trees for path in tree if "/240/" in path})


def test_an_id_that_was_never_there_changes_nothing(alice):
    before = titles(alice), alice.repo.head.id, set(alice.repo.large)
    told, report = erase(alice, "999", dry_run=True), erase(alice, "999")
    assert (titles(alice), alice.repo.head.id, set(alice.repo.large)) == before
    assert report.nobody
    assert not report.squashed
    for shown in (str(told), str(report)):
        assert "Nothing of 999 is in any config of alice/faces" in shown


def test_a_squash_that_failed_is_made_up_for_by_the_next_deletion(alice):
    alice.hub.faults.add("super-squash", answer(403))
    with pytest.raises(PushError, match="still loadable by revision"):
        erase(alice)
    assert erase(alice).squashed
    assert not has_240(alice)


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_with_the_access_url_or_a_token_is_refused(alice, monkeypatch):
    monkeypatch.setenv("NERSEMBLE_DATA_URL", "https://secret.example.org/a1b2c3/nersemble")
    head = alice.repo.head.id
    for message in ("from https://secret.example.org/a1b2c3/nersemble", f"with {alice.token}"):
        with pytest.raises(PushError, match="message holds") as caught:
            erase(alice, message=message)
        assert message[-12:] not in str(caught.value)
    assert alice.repo.head.id == head


def test_the_commit_that_stays_names_nobody(alice):
    erase(alice, "240")
    assert titles(alice) == ["Delete a participant"]
    erase(alice, "50,55")
    assert titles(alice) == ["Delete participants"]
