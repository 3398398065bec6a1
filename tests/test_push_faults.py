"""What goes wrong between here and the hub, and what a push makes of it: one whole commit, or a plain error."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

import pytest
from _pushing import DEPRECATED, Pushing, pushing
from hub import Hub, answer, cut, drop, drop_after, run, say

from nersemble.errors import PushError
from nersemble.hub import client, delete, plan_push, retry

pytestmark = DEPRECATED

PASSING = [
    *(pytest.param(answer(status), id=str(status)) for status in (409, 412, 500, 502, 503, 504)),
    pytest.param(answer(429, retry_after=1), id="429"),
    pytest.param(drop(), id="drop"),
]


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    monkeypatch.setattr(retry, "WAITS", (0.02, 0.05, 0.1, 0.2))
    return pushing(hub, demo_folder, monkeypatch)


@pytest.mark.parametrize("fault", PASSING)
def test_a_commit_that_fails_is_made_once_in_the_end(alice, fault):
    struck = alice.hub.faults.add("commit", fault, times=2)
    report = alice.push()
    assert struck.hits == 2
    alice.assert_whole()
    assert report.commit == alice.repo.head.id
    assert len(list(alice.repo.history(alice.repo.head))) == 2  # with the hub's own first one
    assert sum(alice.hub.large_bytes.values()) == alice.size


def test_a_commit_that_landed_although_the_connection_dropped_is_not_repeated(alice):
    struck = alice.hub.faults.add("commit", drop_after())
    report = alice.push()
    assert struck.hits == 1
    alice.assert_whole()
    assert alice.hub.counts["commit"] == 1
    assert report.commit == alice.repo.head.id


def test_what_the_hub_asks_to_wait_is_waited(alice, monkeypatch):
    slept = []
    monkeypatch.setattr(retry.time, "sleep", slept.append)
    alice.hub.faults.add("commit", answer(429, retry_after=7))
    alice.push()
    assert max(slept) >= 7


def test_a_hub_that_asks_to_wait_for_a_day_is_not_waited_for(alice):
    alice.hub.faults.add("commit", answer(429, "too many", retry_after=86_400))
    with pytest.raises(PushError, match=r"429.*too many.*push again"):
        alice.push()


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (403, 1), (413, 1), (503, 5)])
def test_a_commit_that_has_no_hope_is_given_up_with_advice(alice, status, tries):
    struck = alice.hub.faults.add("commit", answer(status, "what the hub says"), times=99)
    advice = r" The token may not do this: make one that may write to this data set at \S+\." if status == 403 else ""
    with pytest.raises(PushError, match=rf"{status}: what the hub says\.{advice} What was sent is kept: push again"):
        alice.push()
    assert struck.hits == tries
    assert alice.repo.paths() == []
    alice.hub.faults.clear()
    alice.hub.reset()
    alice.push()
    alice.assert_whole()
    assert sum(alice.hub.large_bytes.values()) == 0


@pytest.mark.parametrize("route", ["commit", "lfs-batch", "whoami", "tree"])
def test_what_the_hub_says_with_a_full_stop_is_followed_by_one_alone(alice, route):
    alice.hub.create("alice/faces")
    alice.hub.faults.add(route, answer(400, "You have no space left..."), times=99)
    with pytest.raises(PushError, match="You have no space left") as caught:
        alice.push()
    assert ".." not in str(caught.value)


def test_a_head_that_moved_is_looked_at_again_and_what_came_is_kept(alice):
    alice.hub.create("alice/faces")
    alice.hub.faults.add(
        "commit", run(lambda: alice.put("README.md", b"---\npretty_name: Heads\n---\n# By Bob\n")), at=1
    )
    alice.push()
    alice.assert_whole()
    assert "# By Bob" in alice.repo.read("README.md").decode()


@pytest.mark.parametrize("route", ["preupload", "lfs-batch", "lfs-verify", "info", "tree", "whoami", "create"])
@pytest.mark.parametrize("fault", [answer(503), drop()], ids=["503", "drop"])
def test_every_call_is_tried_again(alice, route, fault):
    struck = alice.hub.faults.add(route, fault)
    alice.push()
    assert struck.hits == 1
    alice.assert_whole()


@pytest.mark.parametrize("fault", [answer(500), drop(), cut(5000)], ids=["500", "drop", "cut"])
def test_a_shard_whose_sending_broke_off_is_sent_again_alone(alice, fault):
    alice.hub.faults.add("lfs-put", fault, at=2)
    alice.push()
    alice.assert_whole()
    largest = max((alice.folder / name).stat().st_size for name in alice.shards)
    assert sum(alice.hub.large_bytes.values()) <= alice.size + largest


def test_a_hub_that_is_not_there_is_an_error_in_plain_words(alice, monkeypatch):
    with pytest.raises(PushError, match="The hub cannot be reached: the connection failed"):
        alice.push(endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("status", [502, 503])
def test_a_page_of_an_overloaded_hub_in_place_of_what_it_says_of_the_card_is_waited_for(alice, status):
    page = say(b"<html>Bad gateway</html>", "text/html", status)
    struck = alice.hub.faults.add("validate-yaml", page, times=2)
    alice.push()
    assert struck.hits == 2
    alice.assert_whole()
    alice.hub.faults.add("validate-yaml", page, times=99)
    with pytest.raises(PushError, match=rf"The commit to alice/other failed: the hub answers {status}\. "):
        alice.push("alice/other")


def test_a_link_that_expired_is_asked_for_again(alice):
    struck = alice.hub.faults.add("lfs-put", answer(403, "Request has expired"), at=2, times=2)
    alice.push()
    assert struck.hits == 2
    alice.assert_whole()
    assert alice.hub.counts["lfs-batch"] >= 5


def test_a_store_that_refuses_every_link_is_not_the_tokens_fault(alice):
    alice.hub.faults.add("lfs-put", answer(403, "Request has expired"), times=99)
    with pytest.raises(PushError, match="the hub's store, whose link may have expired, answers 403: Request") as caught:
        alice.push()
    assert "token" not in str(caught.value)
    assert "What was sent is kept: push again, and it goes on from there." in str(caught.value)


PAGE = say(b"<html>Sign in to the guest network</html>", "text/html")


@pytest.mark.parametrize("fault", [PAGE, say(b""), cut(100)], ids=["page", "empty", "cut"])
def test_a_card_that_came_as_something_else_is_read_again(alice, fault):
    alice.push()
    struck = alice.hub.faults.add("resolve", fault, at=2)  # the first asks for the head alone
    alice.push()
    assert struck.hits == 1
    alice.assert_whole()


def always_cut(alice, fault):
    """What comes of the card is cut off, each time that it is read and not just looked for."""
    for place in range(2, 40, 2):
        alice.hub.faults.add("resolve", fault, at=place)


DOING = {
    "push": lambda alice: alice.push(),
    "dry run": lambda alice: alice.push(dry_run=True),
    "delete": lambda alice: delete("alice/faces", [240], token=alice.token, endpoint=alice.hub.url),
}


@pytest.mark.parametrize("doing", DOING)
def test_a_card_that_never_comes_whole_is_an_error_in_plain_words(alice, doing):
    alice.push()
    always_cut(alice, say(b"<html>Sign in</html>", "text/html"))
    with pytest.raises(PushError, match=r"Reading README\.md of alice/faces failed: what came is not the file that"):
        DOING[doing](alice)


def test_a_page_of_the_length_of_the_card_is_not_taken_for_it(alice):
    alice.push()
    size = len(alice.repo.read("README.md"))
    struck = alice.hub.faults.add("resolve", say(b"x" * size, "text/html"), at=2)
    assert alice.push().commits == 0
    assert struck.hits == 1


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from nersemble.cli.app import main
sys.argv = ["nersemble", "push", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("words", [("alice/faces", "--delete", "240", "--yes"), ("FOLDER", "alice/faces", "--dry-run")])
def test_a_disk_that_takes_no_more_is_an_error_in_plain_words(alice, words):
    alice.push()
    words = [str(alice.folder) if word == "FOLDER" else word for word in words]
    done = alice.hub.python(FULL, *words, token=alice.token)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    wanted = "Reading README.md of alice/faces failed: something on this machine failed: File too large. Make room"
    assert wanted in " ".join(done.stderr.split())


def test_a_folder_for_temporary_files_that_is_not_there_is_an_error_in_plain_words(alice, monkeypatch, tmp_path):
    alice.push()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(PushError, match=r"Reading README\.md .*something on this machine failed: No such file"):
        alice.push(dry_run=True)


@pytest.mark.parametrize("kind", ["refused", "no such host", "silent"])
def test_a_hub_out_of_reach_is_told_soon_and_in_plain_words(alice, monkeypatch, kind):
    monkeypatch.setattr(client, "REACH", 1.0)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if kind == "silent":  # takes connections, and says nothing
            listening.listen()
        host = "hub.invalid" if kind == "no such host" else "127.0.0.1"
        there = {"endpoint": f"http://{host}:{listening.getsockname()[1]}", "token": alice.token}
        calls = [lambda: alice.push(**there), lambda: delete("alice/faces", 240, **there)]
        calls.append(lambda: plan_push(alice.plan, None, "alice/faces", **there))
        for call in calls:
            began = time.monotonic()
            with pytest.raises(PushError, match=r"^The hub cannot be reached: .*Nothing was sent.*HF_ENDPOINT") as no:
                call()
            assert time.monotonic() - began < 10
            assert ("no answer came in time" in str(no.value)) == (kind == "silent")


def test_a_hub_that_goes_away_before_anything_is_sent_is_not_waited_for_as_long_as_later(alice, monkeypatch):
    monkeypatch.setattr(retry, "WAITS", (0.01,) * 8)
    early = alice.hub.faults.add("info", drop(), times=99)
    with pytest.raises(PushError, match="Looking at alice/faces failed: the connection failed"):
        alice.push()
    assert early.hits == 4
    alice.hub.faults.clear()
    late = alice.hub.faults.add("commit", drop(), times=8)  # a call that the hub's client does not try again itself
    alice.push()
    assert late.hits == 8
    alice.assert_whole()
