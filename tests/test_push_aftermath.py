"""After a commit may have landed: however a push ends, the faces are private, or it is said that nobody knows."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from _pushing import DEPRECATED, Pushing, pushing
from hub import Hub, answer, answer_after, drop_after, run, run_after, say

from nersemble.errors import PushError
from nersemble.hub import retry

pytestmark = DEPRECATED
NOBODY_KNOWS = "A COMMIT MAY HAVE BEEN MADE, AND NOBODY KNOWS WHETHER alice/faces IS PRIVATE"


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    monkeypatch.setattr(retry, "WAITS", (0.02, 0.05, 0.1))
    alice = pushing(hub, demo_folder, monkeypatch)
    hub.create("alice/faces")
    return alice


def publish(alice: Pushing):
    def turn():
        next(iter(alice.hub.repos.values())).private = False

    return turn


def blind(alice: Pushing, fault):
    """From the commit on, nobody can look at the data set."""
    return run_after(lambda: alice.hub.faults.add("info", fault, times=99))


@pytest.mark.parametrize("status", [451, 503, 404], ids=["odd", "overloaded", "gone"])
def test_if_nobody_can_look_after_the_commit_that_is_said_loudly(alice, status):
    alice.hub.faults.add("commit", blind(alice, answer(status)))
    with pytest.raises(PushError, match=NOBODY_KNOWS):
        alice.push()
    assert alice.shards[0] in alice.repo.paths()


@pytest.mark.parametrize("fault", [answer_after(400, "no"), answer_after(403, "no"), drop_after()])
def test_a_commit_that_was_refused_although_it_landed_is_looked_after(alice, fault):
    alice.hub.faults.add("commit", fault)
    alice.hub.faults.add("commit", run(publish(alice)))
    with pytest.raises(PushError, match=r"was made public by somebody.*made private again"):
        alice.push()
    assert alice.repo.private


def test_a_refused_commit_that_nobody_can_look_after_says_both(alice):
    alice.hub.faults.add("commit", answer_after(400, "what a proxy says"))
    alice.hub.faults.add("commit", run(lambda: alice.hub.faults.add("info", answer(451), times=99)))
    with pytest.raises(PushError, match=rf"{NOBODY_KNOWS}.*It ended with: The commit to .*what a proxy says"):
        alice.push()


def test_an_answer_that_is_no_hubs_is_looked_after_as_well(alice):
    alice.hub.faults.add("commit", run(publish(alice)))
    alice.hub.faults.add("commit", say(b"<html>Sign in</html>", "text/html"))
    with pytest.raises(PushError, match="made private again"):
        alice.push()
    assert alice.repo.private


def renamed(alice: Pushing, *, private: bool):
    def rename():
        repo = alice.hub.repos.pop("alice/faces")
        repo.id, repo.private = "alice/other", private
        alice.hub.repos["alice/other"] = repo
        alice.hub.moved["alice/faces"] = "alice/other"

    return run_after(rename)


def test_a_data_set_that_was_renamed_and_published_is_made_private_under_its_new_name(alice):
    alice.hub.faults.add("commit", renamed(alice, private=False))
    with pytest.raises(PushError, match=r"is called alice/other now.*made private again"):
        alice.push()
    assert alice.hub.repos["alice/other"].private


def test_a_data_set_with_faces_that_was_renamed_and_published_before_the_commit_is_made_private(alice):
    alice.push()
    alice.hub.faults.add("info", run(renamed(alice, private=False).after), at=2)
    with pytest.raises(PushError, match=r"alice/faces is called alice/other now.*made private again"):
        alice.push()
    assert alice.hub.repos["alice/other"].private


def test_a_data_set_that_was_renamed_and_is_private_is_told_of(alice):
    alice.hub.faults.add("commit", renamed(alice, private=True))
    with pytest.raises(PushError, match=r"is called alice/other now, where others may see it\. It is private"):
        alice.push()


def interrupt(alice: Pushing) -> None:
    """Ctrl-C, while the commit lands and before its answer comes."""
    alice.hub.faults.add("commit", drop_after())
    alice.hub.faults.add("commit", run_after(lambda: os.kill(os.getpid(), signal.SIGINT)))


def test_ctrl_c_right_after_the_commit_is_looked_after(alice):
    alice.hub.faults.add("commit", run(publish(alice)))
    interrupt(alice)
    with pytest.raises(PushError, match=r"made private again.*It was stopped by KeyboardInterrupt"):
        alice.push()
    assert alice.repo.private


def test_ctrl_c_of_a_push_that_is_private_stays_ctrl_c(alice):
    interrupt(alice)
    with pytest.raises(KeyboardInterrupt):
        alice.push()
    assert alice.hub.calls[-1].route == "info"


def test_ctrl_c_that_nobody_can_look_after_is_said_loudly(alice):
    interrupt(alice)
    alice.hub.faults.add("commit", blind(alice, answer(451)))
    with pytest.raises(PushError, match=NOBODY_KNOWS):
        alice.push()
