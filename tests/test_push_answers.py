"""Answers that are none: pages with status 200, JSON of something else; and what of them and of the token is shown."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import huggingface_hub.constants
import pytest
from _hub_cleaning import add_cleaning
from _pushing import DEPRECATED, Pushing, pushing
from hub import Hub, answer, run, say

from nersemble.errors import AudienceWarning, PushError
from nersemble.hub import committing, delete, retry
from nersemble.hub.retry import attempt

pytestmark = DEPRECATED
CALLS = ["whoami", "info", "create", "tree", "preupload", "lfs-batch", "commit", "validate-yaml"]
PAGE = say(b"<html>Sign in to the guest network</html>", "text/html")


@pytest.fixture
def alice(hub: Hub, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushing:
    monkeypatch.setattr(retry, "WAITS", (0.02, 0.05, 0.1))
    return pushing(hub, demo_folder, monkeypatch)


def frames(error: BaseException | None):
    """Every frame that an exception, and what it came of, leads to."""
    while error is not None:
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            yield trace.tb_frame
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def assert_no_token(error: BaseException, token: str) -> None:
    """Neither in what it says nor in a variable of the package or of the hub's client."""
    assert token not in repr(error)
    for frame in frames(error):
        name = frame.f_globals["__name__"]
        assert not name.startswith("huggingface_hub")
        if name.startswith("nersemble."):
            assert token not in repr(frame.f_locals)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [PAGE, say(b"{}"), say(b"[]")], ids=["page", "object", "list"])
def test_an_answer_that_is_none_is_told_in_plain_words_and_holds_no_token(alice, call, fault):
    alice.hub.faults.add(call, fault, times=99)
    problem: PushError | None = None
    try:
        alice.push()
    except PushError as error:
        problem = error
    if problem is None:  # an answer to some calls has this form, or nobody reads it
        assert fault is not PAGE
        alice.assert_whole()
        return
    assert_no_token(problem, alice.token)
    if fault is PAGE:
        assert "the hub's answer is none of a hub: is there a proxy or a login page in between?" in str(problem)


def test_what_the_hub_says_of_one_file_is_said_and_not_tried_again(alice):
    refused = {
        "oid": "a" * 64,
        "size": 1,
        "error": {"code": 422, "message": "Private repository storage limit reached"},
    }
    body = json.dumps({"transfer": "basic", "objects": [refused]}).encode()
    struck = alice.hub.faults.add("lfs-batch", say(body), times=9)
    with pytest.raises(
        PushError, match=r"Sending .* failed: the hub says: Private repository storage limit reached"
    ) as no:
        alice.push()
    assert struck.hits == 1
    assert_no_token(no.value, alice.token)


#: Pushes as users do, whose client sends large files by Xet.
XET = """
import os, sys
del os.environ["HF_HUB_DISABLE_XET"]
import nersemble
folder = sys.argv[1]
try:
    nersemble.hub.push(nersemble.prepare.load_plan(folder), folder, "alice/faces", progress=False)
except nersemble.PushError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "The hub does not know the token any more"),
        (402, "The account may have no room left"),
        (403, "The token may not do this"),
        (403, "Or the account has no room left"),
        (404, "HF_HUB_DISABLE_XET=1 does without"),
    ],
)
def test_a_refusal_to_send_by_xet_is_told_and_not_taken_for_a_broken_connection(alice, status, told):
    struck = alice.hub.faults.add("xet", answer(status), times=99)
    done = alice.hub.python(XET, str(alice.folder), token=alice.token)
    assert done.returncode == 0, done.stderr
    assert "Sending " in done.stdout
    assert f"the hub answers {status}" in done.stdout
    assert told in done.stdout
    assert struck.hits == 1


@pytest.mark.parametrize("route", ["preupload", "lfs-batch", "commit"])
@pytest.mark.parametrize(
    "said",
    [
        (403, "Private repository storage limit reached, please upgrade your plan"),
        (403, "Your storage patterns tripped our internal systems!"),
        (402, "Payment required"),
    ],
)
def test_no_room_for_private_data_sets_is_not_the_tokens_fault(alice, route, said):
    alice.hub.faults.add(route, answer(*said), times=9)
    with pytest.raises(PushError, match="The account may have no room left for private data sets") as no:
        alice.push()
    assert said[1].rstrip("!") in str(no.value)
    assert "token" not in str(no.value)


def test_a_failure_that_is_none_of_the_hubs_goes_on_without_the_frames_of_its_client(alice):
    from huggingface_hub.utils import build_hf_headers

    class Strange(Exception):
        pass

    class Told:
        def __str__(self):
            raise Strange

    with pytest.raises(Strange) as caught:
        attempt(lambda: build_hf_headers(token=alice.token, library_name=Told()))
    assert_no_token(caught.value, alice.token)


def test_ctrl_c_within_a_call_leaves_nothing_of_it(alice):
    import os
    import signal

    alice.hub.faults.add("whoami", run(lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt) as caught:
        alice.push()
    assert_no_token(caught.value, alice.token)


def test_errors_of_ones_own_are_not_taken_for_the_hubs(alice):
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 // 0)
    with pytest.raises(ValueError, match="mine"):
        attempt(lambda: (_ for _ in ()).throw(ValueError("mine")))


def test_the_hubs_client_does_not_log_signed_links_of_a_push_and_goes_on_logging_later(alice, capfd, caplog):
    alice.hub.faults.add("lfs-put", answer(503))
    alice.push()
    shown = "".join(capfd.readouterr()) + caplog.text
    assert "X-Amz-Signature" not in shown
    assert alice.hub.counts["lfs-put"] == 4
    logger = logging.getLogger("huggingface_hub.utils._http")
    assert (logger.isEnabledFor(logging.WARNING), logger.filters) == (True, [])


def test_a_hub_that_gives_itself_another_name_takes_commits_all_the_same(alice, monkeypatch):
    """Its answers cannot be read by the hub's client; nor can those of any but the usual hub by older ones."""
    add_cleaning(alice.hub)
    alice.hub.named = "http://inner.example.org/a/hub"
    monkeypatch.setattr(committing, "MOST", 2)
    report = alice.push()
    alice.assert_whole()
    assert report.commit == alice.repo.head.id
    assert report.commits == alice.hub.counts["commit"] > 2
    assert alice.push().commits == 0
    report = delete("alice/faces", [240], token=alice.token, endpoint=alice.hub.url)
    assert report.shards == 3
    assert alice.repo.paths() == ["README.md"]


def test_another_hub_than_that_of_the_environment_is_the_only_one_that_is_asked(alice, monkeypatch):
    """Neither an answer that an older client takes for one of the other, nor a question that it sends there."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    add_cleaning(alice.hub)
    alice.hub.page_size = 2
    alice.hub.organization("lab", alice="admin", bob="read", carol="read")
    with pytest.warns(AudienceWarning, match="All 3 members of the organisation lab"):
        report = alice.push("lab/faces")
    assert report.commit == alice.hub.repos["lab/faces"].head.id
    delete("lab/faces", [240], token=alice.token, endpoint=alice.hub.url)
    assert alice.hub.repos["lab/faces"].paths() == ["README.md"]


def test_a_refusal_names_each_likely_cause_and_what_to_do(alice):
    with pytest.raises(PushError, match=r"does not exist, or it is private and the token may not see it.*tokens\.$"):
        delete("alice/nothing", 240, token=alice.token, endpoint=alice.hub.url)
    for status, wanted in ((401, "was revoked, or has expired. Make another"), (404, "may not see it")):
        alice.hub.faults.add("create", answer(status), times=9)
        with pytest.raises(PushError, match=wanted):
            alice.push()
        alice.hub.faults.clear()


class OneSlash(BaseHTTPRequestHandler):
    """Says whose token it is to who asks below ``/hub`` with one slash at a time; to others, that there is nothing."""

    def do_GET(self) -> None:
        asked = self.requestline.split()[1] == "/hub/api/whoami-v2"
        told = json.dumps({"name": "alice", "auth": {"accessToken": {"role": "read"}}} if asked else {}).encode()
        self.send_response(200 if asked else 404)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_slash_at_the_end_of_a_hubs_url_is_no_part_of_it(alice):
    with ThreadingHTTPServer(("127.0.0.1", 0), OneSlash) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PushError, match="may only read"):
            alice.push(endpoint=f"http://127.0.0.1:{server.server_port}/hub/")
        server.shutdown()
