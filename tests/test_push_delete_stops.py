"""Deletions that cannot look at everything, stop half way, or meet another: nothing of anybody stays unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _hub_cleaning import erase, pushed
from _pushing import DEPRECATED, Pushing, make
from hub import Hub, answer, run, run_after
from hub.repos import Change

from nersemble.errors import PushError, SelectionError
from nersemble.hub import committing
from nersemble.hub.card import merge_card, unfinished

pytestmark = DEPRECATED


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, three, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    """She pushed a config of 240 alone, and one of three participants."""
    return pushed(hub, demo_folder, three, monkeypatch)


def assert_left(alice: Pushing, three, *gone: int) -> None:
    """Of what she pushed, all but the shards of these participants is in the one commit, and nothing else is stored."""
    folders = [(alice.folder, alice.plan), three]
    names = {f"{plan.config}/{unit.name}": folder for folder, plan in folders for unit in plan.units}
    ids = {f"{participant:03d}" for participant in gone}
    left = {name: folder for name, folder in names.items() if name.split("/")[1] not in ids}
    assert [path for path in alice.repo.paths() if path.endswith(".parquet")] == sorted(left)
    assert len(alice.repo.commits) == 1
    assert set(alice.repo.large.values()) == {(folder / name).read_bytes() for name, folder in left.items()}


def shard_of(three, participant: int) -> tuple[str, bytes]:
    """One of the config of three, and what it has."""
    folder, plan = three
    name = next(f"heads/{unit.name}" for unit in plan.units if unit.participant == participant)
    return name, (folder / name).read_bytes()


def put_older(alice: Pushing, three, participant: int) -> tuple[bytes, str, str]:
    """Give the history another version of a shard: it, the commit that has it, and one after it that has it too."""
    name, data = shard_of(three, participant)
    older = b"PAR1 as it was" + data
    alice.put(name, older)
    having = alice.repo.head.id
    alice.put("notes.txt", b"by Bob")
    after = alice.repo.head.id
    alice.put(name, data)
    return older, having, after


# --- what cannot be looked at -----------------------------------------------------------------------------------------


def test_a_history_that_the_hub_refuses_once_is_left_until_it_was_looked_at(alice, three):
    older, *_ = put_older(alice, three, 240)
    before = alice.repo.head.id
    alice.hub.faults.add("commits", answer(403, "not now"), path="commits/main")
    with pytest.raises(PushError, match=r"240 is no longer in main .*main's history was left as it is.*403: not now"):
        erase(alice)
    assert before in [commit.id for commit in alice.repo.history(alice.repo.head)]
    assert older in alice.repo.large.values()
    # What the head had is known all the same.
    assert not {(alice.folder / name).read_bytes() for name in alice.shards} & set(alice.repo.large.values())
    assert erase(alice).squashed
    assert_left(alice, three, 240)


@pytest.mark.parametrize("status", [403, 404])
def test_a_commit_that_cannot_be_looked_at_hides_no_older_one_and_is_named(alice, three, status):
    older, having, after = put_older(alice, three, 240)
    fault = alice.hub.faults.add("tree", answer(status), times=99, path=after)
    for _ in range(2):
        with pytest.raises(PushError, match=rf"the commit {after[:8]} of main could not be looked at.*{status}"):
            erase(alice)
        assert older not in alice.repo.large.values()
        assert having in alice.repo.commits
    assert fault.hits
    alice.hub.faults.clear()
    erase(alice)
    assert_left(alice, three, 240)


def test_a_commit_whose_card_cannot_be_read_gives_away_its_shards_by_their_paths(alice, three):
    older, having, _ = put_older(alice, three, 240)
    alice.hub.faults.add("resolve", answer(403), times=99, path=having)
    alice.put("data/240/numbers.parquet", b"PAR1 of others")  # so that cards have to be read
    alice.hub.faults.add("tree", answer(403), times=99, path=having)
    with pytest.raises(PushError, match=f"the commit {having[:8]} of main could not be looked at"):
        erase(alice)
    assert older not in alice.repo.large.values()
    assert b"PAR1 of others" in alice.repo.large.values()


def test_a_hub_that_refuses_commit_after_commit_is_not_asked_for_all_of_them(alice):
    for number in range(6):
        alice.put("notes.txt", b"%d" % number)
    told = {commit.id for commit in alice.repo.commits.values()}
    for commit in told:
        alice.hub.faults.add("tree", answer(451), times=99, path=commit)
    with pytest.raises(PushError, match="Listing alice/faces failed: the hub answers 451"):
        erase(alice)
    head = alice.repo.head.id
    for fault in alice.hub.faults._faults:
        fault.times = 0 if fault.path == head else fault.times
    with pytest.raises(PushError, match=r"\d+ older commits of main were not looked at after that"):
        erase(alice)


def test_an_id_that_is_nowhere_ends_no_history_that_cannot_be_looked_at(alice):
    before = alice.repo.head.id
    alice.hub.faults.add("commits", answer(403), path="commits/main")
    with pytest.raises(PushError, match="999 is not in main of alice/faces, but not all could be done"):
        erase(alice, "999")
    assert alice.repo.head.id == before


@pytest.mark.parametrize("route", ["commits", "refs", "stored"])
def test_one_odd_answer_of_a_hub_does_not_cost_what_it_could_tell(alice, three, route):
    put_older(alice, three, 240)
    alice.hub.faults.add(route, answer(404))
    assert erase(alice).history_listed
    assert_left(alice, three, 240)


@pytest.mark.parametrize("route", ["stored", "forget"])
def test_stored_files_that_the_hub_refuses_once_are_deleted_after_the_history(alice, three, route):
    alice.hub.faults.add(route, answer(403))
    assert erase(alice).forgotten
    assert_left(alice, three, 240)


def test_a_hub_that_lists_no_history_is_told_of_what_the_head_had(alice, three):
    alice.hub.faults.add("commits", answer(404), times=99)
    report = erase(alice)
    assert report.forgotten == report.shards > 3
    assert "look for those that no commit names" in str(report)
    assert_left(alice, three, 240)


# --- stops ------------------------------------------------------------------------------------------------------------


def stop_after_commit(alice: Pushing) -> str:
    """Have a deletion of 240 end right after its commit, and somebody allow the rest then; what is said."""
    alice.hub.faults.add("commit", run_after(lambda: alice.hub.faults.add("info", answer(403, "not now"), times=99)))
    with pytest.raises(PushError) as caught:
        erase(alice)
    alice.hub.faults.clear()
    return str(caught.value)


def test_a_deletion_that_stops_after_its_commit_says_so_and_what_is_left(alice, three):
    said = stop_after_commit(alice)
    assert "Looking at alice/faces failed: the hub answers 403: not now" in said
    assert "The commit was made: 240 is no longer in the files of main, but its history still has them" in said
    assert said.endswith("Delete again: what was done already is passed over.")
    assert not [path for path in alice.repo.paths() if "/240/" in path]
    erase(alice)
    assert_left(alice, three, 240)


def test_a_commit_that_nobody_knows_the_fate_of_is_told_so(alice):
    alice.hub.faults.add("commit", run(lambda: alice.hub.faults.add("info", answer(403), times=99)))
    alice.hub.faults.add("commit", answer(503))
    with pytest.raises(PushError, match=r"answers 403.*Nobody knows whether the commit was made.*Delete again"):
        erase(alice)


def test_whoever_is_deleted_next_takes_along_what_a_deletion_that_stopped_has_left(alice, three):
    stop_after_commit(alice)
    erase(alice, "50")
    assert_left(alice, three, 50, 240)
    assert erase(alice).nobody


def test_a_shard_that_only_the_history_had_goes_with_it_and_files_of_others_stay(alice, three):
    older, *_ = put_older(alice, three, 55)
    for path in ("data/numbers.parquet", "heads/055/preview.png", "heads/old.parquet"):
        alice.put(path, path.encode() + b"\0 of others")
        alice.api.delete_file(path, "alice/faces", repo_type="dataset")
    erase(alice)
    stored = set(alice.repo.large.values())
    assert older not in stored
    assert shard_of(three, 55)[1] in stored
    assert len([data for data in stored if data.endswith(b"of others")]) == 3


def test_a_shard_that_somebody_takes_out_while_stored_files_are_deleted_goes_too(alice, three):
    def take_out():
        alice.api.delete_folder("heads/050", "alice/faces", repo_type="dataset")

    alice.hub.faults.add("forget", run(take_out))
    report = erase(alice)
    assert report.forgotten == report.shards + sum(unit.participant == 50 for unit in three[1].units)
    assert_left(alice, three, 50, 240)


@pytest.mark.parametrize("seen", [True, False], ids=["looked at", "refused"])
def test_a_shard_that_another_branch_has_or_may_have_stays(alice, three, seen):
    older, having, _ = put_older(alice, three, 55)
    repo, name = alice.repo, shard_of(three, 55)[0]
    tree = {name: repo.commits[having].tree[name]}
    repo.branches["kept"] = repo._add(Change("the one that mattered"), None, tree, "bob").id
    if seen:
        erase(alice)
    else:
        alice.hub.faults.add("tree", answer(403), times=99, path=repo.branches["kept"])
        with pytest.raises(PushError, match=r"1 stored files of shards that main's history alone had.*were left"):
            erase(alice)
    assert older in repo.large.values()
    assert not [data for data in repo.large.values() if data == (alice.folder / alice.shards[0]).read_bytes()]


def test_a_data_set_that_is_public_in_the_end_is_to_be_made_private_and_nothing_to_be_removed(alice):
    alice.hub.faults.add("super-squash", run_after(lambda: setattr(alice.repo, "private", False)))
    with pytest.raises(PushError, match=r"is public.*Make it private in its settings.*then delete again") as caught:
        erase(alice)
    assert "Remove that" not in str(caught.value)


# --- pushes that were not finished ------------------------------------------------------------------------------------


def card_of(alice: Pushing) -> str:
    return alice.repo.read("README.md").decode()


@pytest.mark.parametrize("of_240", [0, 1])
def test_the_card_of_a_push_that_was_not_finished_names_nobody_who_was_deleted(
    alice, tmp_path, demo_folder, monkeypatch, of_240
):
    options = {"sequences": None, "timesteps": "0::30", "config_name": "more"}
    plan = make(tmp_path, demo_folder, participants="50,55,240", **options)
    before = [unit.participant for unit in plan.units].index(240)
    monkeypatch.setattr(committing, "MOST", 2)
    alice.hub.faults.add("commit", answer(403), at=before + of_240 + 1)
    with pytest.raises(PushError):
        alice.push(folder=tmp_path, plan=plan)
    assert "| Selected participants | 50,55,240 |" in card_of(alice)
    assert "more" in erase(alice, dry_run=True).changed
    erase(alice)
    card = card_of(alice)
    assert not re.search(r"\b240\b", card)
    assert "| Participants | 2: 50, 55 |\n| Selected participants | 50,55 |" in card.partition("config more")[2]
    assert unfinished(card, "more") == plan.hash
    assert "The push of this config was not finished" in card
    assert erase(alice).nobody
    erase(alice, "55")
    assert "| Participants | 1: 50 |" in card_of(alice).partition("config more")[2]
    left = make(tmp_path / "left", demo_folder, participants="50", **options)
    alice.push(folder=tmp_path / "left", plan=left)
    assert alice.repo.read("more/plan.json") == left.to_json().encode()
    assert not unfinished(card_of(alice), "more")


def test_a_card_that_says_more_than_the_plan_is_cleaned_and_the_plan_stays(alice, three):
    erase(alice)
    plan = alice.repo.read("heads/plan.json")
    alice.put("README.md", merge_card(card_of(alice), three[1], 1, incomplete=True).replace("\n", "\r\n").encode())
    report = erase(alice)
    assert (report.changed, report.shards, report.squashed) == (("heads",), 0, True)
    assert not re.search(r"\b240\b", card_of(alice))
    assert unfinished(card_of(alice), "heads") == three[1].hash
    assert alice.repo.read("heads/plan.json") == plan


def test_the_card_of_a_config_whose_plan_somebody_removed_is_cleaned_and_it_still_loads(alice):
    alice.api.delete_file("heads/plan.json", "alice/faces", repo_type="dataset")
    erase(alice, "240,55")
    assert "| Participants | 1: 50 |\n| Selected participants | 50 |" in card_of(alice)
    assert {row[0] for row in alice.load("heads", "main")[0]} == {50}
    erase(alice, "50")
    assert "configs:" not in card_of(alice)


# --- others -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "at"),
    [
        ("info", 2),
        *(("tree", at) for at in range(1, 7)),
        *(("resolve", at) for at in (1, 2)),  # of the card: one thread at a time reads plans, before Python 3.12
        *((route, at) for route in ("commits", "refs") for at in (1, 2)),
        *((route, 1) for route in ("commit", "stored", "forget", "super-squash")),
    ],
)
def test_two_deletions_at_once_leave_nothing_of_either(alice, three, route, at):
    fault = alice.hub.faults.add(route, run(lambda: erase(alice, "50")), at=at)
    erase(alice)
    assert fault.hits == 1
    assert_left(alice, three, 50, 240)


def test_a_commit_that_the_token_may_not_make_says_so(alice, three):
    alice.hub.faults.add("commit", answer(403), times=9)
    with pytest.raises(PushError, match=r"403.*The token may not do this: make one that may write"):
        erase(alice, 240)
    with pytest.raises(SelectionError, match="message= is a text"):
        erase(alice, 240, message=5)
