"""Pushing to a private data set of the hub: what arrives, what loads, and what another push changes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import yaml
from _pushing import DEPRECATED, Pushing, make, pushing
from hub import Hub, answer, run

import nersemble
from nersemble.errors import PrepareError, PushError, SelectionError, StorageError
from nersemble.hub import committing, content, plan_push
from nersemble.layout import SERIALS
from nersemble.prepare.plans import FORMAT

pytestmark = DEPRECATED


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    return pushing(hub, demo_folder, monkeypatch)


def due(plan):
    """The ids of a plan's rows, in order."""
    return [
        [unit.participant, unit.sequence, timestep]
        for unit in plan.units
        for timestep, _ in unit.rows(plan.options.wanted, "timestep")
    ]


def ids(rows):
    return [row[:3] for row in rows]


def yaml_of(card: bytes) -> dict:
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_what_is_pushed_is_private_and_loads_without_this_package(alice):
    report = alice.push()
    alice.assert_whole()
    config = alice.plan.config
    assert report.commit == alice.repo.head.id
    assert report.load_line == f'load_dataset("alice/faces", "{config}", split="train", revision="{report.commit}")'
    assert report.load_line in str(report)
    assert (report.sent, report.bytes_sent, report.commits) == (3, alice.size, 1)
    downloaded, streamed = alice.load("-", report.commit)
    assert ids(downloaded) == due(alice.plan)
    assert downloaded == streamed


def test_rows_load_in_the_order_of_the_plan(alice, tmp_path, demo_folder):
    """Also where names have a plus, where the published order is not that of names, and of three participants."""
    options = {"participants": "50,55,240", "sequences": None, "timesteps": "0::30", "scale": 0.05, "chunk": 2}
    plan = make(tmp_path / "many", demo_folder, **options)
    report = alice.push(plan=plan, folder=tmp_path / "many")
    assert {"EMO-1-shout+laugh", "EXP-1-head"} <= {unit.sequence for unit in plan.units}
    assert len(plan.participants) == 3
    downloaded, streamed = alice.load(plan.config, report.commit)
    assert ids(downloaded) == due(plan)
    assert downloaded == streamed


def test_a_second_config_leaves_the_first_and_the_words_of_others_as_they_were(alice, tmp_path, demo_folder):
    first = alice.push()
    card = alice.repo.read("README.md").decode()
    hand = card.replace("viewer: false", "viewer: true\nmine: kept").replace(
        "<!-- nersemble: begin", "Ours.\n\n<!-- nersemble: begin"
    )
    alice.put("README.md", (hand + "\nCall Bob.\n").encode())
    plan = make(tmp_path / "more", demo_folder, config_name="half+face.2", scale=0.1, timesteps="0::8")
    second = alice.push(plan=plan, folder=tmp_path / "more")
    alice.assert_whole()
    assert second.description.exists
    card = alice.repo.read("README.md").decode()
    keys = yaml_of(card.encode())
    assert [entry["config_name"] for entry in keys["configs"]] == [alice.plan.config, "half+face.2"]
    assert [entry.get("default") for entry in keys["configs"]] == [True, None]
    assert keys["mine"] == "kept"
    assert keys["viewer"] is False
    assert "Ours." in card
    assert card.endswith("Call Bob.\n")
    assert card.count("<!-- nersemble: begin -->") == 1
    assert card.count("### `") == 2
    downloaded, streamed = alice.load("half+face.2", "main")
    assert ids(downloaded) == ids(streamed) == due(plan)
    assert ids(alice.load("-", "main")[0]) == due(alice.plan)  # the one flagged as default
    assert first.commit != second.commit


def test_pushing_again_sends_nothing_and_makes_no_commit(alice):
    first = alice.push()
    alice.hub.reset()
    again = alice.push()
    assert again.commit == first.commit
    assert (again.commits, again.sent, alice.hub.received) == (0, 0, 0)


def test_a_plan_that_replaces_another_sends_what_is_new_and_deletes_what_it_does_not_have(alice, tmp_path, demo_folder):
    both = make(tmp_path / "both", demo_folder, config_name="heads", participants="50,240", timesteps="0::30")
    alice.push(plan=both, folder=tmp_path / "both")
    alice.hub.reset()
    other = make(
        tmp_path / "other", demo_folder, config_name="heads", participants="55,240", sequences="E*", timesteps="0::30"
    )
    folder = tmp_path / "other"
    told = plan_push(other, folder, "alice/faces", replace=True, token=alice.token, endpoint=alice.hub.url)
    assert told.refusal == ""
    report = alice.push(plan=other, folder=folder, replace=True)
    kept = {unit.name for unit in both.units} & {unit.name for unit in other.units}
    new = {unit.name for unit in other.units} - kept
    assert kept
    assert new
    assert told.to_send == report.sent == len(new)
    assert told.to_delete == report.deleted == len(both.units) - len(kept) > 0
    assert sum(alice.hub.large_bytes.values()) == sum((folder / "heads" / name).stat().st_size for name in new)
    assert alice.repo.paths() == sorted(["README.md", "heads/plan.json", *(f"heads/{u.name}" for u in other.units)])


@pytest.mark.parametrize("options", [{"sequences": "EMO-*"}, {"chunk": 1000}], ids=["selection", "cut"])
def test_a_plan_that_lacks_shards_which_are_there_is_refused_unless_they_are_to_go(
    alice, tmp_path, demo_folder, options
):
    alice.push()
    before = alice.repo.head.id
    plan, folder = make(tmp_path / "other", demo_folder, **options), tmp_path / "other"
    names = {f"{plan.config}/{unit.name}" for unit in plan.units}
    lost = [unit for name, unit in zip(alice.shards, alice.plan.units, strict=True) if name not in names]
    rows = sum(len(unit.rows(alice.plan.options.wanted, "timestep")) for unit in lost)
    wanted = rf"has {len(lost)} shards with {rows} rows in {plan.config} that this plan .*config_name=.*replace=True"
    assert re.search(wanted, alice.push(plan=plan, folder=folder, dry_run=True).description.refusal)
    with pytest.raises(PushError, match=wanted):
        alice.push(plan=plan, folder=folder)
    assert alice.repo.head.id == before
    assert alice.push(plan=plan, folder=folder, replace=True).deleted == len(lost) > 0
    assert ids(alice.load(plan.config, "main")[0]) == due(plan)


@pytest.mark.parametrize("rows", ["timestep", "frame"])
def test_a_plan_of_fewer_cameras_is_refused_though_its_shards_are_called_the_same(alice, tmp_path, demo_folder, rows):
    options = {"rows": rows, "config_name": "heads"}
    three = make(tmp_path / "three", demo_folder, **options, cameras=list(SERIALS[7:10]))
    one = make(tmp_path / "one", demo_folder, **options)
    assert [unit.name for unit in one.units] == [unit.name for unit in three.units]
    alice.push(plan=three, folder=tmp_path / "three")
    before = alice.repo.head.id
    lost = three.pictures - one.pictures
    wanted = rf"has {lost} pictures of {len(one.units)} shards in heads that this plan .*config_name=.*replace=True"
    assert re.search(wanted, alice.push(plan=one, folder=tmp_path / "one", dry_run=True).description.refusal)
    with pytest.raises(PushError, match=wanted):
        alice.push(plan=one, folder=tmp_path / "one")
    assert alice.repo.head.id == before
    assert alice.push(plan=one, folder=tmp_path / "one", replace=True).sent == len(one.units)
    assert alice.push(plan=three, folder=tmp_path / "three").sent == len(one.units)  # nothing is lost


@pytest.mark.parametrize("whole", [True, False], ids=["all of it", "a part"])
def test_a_plan_cut_into_more_shards_is_refused_if_it_lacks_pictures_alone(alice, tmp_path, demo_folder, whole):
    alice.push()
    plan, folder = make(tmp_path / "finer", demo_folder, chunk=1), tmp_path / "finer"
    stops = {unit.name: unit.stop for unit in plan.units}
    assert {unit.name for unit in alice.plan.units} < stops.keys()
    assert any(stops[unit.name] < unit.stop for unit in alice.plan.units)
    if whole:
        alice.push(plan=plan, folder=folder)
        assert ids(alice.load(plan.config, "main")[0]) == due(plan) == due(alice.plan)
        return
    kept = {unit.name for unit in alice.plan.units}
    part = replace(plan, units=tuple(unit for unit in plan.units if unit.name in kept))
    wanted = rf"has {plan.pictures - part.pictures} pictures of \d shards in {part.config} that"
    with pytest.raises(PushError, match=wanted):
        alice.push(plan=part, folder=folder)


def test_a_plan_that_appears_while_another_is_pushed_is_not_replaced_either(alice, tmp_path, demo_folder):
    plan = make(tmp_path / "other", demo_folder, sequences="EMO-*")
    alice.hub.faults.add("commit", run(alice.push))
    with pytest.raises(PushError, match="that this plan does not have"):
        alice.push(plan=plan, folder=tmp_path / "other")
    alice.assert_whole()


def test_a_plan_that_has_more_is_pushed_over_the_one_before(alice, tmp_path, demo_folder):
    alice.push()
    plan = make(tmp_path / "more", demo_folder, sequences="EXP-1-head,EMO-*")
    report = alice.push(plan=plan, folder=tmp_path / "more")
    assert (report.deleted, report.sent) == (0, len(plan.units) - 3)
    assert ids(alice.load(plan.config, "main")[0]) == due(plan)


def test_a_replacement_in_several_commits_that_stopped_goes_on_without_being_allowed_again(
    alice, tmp_path, demo_folder, monkeypatch
):
    alice.push()
    plan, folder = make(tmp_path / "other", demo_folder, sequences="EMO-*"), tmp_path / "other"
    monkeypatch.setattr(committing, "MOST", 2)
    alice.hub.faults.add("commit", answer(403), at=2)
    with pytest.raises(PushError, match="push again"):
        alice.push(plan=plan, folder=folder, replace=True)
    with pytest.raises(PushError, match="that this plan does not have"):
        alice.push(plan=replace(plan, units=plan.units[:1]), folder=folder)
    alice.push(plan=plan, folder=folder)
    assert alice.repo.paths() == sorted(
        ["README.md", f"{plan.config}/plan.json", *(f"{plan.config}/{unit.name}" for unit in plan.units)]
    )


def test_a_config_of_this_name_from_other_options_is_refused_with_advice(alice, tmp_path, demo_folder):
    alice.push()
    before = alice.repo.head.id
    plan = make(tmp_path / "other", demo_folder, scale=0.1)
    with pytest.raises(PushError, match=r"other options.*config_name="):
        alice.push(plan=plan, folder=tmp_path / "other")
    assert alice.repo.head.id == before


def test_other_options_are_refused_also_after_a_push_that_was_not_finished(alice, tmp_path, demo_folder, monkeypatch):
    alice.push()
    more = {"sequences": "EXP-1-head,EMO-*"}
    longer = make(tmp_path / "longer", demo_folder, **more)
    other = make(tmp_path / "other", demo_folder, **more, quality=50)
    assert [unit.name for unit in longer.units] == [unit.name for unit in other.units]
    monkeypatch.setattr(committing, "MOST", 2)
    alice.hub.faults.add("commit", answer(403), at=2)
    with pytest.raises(PushError, match="push again"):
        alice.push(plan=longer, folder=tmp_path / "longer")
    before = alice.repo.head.id
    with pytest.raises(PushError, match=r"other options.*config_name="):
        alice.push(plan=other, folder=tmp_path / "other")
    assert alice.repo.head.id == before
    alice.push(plan=longer, folder=tmp_path / "longer")
    assert ids(alice.load(longer.config, "main")[0]) == due(longer)


def test_a_folder_that_this_package_did_not_push_is_not_touched(alice):
    alice.hub.create("alice/faces")
    alice.put(f"{alice.plan.config}/a.parquet", b"PAR1")
    with pytest.raises(PushError, match="did not push"):
        alice.push()


def test_a_config_whose_plan_was_deleted_on_the_hub_is_not_called_somebody_elses(alice):
    alice.push()
    config = alice.plan.config
    alice.api.delete_file(f"{config}/plan.json", "alice/faces", repo_type="dataset")
    wanted = rf"has shards in {config}/, but no {config}/plan\.json any more.*config_name=, or delete the folder"
    assert re.search(wanted, alice.push(dry_run=True).description.refusal)
    with pytest.raises(PushError, match=wanted):
        alice.push(replace=True)
    alice.api.delete_folder(config, "alice/faces", repo_type="dataset")
    alice.push()
    alice.assert_whole()


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(alice):
    report = alice.push(dry_run=True)
    told = report.description
    assert "alice/faces" not in alice.hub.repos
    assert (told.rows, told.shards, told.bytes, told.to_send) == (alice.plan.rows, 3, alice.size, 3)
    assert (told.exists, told.visibility, told.user) == (False, "to be made, private", "alice")
    for words in (f"{alice.plan.rows} rows", "3 shards", "alice/faces: to be made, private", "alice alone"):
        assert words in str(report)
    assert (report.commit, report.load_line, told.refusal) == ("", "", "")
    alice.push()
    told = alice.push(dry_run=True).description
    assert (told.exists, told.visibility, told.to_send, told.bytes_to_send) == (True, "private", 0, 0)


def test_shards_that_are_not_there_or_not_as_planned_are_not_pushed(alice, tmp_path):
    folder = alice.copy(tmp_path / "less")
    (folder / alice.shards[1]).unlink()
    with pytest.raises(PushError, match=r"1 of 3 shards are not in .*less\. Run the plan first"):
        alice.push(folder=folder)
    (folder / alice.shards[1]).write_bytes((alice.folder / alice.shards[0]).read_bytes())
    with pytest.raises(PrepareError, match="1 thing is not as planned of 3 shards"):
        alice.push(folder=folder)
    assert alice.hub.repos.get("alice/faces") is None


@pytest.mark.parametrize("name", ["", "a/b/c", "https://x.org/a/b", "../b", "a b/c", "alice/fa--ces"])
def test_a_target_that_is_no_name_is_refused(alice, name):
    with pytest.raises(SelectionError, match="no name of a data set"):
        alice.push(name)


def test_a_message_that_is_no_text_is_refused(alice):
    for wrong in ({"plan": "plan.json"}, {"folder": 5}, {"members": "many"}, {"members": True}, {"members": 0}):
        with pytest.raises(SelectionError, match=r"^(A plan is pushed|The folder of shards is|members is a number)"):
            alice.push(**wrong)
    with pytest.raises(SelectionError, match="message= is a text, or None for the usual one, not int"):
        alice.push(message=5)


def test_a_name_without_an_owner_is_the_users_own(alice):
    assert alice.push("faces").repo_id == "alice/faces"
    alice.assert_whole()


def test_the_card_says_what_it_is_how_it_was_made_and_what_may_be_done(alice):
    alice.push()
    card = alice.repo.read("README.md").decode()
    keys = yaml_of(card.encode())
    assert keys["license"] == "other"
    assert keys["license_name"]
    assert keys["license_link"].startswith("https://")
    assert keys["viewer"] is False
    assert "do not try to find out who" in keys["extra_gated_prompt"]
    entry = {"split": "train", "path": f"{alice.plan.config}/**/*.parquet"}
    assert keys["configs"] == [{"config_name": alice.plan.config, "data_files": [entry], "default": True}]
    for words in (
        "must stay private",
        f"plan `{alice.plan.hash}`",
        f"nersemble {nersemble.__version__}",
        f"| Rows | {alice.plan.rows} |",
        "| Selected participants | 240 |",
        "| Colours corrected | no |",
        "scaled by 0.25",
        "OpenCV",
        "(0, 0) is the centre of the top-left pixel",
        "`world_to_camera`",
        "--delete ID",
        "@article{kirschstein2023nersemble",
    ):
        assert words in card


def test_a_card_that_cannot_be_read_is_not_written_over(alice):
    alice.hub.create("alice/faces")
    alice.put("README.md", b"---\nconfigs: [\n---\n")
    with pytest.raises(PushError, match=r"README\.md on the hub cannot be read"):
        alice.push()


def test_two_who_push_different_configs_at_once_both_succeed(alice, tmp_path, demo_folder):
    other = make(tmp_path / "other", demo_folder, config_name="other", timesteps="0::9")
    problems: list[Exception] = []

    def attempt(**options):
        try:
            alice.push(**options)
        except Exception as error:  # noqa: BLE001
            problems.append(error)

    threads = [
        threading.Thread(target=attempt),
        threading.Thread(target=attempt, kwargs={"plan": other, "folder": tmp_path / "other"}),
    ]
    meeting = threading.Barrier(2)
    # Both have looked at the same head before either commits.
    alice.hub.faults.add("commit", run(lambda: meeting.wait(30)), times=2)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    alice.assert_whole()
    assert {path for path in alice.repo.paths() if path.startswith("other/")} == {
        "other/plan.json",
        *(f"other/{unit.name}" for unit in other.units),
    }
    names = [entry["config_name"] for entry in yaml_of(alice.repo.read("README.md"))["configs"]]
    assert sorted(names) == sorted([alice.plan.config, "other"])
    assert alice.hub.counts["commit"] == 3  # one was overtaken


PUSH = """
import sys
from nersemble.hub import push
from nersemble.prepare import load_plan
push(load_plan(sys.argv[1]), sys.argv[1], sys.argv[2], progress=False)
"""


def test_a_killed_push_goes_on_and_sends_at_most_one_shard_twice(alice):
    command = [sys.executable, "-c", PUSH, str(alice.folder), "alice/faces"]
    pushing = subprocess.Popen(command, env=alice.hub.environment(alice.token))
    alice.hub.faults.add("lfs-put", run(lambda: pushing.send_signal(signal.SIGKILL)), at=3)
    assert pushing.wait() == -signal.SIGKILL
    assert alice.shards[0] not in alice.repo.paths()
    alice.push()
    alice.assert_whole()
    largest = max((alice.folder / name).stat().st_size for name in alice.shards)
    assert sum(alice.hub.large_bytes.values()) <= alice.size + largest


def test_the_report_counts_what_is_new_and_does_not_say_that_it_was_sent(alice):
    """Of a push that goes on, the hub takes only what it lacks, and its client does not tell how much that was."""
    alice.hub.faults.add("lfs-put", answer(400, "no"), at=3)
    with pytest.raises(PushError, match="no"):
        alice.push()
    alice.hub.reset()
    report = alice.push()
    assert 0 < sum(alice.hub.large_bytes.values()) < report.bytes_sent == alice.size
    told = str(report).splitlines()[0]
    assert re.search(r"3 shards; 3 new or changed, \S+ kB\.$", told)
    assert "sent" not in told
    assert "3 shards; 0 new or changed, 0 B." in str(alice.push())


def test_a_push_in_several_commits_loads_only_when_it_is_whole(alice, tmp_path, demo_folder, monkeypatch):
    other = make(tmp_path / "other", demo_folder, config_name="other", timesteps="0::9")
    alice.push(plan=other, folder=tmp_path / "other")
    monkeypatch.setattr(committing, "MOST", 2)
    seen = []

    def look():
        seen.append(alice.repo.head.id)

    alice.hub.faults.add("commit", run(look), times=99)
    report = alice.push()
    assert report.commits == len(seen) > 2
    alice.assert_whole()
    half = seen[2]
    assert any(name in alice.repo.paths(half) for name in alice.shards)
    done = alice.hub.python(
        "import sys, datasets; datasets.load_dataset('alice/faces', sys.argv[1], split='train', revision=sys.argv[2])",
        alice.plan.config,
        half,
        token=alice.token,
    )
    assert done.returncode != 0
    assert "incomplete-push-again" in done.stderr
    assert ids(alice.load("other", half)[0]) == due(other)
    assert ids(alice.load(alice.plan.config, report.commit)[0]) == due(alice.plan)


def test_a_push_in_several_commits_that_stopped_goes_on(alice, monkeypatch):
    monkeypatch.setattr(committing, "MOST", 2)
    alice.hub.faults.add("commit", answer(403, "not now"), at=2)
    with pytest.raises(PushError, match="push again, and it goes on"):
        alice.push()
    sent = sum(alice.hub.large_bytes.values())
    assert 0 < sent < alice.size
    alice.push()
    alice.assert_whole()
    assert sum(alice.hub.large_bytes.values()) == alice.size
    assert "incomplete" not in alice.repo.read("README.md").decode()


def test_a_shard_that_changes_while_it_is_pushed_is_not_sent(alice, tmp_path):
    folder = alice.copy(tmp_path / "changing")
    last = folder / alice.shards[-1]
    alice.hub.faults.add("lfs-put", run(lambda: last.write_bytes(last.read_bytes() + b"\0")))
    with pytest.raises(PushError, match="was changed while it was being pushed"):
        alice.push(folder=folder)
    assert alice.shards[0] not in alice.repo.paths()


def trusting(alice):
    """A hub that takes whatever bytes come for a shard; what it took, as it came."""
    taken = []

    def put(call, name, oid):
        taken.append(call.read_body())
        alice.hub.repos[name].large[oid] = taken[-1]
        call.send(200, {"ETag": '"x"'})

    alice.hub.routes.insert(0, ("PUT", re.compile("/storage/([^/]+/[^/]+)/([0-9a-f]{64})"), "lfs-put", put))
    return taken


@pytest.mark.parametrize("most", [0, 1 << 30], ids=["from an open file", "from memory"])
def test_a_shard_that_is_replaced_right_before_it_is_sent_is_sent_as_it_was_looked_through(
    alice, tmp_path, monkeypatch, most
):
    monkeypatch.setattr(content, "IN_MEMORY", most)
    folder, taken = alice.copy(tmp_path / "changing"), trusting(alice)
    first = folder / alice.shards[0]
    looked = first.read_bytes()

    def replace_it():
        other = first.with_suffix(".new")
        other.write_bytes(b"/home/alice SECRET".ljust(len(looked), b"x"))
        other.replace(first)

    alice.hub.faults.add("preupload", run(replace_it))
    alice.push(folder=folder)
    assert taken[0] == looked
    assert not any(b"SECRET" in data for data in taken)


def test_a_long_shard_that_is_written_to_while_it_is_sent_is_not_committed(alice, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "IN_MEMORY", 0)
    folder, taken = alice.copy(tmp_path / "changing"), trusting(alice)
    first = folder / alice.shards[0]

    def write_to_it():
        with open(first, "r+b") as file:
            file.write(b"SECRET")

    alice.hub.faults.add("preupload", run(write_to_it))
    with pytest.raises(PushError, match="was changed while it was being pushed"):
        alice.push(folder=folder)
    assert len(taken) == 1
    assert alice.repo.paths() == []


def test_shards_that_are_sent_from_open_files_arrive_whole(alice, monkeypatch):
    monkeypatch.setattr(content, "IN_MEMORY", 0)
    alice.push()
    alice.assert_whole()


@pytest.fixture
def store(alice):
    """Her shards in a store that is no folder of this machine, which other processes cannot see."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{alice.folder}/", "/heads/", recursive=True)
    yield memory
    memory.rm("/heads", recursive=True)


@pytest.mark.parametrize("most", [0, 1 << 30], ids=["from an open file", "from memory"])
def test_shards_behind_a_url_are_pushed_as_those_of_a_folder(alice, store, monkeypatch, most):
    monkeypatch.setattr(content, "IN_MEMORY", most)
    plan = nersemble.prepare.load_plan("memory://heads")
    assert plan == alice.plan
    assert "to send     3 shards" in str(alice.push(plan=plan, folder="memory://heads", dry_run=True))
    report = alice.push(plan=plan, folder="memory://heads")
    alice.assert_whole()
    assert (report.sent, report.bytes_sent) == (3, alice.size)
    assert alice.push(plan=plan, folder="memory://heads").sent == 0


def test_a_shard_that_changes_in_its_store_while_it_is_pushed_is_not_sent(alice, store):
    alice.hub.faults.add("lfs-put", run(lambda: store.pipe(f"/heads/{alice.shards[-1]}", b"SECRET")))
    with pytest.raises(PushError, match="was changed while it was being pushed"):
        alice.push(folder="memory://heads")
    assert alice.repo.paths() == []


def test_a_store_that_does_not_answer_is_named(alice, store, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("quota of http://user:s3cret@store.example.org used up")

    alice.hub.faults.add("lfs-put", run(lambda: monkeypatch.setattr(type(store), "_open", fail)))
    with pytest.raises(StorageError, match=r"memory://heads/.*cannot be read: RuntimeError: quota") as caught:
        alice.push(folder="memory://heads")
    assert "s3cret" not in str(caught.value)
    assert alice.repo.paths() == []


def pass_over(alice, ignored):
    """Have the hub leave out of a commit what a .gitignore of the repository names; the client does so silently."""

    def preupload(call, name, revision):
        paths = [file["path"] for file in call.read_json()["files"]]
        files = [{"path": path, "uploadMode": "lfs", "shouldIgnore": ignored in path} for path in paths]
        call.send_json({"files": files})

    alice.hub.routes.insert(0, ("POST", re.compile("/api/datasets/(.+)/preupload/(.+)"), "preupload", preupload))


def test_files_that_the_hub_passes_over_are_missed(alice):
    pass_over(alice, alice.shards[1])
    with pytest.raises(PushError, match=f"1 files are not in it.*{alice.shards[1]}.*gitignore"):
        alice.push()


def test_a_card_that_the_hub_passes_over_is_missed(alice):
    """Without it no config loads by its name, and nothing says which terms go for the faces."""
    pass_over(alice, "README.md")
    with pytest.raises(PushError, match=r"1 files are not in it as they were sent, README\.md first.*gitignore"):
        alice.push()
    assert alice.repo.private


@pytest.mark.parametrize("ignored", [1, ".parquet"])
def test_files_that_the_hub_passes_over_do_not_keep_a_push_of_several_commits_going(alice, monkeypatch, ignored):
    pass_over(alice, ignored if ignored == ".parquet" else alice.shards[ignored])
    monkeypatch.setattr(committing, "MOST", 2)
    # What would go on for ever ends here.
    alice.hub.faults.add("commit", answer(403, "too often"), at=7, times=99)
    with pytest.raises(PushError, match=r"1 files are not in it as they were sent, .* have a \.gitignore"):
        alice.push()
    assert alice.hub.counts["commit"] == (1 if ignored == ".parquet" else 2)
    assert alice.repo.private


def test_a_file_that_somebody_deleted_on_the_hub_comes_back(alice):
    alice.push()
    alice.api.delete_file(alice.shards[0], "alice/faces", repo_type="dataset")
    assert alice.push().sent == 1
    alice.assert_whole()


def test_plans_of_other_newer_versions_are_not_guessed_at(alice):
    alice.push()
    newer = alice.plan.to_json().replace(f'"format": {FORMAT}', '"format": 99')
    alice.put(f"{alice.plan.config}/plan.json", newer.encode())
    with pytest.raises(PushError, match="newer nersemble"):
        alice.push()


def test_a_plan_of_another_package_version_replaces_the_plan_alone(alice):
    alice.push()
    alice.hub.reset()
    report = alice.push(plan=replace(alice.plan, package="0.0.9"))
    assert report.commits == 1
    assert sum(alice.hub.large_bytes.values()) == 0
