"""Who may push, where to, and who could see it: what is refused before the first byte, and what is set right after."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import huggingface_hub.constants
import pytest
from _pushing import DEPRECATED, Pushing, pushing
from hub import READ, WRITE, Hub, answer, run, run_after, say
from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from nersemble.errors import AudienceWarning, PushError
from nersemble.hub import delete, plan_push, push

pytestmark = DEPRECATED


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    return pushing(hub, demo_folder, monkeypatch)


def changes(hub: Hub) -> set[str]:
    """Routes that were called and change something."""
    return {call.route for call in hub.calls if call.method in ("POST", "PUT", "DELETE")} - {"paths-info"}


# --- the target ---


def test_a_public_data_set_is_refused_and_nothing_is_sent(alice):
    alice.hub.create("alice/faces", private=False)
    with pytest.raises(PushError, match=r"alice/faces is public: everybody would see the faces"):
        alice.push()
    assert changes(alice.hub) == set()
    assert "This will be refused: alice/faces is public" in str(alice.push(dry_run=True))


def test_a_public_data_set_of_an_organisation_is_seen_by_everybody_not_by_its_members(alice):
    alice.hub.organization("lab", alice="write", bob="read")
    alice.hub.create("lab/faces", private=False)
    told = str(alice.push("lab/faces", dry_run=True))
    assert "seen by     everybody\n" in told
    assert "members" not in told


def test_a_data_set_that_became_public_between_two_pushes_is_refused_and_nothing_is_sent(alice):
    alice.push()
    alice.repo.private = False
    alice.hub.reset()
    with pytest.raises(PushError, match="is public"):
        alice.push()
    assert changes(alice.hub) == set()
    assert alice.hub.received == 0


def test_a_public_data_set_that_holds_faces_is_told_loudly_and_how_to_make_it_private(alice):
    alice.push()
    alice.repo.private = False
    wanted = r'EVERYBODY CAN SEE THE FACES NOW.*update_repo_settings\("alice/faces", private=True'
    with pytest.raises(PushError, match=wanted):
        alice.push()
    assert "EVERYBODY CAN SEE THE FACES NOW" in str(alice.push(dry_run=True))


@pytest.mark.parametrize("shard", [1, 2, 3])
def test_a_data_set_that_becomes_public_while_shards_are_sent_gets_no_more_and_no_commit(alice, shard):
    def publish():
        alice.repo.private = False

    alice.hub.faults.add("lfs-put", run(publish), at=shard)
    with pytest.raises(PushError, match=r"is public.*No commit was made"):
        alice.push()
    assert alice.repo.paths() == []
    assert alice.hub.counts["lfs-put"] == shard


@pytest.mark.parametrize(("route", "at"), [("info", 2), ("tree", 2), ("preupload", 1), ("preupload", 2)])
def test_a_data_set_with_faces_that_becomes_public_before_the_commit_is_made_private_again(alice, route, at):
    alice.push()
    for name in alice.shards[1:]:
        alice.api.delete_file(name, "alice/faces", repo_type="dataset")
    commits = alice.hub.counts["commit"]

    def publish():
        alice.repo.private = False

    alice.hub.faults.add(route, run(publish), at=at)
    with pytest.raises(PushError, match=r"was made public by somebody.*made private again.*could see the faces"):
        alice.push()
    assert alice.repo.private
    assert alice.hub.counts["commit"] == commits


def test_a_data_set_with_faces_that_becomes_public_and_cannot_be_looked_into_is_made_private_all_the_same(alice):
    alice.push()
    alice.api.delete_file(alice.shards[1], "alice/faces", repo_type="dataset")

    def publish():
        alice.repo.private = False
        alice.hub.faults.add("tree", answer(403), times=99)

    alice.hub.faults.add("preupload", run(publish))
    with pytest.raises(PushError, match=r"was made public by somebody.*made private again"):
        alice.push()
    assert alice.repo.private


@pytest.mark.parametrize("dropped", [False, True])
def test_a_data_set_that_becomes_public_with_the_commit_is_made_private_again(alice, dropped):
    def publish():
        alice.repo.private = False

    from hub import drop_after

    alice.hub.faults.add("commit", run(publish))
    if dropped:
        alice.hub.faults.add("commit", drop_after())
    with pytest.raises(PushError, match=r"was made public by somebody.*made private again"):
        alice.push()
    assert alice.repo.private


@pytest.mark.parametrize("again", [False, True])
def test_a_data_set_that_becomes_public_while_its_last_files_are_compared_is_made_private_again(alice, again):
    def publish():
        alice.repo.private = False

    if again:
        alice.push()
    alice.hub.faults.add("tree", run_after(publish), at=2)
    with pytest.raises(PushError, match=r"was made public by somebody.*made private again"):
        alice.push()
    assert alice.repo.private


def test_looking_again_whether_a_data_set_is_private_lists_none_of_its_files(alice):
    alice.push()
    others = [CommitOperationAdd(f"notes/{number:04d}.bin", b"%d" % number) for number in range(500)]
    gone = [CommitOperationDelete(name) for name in alice.shards]
    alice.api.create_commit("alice/faces", [*others, *gone], commit_message="notes", repo_type="dataset")
    before = len(alice.hub.calls)
    assert alice.push().sent == len(alice.shards)
    asked = [call.sent for call in alice.hub.calls[before:] if call.route == "info"]
    # For each shard, in front of the commit and at the end; the head is asked for at the beginning and for the batch.
    assert len([sent for sent in asked if sent < 1000]) == len(alice.shards) + 2
    assert len([sent for sent in asked if sent > 10_000]) == 2


@pytest.mark.parametrize("again", [False, True])
def test_the_last_question_of_a_push_is_whether_it_is_private(alice, again):
    if again:
        alice.push()
    alice.push()
    assert alice.hub.calls[-1].route == "info"


def test_if_it_cannot_be_made_private_again_that_is_said_loudly(alice):
    def publish():
        alice.repo.private = False

    alice.hub.faults.add("commit", run(publish))
    alice.hub.faults.add("settings", answer(403), times=99)
    with pytest.raises(PushError, match="EVERYBODY CAN SEE THE FACES"):
        alice.push()


def test_an_organisation_that_makes_data_sets_public_by_default_gets_a_private_one(alice):
    alice.hub.organization("lab", alice="write", default_private=False)
    with pytest.warns(AudienceWarning):
        alice.push("lab/faces")
    assert alice.hub.repos["lab/faces"].private


def test_a_hub_that_makes_a_public_data_set_all_the_same_gets_no_byte(alice):
    def publish():
        alice.repo.private = False

    alice.hub.faults.add("info", run(lambda: "alice/faces" in alice.hub.repos and publish()), times=9)
    with pytest.raises(PushError, match="is public"):
        alice.push()
    assert alice.hub.received == 0


def test_a_gate_stays_as_it_is(alice):
    alice.push()
    alice.repo.gated = "manual"
    alice.push(plan=alice.plan)
    assert alice.repo.gated == "manual"


# --- who could see it ---


def test_the_members_of_an_organisation_are_told_of_every_time(alice):
    alice.hub.organization("lab", alice="write", bob="read", carol="read")
    for _ in range(2):
        with pytest.warns(AudienceWarning, match="All 3 members of the organisation lab will be able to see the faces"):
            report = alice.push("lab/faces")
    assert "seen by all 3 members of the organisation lab" in str(report)
    with pytest.warns(AudienceWarning):
        told = alice.push("lab/faces", dry_run=True)
    assert "all 3 members of the organisation lab will be able to see the faces" in str(told)
    assert (told.description.organization, told.description.members) == (True, 3)


def test_a_warning_is_shown_again_although_python_shows_one_only_once(alice):
    alice.hub.organization("lab", alice="write")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            alice.push("lab/faces", dry_run=True)
    assert [one.category for one in caught].count(AudienceWarning) == 2


@pytest.mark.parametrize("action", ["ignore", "once"])
def test_filters_of_warnings_do_not_hide_who_will_see_the_faces(alice, caplog, action):
    alice.hub.organization("lab", alice="write", bob="read")
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            alice.push("lab/faces", dry_run=True)
        shown = [str(one.message) for one in caught if one.category is AudienceWarning] + caplog.messages
        assert shown == ["All 2 members of the organisation lab will be able to see the faces in lab/faces."]
        caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", AudienceWarning)
        with pytest.raises(AudienceWarning):
            alice.push("lab/faces")


SILENCED = """
import sys
from nersemble.hub import plan_push, push
from nersemble.prepare import load_plan
push(load_plan(sys.argv[1]), sys.argv[1], "lab/faces", endpoint=sys.argv[2], dry_run=True)
"""


def test_a_script_that_ignores_warnings_says_who_will_see_the_faces(alice, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    alice.hub.organization("lab", alice="write", bob="read")
    done = alice.hub.python(SILENCED, alice.folder, alice.hub.url, token=alice.token)
    assert done.stderr == "All 2 members of the organisation lab will be able to see the faces in lab/faces.\n"


def test_an_organisation_of_many_is_refused_without_their_exact_number(alice):
    alice.hub.page_size = 40
    alice.hub.organization("city", alice="write", **{f"m{number}": "read" for number in range(100)})
    for members in (None, 100, 1000):
        with pytest.warns(AudienceWarning), pytest.raises(PushError, match=r"city has 101 members.*members=101"):
            alice.push("city/faces", members=members)
    assert changes(alice.hub) == set()
    with pytest.warns(AudienceWarning, match="All 101 members"):
        alice.push("city/faces", members=101)
    assert alice.hub.repos["city/faces"].private


@pytest.mark.parametrize("repo", ["city/faces", "faces"])
def test_an_organisation_whose_own_token_it_is_is_not_taken_for_a_user(alice, repo):
    alice.hub.organization("city", alice="write", **{f"m{number}": "read" for number in range(100)})
    told = {"type": "org", "name": "city", "auth": {"type": "access_token", "accessToken": {"role": "write"}}}
    alice.hub.faults.add("whoami", say(json.dumps(told).encode()), times=99)
    with pytest.warns(AudienceWarning, match="All 101 members"), pytest.raises(PushError, match="city has 101 members"):
        alice.push(repo)
    assert changes(alice.hub) == set()


def test_an_organisation_whose_members_cannot_be_counted_is_refused_unless_they_are(alice):
    alice.hub.organization("lab", alice="write")
    alice.hub.faults.add("members", answer(403), times=99)
    alice.hub.faults.add("overview", answer(403), times=99)
    with pytest.warns(AudienceWarning), pytest.raises(PushError, match="does not tell how many members lab has"):
        alice.push("lab/faces")
    with pytest.warns(AudienceWarning, match="whose number the hub does not tell"):
        alice.push("lab/faces", members=12)


def test_a_hub_that_does_not_count_members_at_all_is_warned_of(alice):
    alice.hub.organization("lab", alice="write")
    alice.hub.faults.add("members", answer(404), times=99)
    alice.hub.faults.add("overview", answer(404), times=99)
    with pytest.warns(AudienceWarning, match=r"lab \(whose number the hub does not tell\) will be able"):
        report = alice.push("lab/faces")
    assert "whose number the hub does not tell" in str(report)
    assert alice.hub.repos["lab/faces"].private


# --- the token ---


@pytest.mark.parametrize("given", [None, False, "hf_wrongwrongwrongwrongwrongwrongwrong"])
def test_no_token_or_a_wrong_one_is_refused_plainly(alice, given):
    wanted = "does not know this token" if given else "There is no token"
    with pytest.raises(PushError, match=wanted) as caught:
        alice.push(token=given)
    assert "wrongwrong" not in str(caught.value)
    assert changes(alice.hub) == set()


@pytest.mark.parametrize("around", ["{}\n", " {} \r\n", "\ufeff{}\n", "\t{}"])
def test_what_is_around_a_token_is_no_part_of_it(alice, around):
    alice.push(token=around.format(alice.token))
    alice.assert_whole()


NO_TOKENS = ["{}\u00e4", "\u201c{}\u201d", '"{}"', "{0} {0}", "\udc80{}"]


@pytest.mark.parametrize(
    ("around", "given"),
    [*((one, False) for one in NO_TOKENS), *((one, True) for one in [*NO_TOKENS, "{}\0", "{0}\n{0}"])],
)
def test_what_no_token_has_is_refused_plainly_and_never_shown(alice, monkeypatch, around, given):
    token = around.format(alice.token)
    if not given:
        monkeypatch.setenv("HF_TOKEN", token)
    whose = "that was given" if given else "of HF_TOKEN or of this machine"
    wanted, told = f"The token {whose} holds what no token does", {"token": token if given else None}
    with pytest.raises(PushError, match=f"^{wanted}") as caught:
        alice.push(**told)
    assert alice.token not in str(caught.value)
    trace = caught.value.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals["__name__"].startswith("nersemble."):
            assert alice.token not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    assert alice.hub.calls == []


@pytest.mark.parametrize(("given", "wanted"), [("", "There is no token"), ("\n", "There is no token"), (5, "not int")])
def test_a_token_that_is_none_is_not_replaced_by_that_of_the_machine(alice, monkeypatch, given, wanted):
    monkeypatch.setenv("HF_TOKEN", alice.token)
    with pytest.raises(PushError, match=wanted):
        alice.push(token=given)


@pytest.mark.parametrize("kind", ["folder", "no text"])
def test_a_login_that_cannot_be_read_is_told_unless_the_environment_has_a_token(alice, monkeypatch, tmp_path, kind):
    place = tmp_path / "token"
    if kind == "folder":
        place.mkdir()
    else:
        place.write_bytes(b"hf_\xff\xfe")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(place))
    why = "is a directory" if kind == "folder" else "it is no text"
    wanted = f"logged in with cannot be read from {place}: {why}.*hf auth login"
    for call in (alice.push, lambda token: delete("alice/faces", 240, token=token, endpoint=alice.hub.url)):
        for token in (None, alice.token):
            with pytest.raises(PushError, match=wanted) as caught:
                call(token=token)
            assert caught.value.__context__ is None
    assert alice.hub.calls == []
    monkeypatch.setenv("HF_TOKEN", alice.token)
    alice.push(token=None)
    alice.assert_whole()


def test_a_token_that_may_only_read_is_refused_plainly(alice):
    token = alice.hub.user("alice", role="read")
    with pytest.raises(PushError, match=r"token of alice may only read\. Make one that may write"):
        alice.push(token=token)
    with pytest.raises(PushError, match="may only read"):
        plan_push(alice.plan, alice.folder, "alice/faces", token=token, endpoint=alice.hub.url)
    assert changes(alice.hub) == set()


def test_a_fine_grained_token_serves_where_it_may_write(alice):
    alice.hub.organization("lab", alice="admin", default_private=True)
    reading = alice.hub.fine_grained("alice", {"alice": [READ]})
    with pytest.raises(PushError, match="fine-grained and may not write to alice/faces"):
        alice.push(token=reading)
    alice.push(token=alice.hub.fine_grained("alice", {"alice": [READ, WRITE]}))
    alice.assert_whole()


@pytest.mark.parametrize("permission", ["inference.serverless.write", "collection.write", "discussion.write"])
def test_a_fine_grained_token_that_writes_something_else_is_refused(alice, permission):
    token = alice.hub.fine_grained("alice", {"alice": [READ, permission]})
    with pytest.raises(PushError, match="fine-grained and may not write to alice/faces"):
        alice.push(token=token, dry_run=True)


def test_an_organisation_is_called_as_it_is_spelled(alice):
    alice.hub.organization("MyLab", alice="write", bob="read")
    with pytest.warns(AudienceWarning, match="All 2 members of the organisation MyLab will be able"):
        alice.push("MyLab/faces", dry_run=True)


def test_a_namespace_of_others_is_refused(alice):
    alice.hub.user("bob")
    with pytest.raises(PushError, match="bob is neither alice, whose token this is, nor an organisation"):
        alice.push("bob/faces")


def test_a_member_who_may_not_write_is_told_so(alice):
    alice.hub.organization("lab", alice="read", bob="admin")
    alice.hub.create("lab/faces", author="bob")
    wanted = r"alice may only read in the organisation lab\. Ask one of its admins for the role write"
    for call in (plan_push, push):
        with pytest.raises(PushError, match=wanted):
            call(alice.plan, alice.folder, "lab/faces", token=alice.token, endpoint=alice.hub.url)
    with pytest.raises(PushError, match=wanted):
        delete("lab/faces", 240, token=alice.token, endpoint=alice.hub.url)
    assert {call.route for call in alice.hub.calls} == {"whoami"}


def test_a_member_who_may_write_in_a_group_of_an_organisation_is_not_refused_for_the_role(alice):
    alice.hub.organization("lab", alice="read", bob="admin")
    told = alice.api.whoami()
    told["orgs"][0]["resourceGroups"] = [{"id": "1", "name": "faces", "role": "write"}]
    alice.hub.faults.add("whoami", say(json.dumps(told).encode()))
    with pytest.warns(AudienceWarning, match="All 2 members of the organisation lab"):
        alice.push("lab/faces", dry_run=True)


OFFLINE = """
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
from nersemble.errors import PushError
from nersemble.hub import plan_push
from nersemble.prepare import load_plan
try:
    plan_push(load_plan(sys.argv[1]), sys.argv[1], "alice/faces")
except PushError as error:
    print(error)
"""


def test_offline_mode_is_named(alice):
    done = alice.hub.python(OFFLINE, alice.folder, token=alice.token)
    assert "HF_HUB_OFFLINE is set in the environment. Unset it" in done.stdout


def test_neither_token_nor_its_pieces_are_in_errors_reports_or_logs(alice, caplog, capfd):
    caplog.set_level("DEBUG")
    shown = str(alice.push()) + repr(alice.push().as_dict())
    alice.hub.faults.add("commit", answer(403), times=9)
    with pytest.raises(PushError) as caught:
        alice.push(message="again", plan=type(alice.plan)(**{**alice.plan.__dict__, "package": "0.0.8"}))
    shown += str(caught.value) + caplog.text + "".join(capfd.readouterr())
    cards = alice.repo.read("README.md").decode()
    assert alice.token not in shown + cards
