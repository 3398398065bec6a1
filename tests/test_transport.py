"""What requests rest on: kept connections, redirects, answers that are not what they should be, and pauses."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from email.utils import formatdate

import pytest

from nersemble import AssetNotFoundError, CatalogError, NersembleFileSystem, TransportError
from nersemble.access import AccessURL
from nersemble.catalog import parse_catalog
from nersemble.demo import DemoHandler, DemoServer
from nersemble.transport import Cancel, FetchOptions, connections, open_files, policy

CSV = "metadata_sequences.csv"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.005)


@pytest.fixture
def reach(demo_folder):
    """Serve the demo with a handler of one's own; gives the server and its files."""
    opened = []

    def start(handler=DemoHandler, url=lambda url: url):
        server = DemoServer(demo_folder, handler=handler).start()
        files = open_files(AccessURL.parse(url(server.url), source="the test"))
        opened.extend([files, server])
        return server, files

    yield start
    for one in opened:
        one.close()


def counting(handler=DemoHandler):
    """A handler that notes from which port each request came: one a connection."""

    class Counting(handler):
        ports: list[int] = []  # noqa: RUF012 - of this class alone

        def respond(self, path):
            self.ports.append(self.client_address[1])
            super().respond(path)

    return Counting


def read(files, path=CSV):
    return files.read(path, 0, None, Cancel()).data


def test_a_connection_is_used_again_unless_it_was_idle_for_long(reach, monkeypatch, demo_folder):
    handler = counting()
    _, files = reach(handler)
    for _ in range(3):
        assert read(files) == (demo_folder / CSV).read_bytes()
    assert len(set(handler.ports)) == 1
    monkeypatch.setattr(connections, "IDLE", 0.0)
    read(files)
    assert len(set(handler.ports)) == 2


def test_a_silent_end_of_kept_connections_costs_one_wait(reach, monkeypatch, demo_folder):
    """As of a router that forgets them: every kept connection is given up with the first."""

    class Forgotten(DemoHandler):
        seen: dict[int, int] = {}  # noqa: RUF012 - of this class alone

        def respond(self, path):
            port = self.client_address[1]
            self.seen[port] = self.seen.get(port, 0) + 1
            if self.seen[port] > 1:
                time.sleep(2)
                self.close_connection = True
            else:
                super().respond(path)

    monkeypatch.setattr(connections, "READ_TIMEOUT", 0.3)
    server, files = reach(Forgotten)
    taken = [files.client._connections.take(fresh=True)[0] for _ in range(8)]
    for connection in taken:
        connection.request("GET", f"/{server.prefix}/{CSV}")
        connection.getresponse().read()
        files.client._connections.give(connection)
    began = time.monotonic()
    assert read(files) == (demo_folder / CSV).read_bytes()
    assert time.monotonic() - began < 1.5


def test_a_redirect_on_the_same_server_may_leave_the_login_out(reach, demo_folder):
    class Moved(DemoHandler):
        def respond(self, path):
            if path == CSV and "moved" not in self.path:
                self.send_status(302, "", {"Location": f"{self.demo.url}/{CSV}?moved"})
            else:
                self.send_file(path)

    _, files = reach(Moved, lambda url: url.replace("//", "//user:word@"))
    assert read(files) == (demo_folder / CSV).read_bytes()


def test_a_redirect_with_a_blank_is_followed(reach, demo_folder):
    class Blank(DemoHandler):
        def respond(self, path):
            if path == "a file":
                self.send_file(CSV)
            else:
                self.send_status(302, "", {"Location": f"{self.demo.url}/a file"})

    _, files = reach(Blank)
    assert read(files) == (demo_folder / CSV).read_bytes()


def test_headers_that_repeat_the_path_are_not_kept(reach):
    class Echo(DemoHandler):
        def respond(self, path):
            self.send_status(
                404, "", {"Content-Location": self.path, "Link": f"<{self.demo.url}>", "X-Path": self.path}
            )

    server, files = reach(Echo)
    with pytest.raises(AssetNotFoundError) as caught:
        read(files)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if "tests" not in frame.filename])
    assert server.prefix not in "".join(told.format())


def test_an_answer_that_is_no_http_is_not_waited_for(reach, monkeypatch):
    """However long a server that is out of reach would be."""

    class Garbage(DemoHandler):
        def respond(self, path):
            if path == CSV:
                self.send_file(path)
            else:
                self.wfile.write(b"HELLO\r\n\r\n")
                self.close_connection = True

    _, files = reach(Garbage)
    read(files)
    began = time.monotonic()
    with pytest.raises(TransportError, match="no proper HTTP"):
        read(files, "240/calibration/camera_params.json")
    assert time.monotonic() - began < 5


def hinting(*interim, times=1):
    """A handler that sends interim answers before each one, in packets of their own."""

    class Hinting(counting()):
        def respond(self, path):
            for code in interim * times:
                self.wfile.write(f"HTTP/1.1 {code} Wait\r\nLink: <style.css>\r\nContent-Length: 5\r\n\r\n".encode())
                self.wfile.flush()
                time.sleep(0.01)
            super().respond(path)

    return Hinting


@pytest.mark.parametrize("interim", [(100,), (102,), (103,), (100, 103, 103, 100)])
def test_interim_answers_are_not_taken_for_the_answer(reach, tmp_path, demo_folder, interim):
    """Of a read, a range, a HEAD, a download and a refusal; the connection is used on."""
    handler = hinting(*interim)
    _, files = reach(handler)
    data = (demo_folder / CSV).read_bytes()
    assert read(files) == data
    assert files.read(CSV, 3, 9, Cancel()).data == data[3:9]
    assert files.stat(CSV, Cancel()).size == len(data)
    etag = files.read(CSV, 0, None, Cancel()).etag
    assert files.read_if_changed(CSV, etag, None, Cancel()) is None
    files.fetch(CSV, tmp_path / CSV, Cancel(), FetchOptions())
    assert (tmp_path / CSV).read_bytes() == data
    with pytest.raises(AssetNotFoundError):
        read(files, "no such file")
    assert len(handler.ports) == 7
    assert len(set(handler.ports)) == 1


def test_interim_answers_without_end_are_not_waited_for(reach):
    """Each of them comes in time, so that no read would ever time out."""
    _, files = reach(hinting(103, times=10_000))
    began = time.monotonic()
    with pytest.raises(TransportError, match="no proper HTTP"):
        read(files)
    assert time.monotonic() - began < 10


def test_retry_after_is_read_by_the_servers_own_clock():
    hour = 3600
    there = time.time() + hour
    headers = {"retry-after": formatdate(there + 2, usegmt=True), "date": formatdate(there, usegmt=True)}
    assert policy.retry_after(headers) == 2
    assert policy.retry_after({"retry-after": "7"}) == 7
    assert policy.retry_after({"retry-after": formatdate(time.time() - hour, usegmt=True)}) == 0
    assert policy.retry_after({"retry-after": "soon"}) is None
    assert policy.retry_after({}) is None


def test_what_is_known_of_a_server_that_is_out_of_reach():
    pace = policy.Pace()
    began = time.monotonic()
    assert not pace.worth_waiting()
    assert not pace.reached_since(began)
    pace.reached()
    assert pace.worth_waiting()
    assert pace.reached_since(began)
    assert not pace.reached_since(time.monotonic())
    pace.begin(0.0)
    pace.reached()
    assert not pace.worth_waiting()


@pytest.mark.parametrize("column", ["EXP-1-x/../../../escape", "EXP-1-a\\b", "SEN-01-tab\there"])
def test_a_catalogue_names_no_path(column):
    data = f"ID,EXP-1-head,{column}\n240,x,x\n".encode()
    try:
        catalog = parse_catalog(data)
    except CatalogError:
        return
    assert catalog.sequences_of[240] == ("EXP-1-head",)


def test_ctrl_c_ends_what_get_does(reach, monkeypatch, tmp_path):
    """It does not go on in a thread, as it would in the wait that fsspec has."""
    sent = []

    class Trickle(DemoHandler):
        def send_body(self, file, start, length):
            for at in range(start, start + length, 256):
                super().send_body(file, at, min(256, start + length - at))
                if length > 8192:
                    sent.append(at)
                    time.sleep(0.05)

    server, _ = reach(Trickle)
    monkeypatch.setenv("NERSEMBLE_DATA_URL", server.url)
    begun = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    begun.start()
    with pytest.raises(KeyboardInterrupt):
        NersembleFileSystem().get("240/sequences/EXP-1-head/", str(tmp_path / "copied"), recursive=True)
    assert sent
    time.sleep(0.5)
    then = len(sent)
    time.sleep(0.5)
    assert len(sent) == then
