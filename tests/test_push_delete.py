"""Deleting participants from a pushed data set: from every config, from the history, and from what the hub stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from _hub_cleaning import erase, pushed
from _pushing import DEPRECATED, Pushing, make
from hub import Hub, answer, drop, drop_after, run

from nersemble.errors import PushError, SelectionError
from nersemble.hub import delete
from nersemble.hub.delete import is_in_name, parse_participants
from nersemble.prepare import PreparePlan

pytestmark = DEPRECATED


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, three, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """She pushed a config of 240 alone, and one of three participants."""
    return pushed(hub, demo_folder, three, monkeypatch)


def assert_gone(alice: Pushing, three, participant: int = 240) -> None:
    """Nothing of a participant is in any commit, or stored; all others are as they were."""
    repo = alice.repo
    assert len(repo.commits) == 1
    assert not [path for path in repo.paths() if f"/{participant:03d}/" in path]
    folders = [(alice.folder, alice.plan), three]
    there = {f"{plan.config}/{unit.name}": folder for folder, plan in folders for unit in plan.units}
    left = {name: folder for name, folder in there.items() if f"/{participant:03d}/" not in name}
    for name, folder in left.items():
        assert repo.read(name) == (folder / name).read_bytes()
    contents = {(folder / name).read_bytes() for name, folder in left.items()}
    assert set(repo.large.values()) == contents


def test_a_participant_goes_from_every_config_the_history_and_the_store(alice, three):
    report = erase(alice)
    assert_gone(alice, three)
    assert report.found == (240,)
    assert report.configs == ("heads", alice.plan.config)
    assert report.emptied == (alice.plan.config,)
    assert report.squashed
    assert report.past == 0
    assert report.forgotten == report.shards > 3
    plan = PreparePlan.from_json(alice.repo.read("heads/plan.json"))
    assert plan.participants == (50, 55)
    card = alice.repo.read("README.md").decode()
    keys = yaml.safe_load(card.split("---\n")[1])
    assert [(entry["config_name"], entry.get("default")) for entry in keys["configs"]] == [("heads", True)]
    assert f"| Rows | {plan.rows} |" in card
    assert alice.plan.config not in alice.repo.paths()
    assert report.commit == alice.repo.head.id
    assert alice.repo.private
    downloaded, streamed = alice.load("heads", "main")
    assert {row[0] for row in downloaded} == {50, 55}
    assert downloaded == streamed
    assert len(downloaded) == plan.rows


def test_a_hub_that_lists_neither_history_nor_stored_files_is_squashed_all_the_same(alice):
    for route in ("refs", "commits", "stored"):
        alice.hub.faults.add(route, answer(404), times=99)
    report = erase(alice)
    assert len(alice.repo.commits) == 1
    assert not [path for path in alice.repo.paths() if "/240/" in path]
    assert (report.squashed, report.history_listed, report.forgotten, report.past) == (True, False, None, 0)
    assert "look through its branches" in str(report)
    assert "does not list its stored files" in str(report)


def test_neither_plan_nor_card_names_a_deleted_participant_and_a_name_that_does_is_told(alice, tmp_path, demo_folder):
    plan = make(tmp_path / "two", demo_folder, participants="50,240", timesteps="0::30", config_name="of-50_240")
    alice.push(plan=plan, folder=tmp_path / "two")
    told = erase(alice, dry_run=True)
    report = erase(alice)
    assert report.named == told.named == ("of-50_240",)
    for shown in (str(told), str(report)):
        assert "The name stays of of-50_240, which names them" in shown
    for config, left in (("heads", "50,55"), ("of-50_240", "50")):
        plan = PreparePlan.from_json(alice.repo.read(f"{config}/plan.json"))
        assert plan.selected["participants"] == left
        assert f"| Selected participants | {left} |" in alice.repo.read("README.md").decode()


def test_a_participant_who_was_selected_and_had_no_video_is_not_named_either(alice):
    for left in ("50,55,240", "50,55,240"):
        erase(alice, "57")
        assert PreparePlan.from_json(alice.repo.read("heads/plan.json")).selected["participants"] == left
    held = PreparePlan.from_json(alice.repo.read("heads/plan.json"))
    told = replace(held, selected={**held.selected, "participants": "50-57,240"})
    alice.put("heads/plan.json", told.to_json().encode())
    erase(alice, "57")
    assert PreparePlan.from_json(alice.repo.read("heads/plan.json")).selected["participants"] == "50,55,240"


def test_deleting_needs_nothing_but_the_hub_and_can_be_repeated(alice, three):
    erase(alice, [240])
    head = alice.repo.head.id
    again = erase(alice, [240])
    assert (again.shards, again.found, again.squashed, again.forgotten, again.past) == (0, (), False, 0, 0)
    assert alice.repo.head.id == head
    assert erase(alice, "999").shards == 0


def test_everybody_can_be_deleted_and_then_nothing_is_left_but_the_card(alice):
    report = erase(alice, "1-300")
    assert alice.repo.paths() == ["README.md"]
    assert alice.repo.large == {}
    assert set(report.emptied) == {"heads", alice.plan.config}
    assert "configs" not in yaml.safe_load(alice.repo.read("README.md").decode().split("---\n")[1])
    erase(alice, "1-300")


def test_a_dry_run_says_what_would_go_and_changes_nothing(alice):
    head = alice.repo.head.id
    report = erase(alice, dry_run=True)
    assert report.shards > 3
    assert report.emptied == (alice.plan.config,)
    assert "To delete from alice/faces: 240" in str(report)
    assert alice.repo.head.id == head
    assert not alice.hub.counts["commit"]


@pytest.fixture
def sending(alice, tmp_path, demo_folder):
    """Another push of participants who stay: its shards are sent, and not committed yet."""
    plan = make(
        tmp_path / "other", demo_folder, config_name="other", participants="55", sequences="E*", timesteps="0::9"
    )
    alice.hub.faults.add("commit", answer(403))
    with pytest.raises(PushError):
        alice.push(plan=plan, folder=tmp_path / "other")
    return {"plan": plan, "folder": tmp_path / "other"}


def test_what_somebody_else_has_sent_and_not_committed_yet_stays(alice, sending):
    sent = {(sending["folder"] / "other" / unit.name).read_bytes() for unit in sending["plan"].units}
    assert sent <= set(alice.repo.large.values())
    erase(alice)
    assert sent <= set(alice.repo.large.values())
    pictures = {(alice.folder / name).read_bytes() for name in alice.shards}
    assert not pictures & set(alice.repo.large.values())


def test_a_push_that_commits_while_stored_files_are_deleted_keeps_its_shards(alice, sending):
    alice.hub.faults.add("forget", run(lambda: alice.push(**sending)))
    erase(alice)
    for unit in sending["plan"].units:
        name = f"other/{unit.name}"
        assert alice.repo.read(name) == (sending["folder"] / name).read_bytes()


def test_a_participant_who_was_pushed_again_meanwhile_keeps_the_pictures_and_is_named(alice):
    """Else `main` would have shards that nobody can load."""
    alice.hub.faults.add("stored", run(alice.push))
    with pytest.raises(PushError, match="is left: main has them"):
        erase(alice)
    alice.assert_whole()


@pytest.mark.parametrize("route", ["commit", "super-squash", "forget", "stored", "refs", "commits", "tree"])
@pytest.mark.parametrize("fault", [answer(503), drop(), drop_after()], ids=["503", "drop", "drop after"])
def test_what_fails_on_the_way_is_tried_again(alice, three, route, fault):
    struck = alice.hub.faults.add(route, fault)
    erase(alice)
    assert struck.hits == 1
    assert_gone(alice, three)


@pytest.mark.parametrize("route", ["commit", "super-squash"])
def test_a_deletion_that_stopped_on_the_way_is_finished_by_the_next(alice, three, route):
    alice.hub.faults.add(route, answer(403, "not now"))
    with pytest.raises(PushError, match="403: not now"):
        erase(alice)
    erase(alice)
    assert_gone(alice, three)


def test_a_head_that_moved_is_looked_at_again(alice, three):
    alice.hub.faults.add("commit", run(lambda: alice.put("notes.txt", b"by Bob")))
    erase(alice)
    assert alice.repo.read("notes.txt") == b"by Bob"
    assert_gone(alice, three)


@pytest.mark.parametrize(
    ("make_ref", "called"),
    [
        (lambda repo: repo.branches.update(old=repo.head.id), "the branch old"),
        (lambda repo: repo.tags.update(v1=repo.head.id), "the tag v1"),
        (lambda repo: repo.tags.update({"refs/pr/3": repo.head.id}), "the pull request 3"),
        (lambda repo: repo.tags.update({"refs/convert/parquet": repo.head.id}), "refs/convert/parquet"),
    ],
)
def test_whatever_else_still_has_them_is_named_and_their_pictures_go_all_the_same(alice, three, make_ref, called):
    make_ref(alice.repo)
    with pytest.raises(PushError, match=rf"240 is no longer in main .*is left: {called}.*then delete again"):
        erase(alice)
    pictures = {(alice.folder / name).read_bytes() for name in alice.shards}
    assert not pictures & set(alice.repo.large.values())
    alice.repo.branches = {"main": alice.repo.head.id}
    alice.repo.tags.clear()
    alice.repo.forget()
    erase(alice)
    assert_gone(alice, three)


def test_a_branch_that_had_them_only_in_its_past_is_named(alice):
    alice.api.create_branch("alice/faces", branch="old", repo_type="dataset")
    for config in ("heads", alice.plan.config):
        alice.api.delete_folder(f"{config}/240", "alice/faces", repo_type="dataset", revision="old")
    with pytest.raises(PushError, match="the branch old has them in its commit"):
        erase(alice)


def test_a_public_data_set_or_one_of_others_is_not_touched(alice):
    alice.repo.private = False
    with pytest.raises(PushError, match="is public"):
        erase(alice)
    alice.hub.create("alice/words")
    for name, problem in (("alice/words", "was not pushed by this package"), ("alice/none", "There is no data set")):
        with pytest.raises(PushError, match=problem):
            delete(name, 240, token=alice.token, endpoint=alice.hub.url)
    assert not alice.hub.counts["commit"]


def test_a_token_that_may_only_read_deletes_nothing(alice):
    with pytest.raises(PushError, match="may only read"):
        erase(alice, token=alice.hub.user("alice", role="read"))


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("participant_240", True),
        ("of-50_0240", True),
        ("participant_230-250,7", True),
        ("participant_50-60", False),
        ("participant_2400", False),
        ("heads-200-300", False),  # whatever these are
    ],
)
def test_names_that_say_a_participant_are_known(config, found):
    assert is_in_name(config, (55_555, 240)) == found


@pytest.mark.parametrize("named", ["", "alice", "240-", "300-200", [], None, True, "1,,2", b"72", [b"72"]])
def test_participants_that_name_nobody_are_refused(named):
    with pytest.raises(SelectionError, match=r"participant|Name the"):
        parse_participants(named)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_refused_and_nobody_is_deleted_whose_id_is_that_of_a_letter(alice, kind):
    before = alice.repo.head.id
    with pytest.raises(SelectionError, match="Bytes name no participant: write ids or ranges as text"):
        delete("alice/faces", kind(bytes([240])), token=alice.token, endpoint=alice.hub.url)
    assert alice.repo.head.id == before


def test_participants_are_read_as_people_write_them():
    assert parse_participants("240, 50-52") == (50, 51, 52, 240)
    assert parse_participants([240, "50-51", "7,8"]) == (7, 8, 50, 51, 240)
    assert parse_participants(3) == (3,)


def test_the_card_tells_the_command_that_deletes(alice):
    assert "nersemble push OWNER/NAME --delete ID" in alice.repo.read("README.md").decode()
