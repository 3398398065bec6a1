"""Downloads from servers that misbehave: the right bytes or a clear error, and nothing wrong under a final name.

``Scene.download`` makes that check after every download here.
"""

from __future__ import annotations

import email.utils
import socket
import threading
import time

import pytest
from _faults import (
    SIZE,
    Scene,
    drop,
    etag,
    eventually,
    facts,
    files_in,
    first,
    misbehaving,
    part_of,
    parts_in,
    plain,
    put,
    reset,
    send,
    status,
    video,
    without,
)

import nersemble
from nersemble.access import find_access
from nersemble.demo import DemoServer
from nersemble.downloads import server_sizes
from nersemble.layout import find_asset
from nersemble.transport import Cancel, FetchOptions, connections, open_files, policy, shared_files
from nersemble.transport.fetch import OVERLAP, part_key
from nersemble.transport.part_file import PartFile, Version

VIDEO = video()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Pauses between tries that a test can wait for."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.004)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch) as made:
        yield made


def requests_for(server, path, method="GET"):
    return [request for request in server.requests if (request.path, request.method) == (path, method)]


def bytes_sent(server, path):
    return sum(request.body_bytes for request in requests_for(server, path))


def assert_all_fetched(scene, report):
    assert report.complete, str(report)
    assert set(files_in(scene.folder)) == scene.videos
    assert report.fetched == len(scene.videos)


def assert_all_failed(scene, report, said):
    assert files_in(scene.folder) == []
    assert {str(asset) for asset in report.failed} == scene.videos
    assert [reason for reason in report.failed.values() if said not in reason] == []


# --- bodies that break off --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [reset, drop])
def test_a_body_that_breaks_off_again_and_again_is_gone_on_with(scene, end):
    """At growing offsets, and next to nothing is fetched twice."""
    step = 150_000
    server = scene.serve(part_of(step, end))
    assert_all_fetched(scene, scene.download())
    for path in scene.videos:
        asked = requests_for(server, path)
        starts = [int(request.range.removeprefix("bytes=").rstrip("-")) for request in asked[1:]]
        assert asked[0].range is None
        assert starts == [number * (step - OVERLAP) for number in range(1, len(starts) + 1)]
        assert {request.status for request in asked[1:]} == {206}
        assert bytes_sent(server, path) == SIZE + OVERLAP * len(starts)


def test_what_was_begun_is_gone_on_with_by_the_next_run(scene):
    scene.serve(first(99, part_of(300_000), status(503)))
    broken = type("Broken", (misbehaving(first(1, part_of(300_000), status(500))),), {})
    server = scene.serve(broken)
    report = scene.download()
    assert_all_failed(scene, report, "HTTP 500")
    assert [part.stat().st_size for part in parts_in(scene.folder)] == [300_000] * 4
    server.close()
    again = scene.serve()
    report = scene.download()
    assert_all_fetched(scene, report)
    assert {request.range for request in again.requests if request.path.endswith(".mp4")} == {
        f"bytes={300_000 - OVERLAP}-"
    }
    assert report.bytes == 4 * (SIZE - 300_000 + OVERLAP)


def test_a_body_that_is_too_short_each_time_is_never_a_file(scene):
    """The right Content-Length, no ranges, always the same half of the body."""

    def half(handler, path, number):
        data, headers = facts(handler, path)
        send(handler, 200, headers, data[: SIZE // 2])
        drop(handler)

    server = scene.serve(half)
    assert_all_failed(scene, scene.download(), "broke off after 350,000 of 700,001 bytes")
    assert len(requests_for(server, VIDEO)) <= policy.ATTEMPTS + 1


def test_a_file_that_is_reset_each_time_does_not_hold_its_worker(scene):
    """However long the server's other files keep coming: a server that answers is not one that is out of reach."""
    path = video(0)

    def answer(handler, asked, number):
        if asked == path:
            data, headers = facts(handler, asked)
            send(handler, 200, headers, data[: SIZE // 2])
            reset(handler)
        else:
            handler.send_file(asked)

    server = scene.serve(answer)
    report = scene.download()
    assert [str(asset) for asset in report.failed] == [path]
    assert report.fetched == 3
    assert len(requests_for(server, path)) <= policy.ATTEMPTS + 1


@pytest.mark.parametrize("size", [5_000, 20_000, SIZE])
@pytest.mark.parametrize("times", [1, 10**6])
def test_a_body_that_is_too_long_is_not_a_file(scene, size, times):
    """Not even its announced part, unless the server sends it properly."""
    for path in scene.videos:
        put(scene.truth, path, (scene.truth / path).read_bytes()[:size])

    def longer(handler, path, number):
        data, headers = facts(handler, path)
        send(handler, 200, headers, data + b"more than announced")

    scene.serve(first(times, longer))
    report = scene.download()
    if times == 1:
        assert_all_fetched(scene, report)
    elif size != SIZE:  # all of it is there at once, so that none can be missed
        assert_all_failed(scene, report, "more than it announced")


def chunked(data, *, cut=False, pieces=7):
    step = len(data) // pieces + 1
    body = b"".join(b"%x\r\n%s\r\n" % (len(data[n : n + step]), data[n : n + step]) for n in range(0, len(data), step))
    return body[: len(body) // 2] if cut else body + b"0\r\n\r\n"


def send_chunked(cut):
    def answer(handler, path, number):
        data, headers = facts(handler, path)
        del headers["Content-Length"]
        send(handler, 200, {**headers, "Transfer-Encoding": "chunked"}, chunked(data, cut=cut))
        if cut:
            drop(handler)

    return answer


def test_a_chunked_body_is_a_file(scene):
    scene.serve(send_chunked(cut=False))
    assert_all_fetched(scene, scene.download())


def test_a_chunked_body_that_was_cut_is_not_a_file(scene):
    server = scene.serve(first(2, send_chunked(cut=True), send_chunked(cut=False)))
    assert_all_fetched(scene, scene.download())
    assert len(requests_for(server, VIDEO)) == 3
    server.close()
    scene.serve(send_chunked(cut=True))
    report = scene.download(force=True)
    assert len(report.failed) == 4
    assert "broke off in the middle" in next(iter(report.failed.values()))
    assert set(files_in(scene.folder)) == scene.videos  # those of before


def test_a_chunked_body_between_two_chunks_is_not_a_file(scene):
    def answer(handler, path, number):
        data, _ = facts(handler, path)
        send(handler, 200, {"Transfer-Encoding": "chunked"}, b"400\r\n%s\r\n" % data[:1024])
        drop(handler)

    scene.serve(answer)
    assert_all_failed(scene, scene.download(), "broke off in the middle")


@pytest.mark.parametrize("close", [False, True])
def test_a_body_without_a_length_is_refused(scene, close):
    """Whether it came to its end could not be known."""

    def answer(handler, path, number):
        data, headers = facts(handler, path)
        del headers["Content-Length"]
        send(handler, 200, headers, data[:1000] if close else data)
        drop(handler)

    server = scene.serve(answer)
    assert_all_failed(scene, scene.download(), "does not say how long it is")
    assert len(requests_for(server, VIDEO)) == 1


def test_a_compressed_body_is_refused(scene):
    import gzip

    def answer(handler, path, number):
        data, headers = facts(handler, path)
        packed = gzip.compress(data, 1)
        headers = {**headers, "Content-Length": str(len(packed)), "Content-Encoding": "gzip"}
        send(handler, 200, headers, packed)

    scene.serve(answer)
    assert_all_failed(scene, scene.download(), "compressed")


@pytest.mark.parametrize("kind", ["gzip", "no length", "page"])
def test_an_answer_that_is_no_file_does_not_cost_what_is_held(scene, kind):
    """A proxy's page between two good answers."""

    def fault(handler, path, number):
        if number == 1:
            return part_of(300_000)(handler, path, number)
        headers = {
            "gzip": {"Content-Length": "4", "Content-Encoding": "gzip"},
            "no length": {},
            "page": {"Content-Length": "4", "Content-Type": "text/html; charset=utf-8"},
        }[kind]
        send(handler, 200, headers, b"none")
        return drop(handler)

    server = scene.serve(first(2, fault))
    report = scene.download()
    assert len(report.failed) == 4
    report = scene.download()
    assert_all_fetched(scene, report)
    assert bytes_sent(server, VIDEO) == SIZE + OVERLAP + 4


# --- statuses ---------------------------------------------------------------------------------------------------------


def pace():
    return shared_files(find_access()).client.pace


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_a_server_that_asks_to_wait_is_left_alone_by_all_workers(tmp_path, monkeypatch, kind):
    """One of four workers is refused; the others end what they have begun, and begin nothing before the time."""
    all_at_work, lock = threading.Barrier(4), threading.Lock()
    begun, refused = [], []

    def answer(handler, path, number):
        with lock:
            begun.append(time.monotonic())
            place = len(begun)
        if place <= 4:
            all_at_work.wait(30)
        if place == 1:
            after = "1" if kind == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
            refused.append(time.monotonic())
            handler.send_status(429, "slowly", {"Retry-After": after})
            return
        if place <= 4:
            eventually(pace().remaining)  # the client, which is this process, has taken note
        handler.send_file(path)

    with Scene(tmp_path, monkeypatch, cameras=12, size=2000) as scene:
        scene.serve(answer)
        assert_all_fetched(scene, scene.download())
    assert len(begun) == 13
    least = 1.0 if kind == "seconds" else 0.9  # a date is cut to its second
    assert least <= min(begun[4:]) - refused[0] < 4


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"Retry-After": "soon"}])
def test_a_server_that_is_busy_for_ever_gets_a_sentence(scene, headers):
    server = scene.serve(status(429, headers))
    assert_all_failed(scene, scene.download(), "HTTP 429")
    assert len(requests_for(server, VIDEO)) == policy.ATTEMPTS


def test_a_server_that_asks_for_too_much_patience_gets_a_sentence(scene):
    server = scene.serve(status(503, {"Retry-After": "7200"}))
    began = time.monotonic()
    report = scene.download()
    assert files_in(scene.folder) == []
    assert "asks to wait 120 minutes" in report.stopped
    assert report.failed
    assert time.monotonic() - began < 5
    assert all(len(requests_for(server, path)) <= 1 for path in scene.videos)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_bursts_of_passing_failures_pass(scene, code):
    server = scene.serve(first(3, status(code)))
    assert_all_fetched(scene, scene.download())
    assert [request.status for request in requests_for(server, VIDEO)] == [code] * 3 + [200]


def test_a_server_that_always_fails_stops_the_queue(tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.001)
    with Scene(tmp_path, monkeypatch, sequences=("HAIR", "FREE", "GLASSES"), cameras=16, size=100) as scene:
        server = scene.serve(status(503))
        report = scene.download()
        assert files_in(scene.folder) == []
        assert report.not_tried > 48 - 12 - 2 * 4
        assert len(report.failed) + report.not_tried == 48
        assert "HTTP 503" in report.stopped
        assert {request.status for request in server.requests if request.path.endswith(".mp4")} == {503}
        with pytest.raises(nersemble.TransportError, match="not tried"):
            report.raise_if_incomplete()


@pytest.mark.parametrize("code", [401, 403])
def test_one_file_that_is_refused_does_not_stop_the_others(scene, code):
    path = video(2)
    server = scene.serve(
        lambda handler, asked, number: (status(code) if asked == path else plain)(handler, asked, number)
    )
    report = scene.download()
    assert [str(asset) for asset in report.failed] == [path]
    reason = next(iter(report.failed.values()))
    assert f"refused nersemble://{path} (HTTP {code})" in reason
    assert "`nersemble download` fetches all others, and data_dir= loads what is in its folder" in reason
    assert report.fetched == 3
    assert (report.stopped, report.not_tried) == ("", 0)
    assert len(requests_for(server, path)) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_an_access_url_that_is_refused_stops_the_queue(tmp_path, monkeypatch, code):
    with Scene(tmp_path, monkeypatch, sequences=("HAIR", "FREE"), cameras=16, size=100) as scene:
        server = scene.serve(status(code))
        report = scene.download()
        assert files_in(scene.folder) == []
        assert "refused" in report.stopped
        assert "nersemble login" in report.stopped
        # Those under way when it was enough, and two that were looked at to see whether all are refused.
        assert len([r for r in server.requests if r.path.endswith(".mp4")]) <= 8 + 4 + 2
        assert len(report.failed) + report.not_tried == 32
        with pytest.raises(nersemble.AccessError, match="nersemble login"):
            report.raise_if_incomplete()


def test_a_file_that_the_server_does_not_have_is_asked_for_once_a_day(scene):
    path = video(1)
    (scene.truth / path).unlink()
    server = scene.serve()
    cameras = [*scene.cameras, path.rpartition("_")[2].removesuffix(".mp4")]
    report = scene.download(cameras=cameras)
    assert report.complete
    assert [str(asset) for asset in report.missing] == [path]
    assert len(requests_for(server, path)) == 1
    report = scene.download(cameras=cameras)
    assert [str(asset) for asset in report.missing] == [path]
    assert report.kept == 3
    assert len(requests_for(server, path)) == 1
    scene.download(cameras=cameras, recheck=True)
    assert len(requests_for(server, path)) == 2
    # A day later.
    record = scene.folder / ".nersemble.tsv"
    lines = [line.split("\t") for line in record.read_text().splitlines()]
    for line in lines:
        if line[0] == "gone":
            line[2] = str(int(line[2]) - 24 * 3600 - 1)
    record.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    put(scene.truth, path, b"here by now")
    report = scene.download(cameras=cameras)
    assert report.complete
    assert (report.fetched, report.missing) == (1, [])


@pytest.mark.parametrize("code", [403, 405, 501])
def test_a_server_that_refuses_head_says_sizes_all_the_same(scene, code):
    """A folder of the official kit, whose sizes have to be asked for."""
    for path in scene.videos:
        put(scene.folder, path, (scene.truth / path).read_bytes())
    put(scene.folder, VIDEO, (scene.truth / VIDEO).read_bytes()[:-1])
    server = scene.serve(misbehaving(status(code), method="HEAD"))
    report = scene.download()
    assert report.complete
    assert (report.kept, report.fetched) == (3, 1)
    assert report.bytes == SIZE
    assert bytes_sent(server, video(1)) <= 1


# --- going on: ranges and validators ----------------------------------------------------------------------------------


def whole_only(limit=0):
    """Ignores ranges; the first answer is cut after ``limit`` bytes."""

    def answer(handler, path, number):
        data, headers = facts(handler, path)
        send(handler, 200, headers, data[:limit] if limit and number == 1 else data)
        if limit and number == 1:
            drop(handler)

    return answer


def test_a_server_without_ranges_sends_it_all_again(scene):
    server = scene.serve(whole_only(limit=400_000))
    assert_all_fetched(scene, scene.download())
    assert bytes_sent(server, VIDEO) == SIZE + 400_000


def if_ranges(server_handler):
    """The If-Range headers that a handler class is sent."""
    seen = []

    class Noting(server_handler):
        def respond(self, path):
            if path.endswith(".mp4") and self.command == "GET":
                seen.append((self.headers.get("Range"), self.headers.get("If-Range")))
            super().respond(path)

    return Noting, seen


def test_without_an_etag_an_old_last_modified_will_do(scene):
    handler, seen = if_ranges(without("ETag", after=first(1, part_of(300_000))))
    server = scene.serve(handler)
    assert_all_fetched(scene, scene.download(workers=1))
    date = email.utils.formatdate((scene.truth / VIDEO).stat().st_mtime, usegmt=True)
    assert seen[1] == (f"bytes={300_000 - OVERLAP}-", date)
    assert bytes_sent(server, VIDEO) == SIZE + OVERLAP


def test_a_last_modified_of_just_now_is_no_validator(scene):
    """The file may change again within the second that it names."""
    for path in scene.videos:
        put(scene.truth, path, (scene.truth / path).read_bytes(), changed=time.time() - 5)
    handler, seen = if_ranges(without("ETag", after=first(1, part_of(300_000))))
    server = scene.serve(handler)
    assert_all_fetched(scene, scene.download())
    assert set(seen) == {(None, None)}
    assert bytes_sent(server, VIDEO) == SIZE + 300_000


@pytest.mark.parametrize("names", [("ETag", "Last-Modified"), ("ETag", "Date")])
def test_without_validators_a_file_begins_anew(scene, names):
    handler, seen = if_ranges(without(*names, after=first(1, part_of(300_000), status(500))))
    scene.serve(handler)
    assert len(scene.download().failed) == 4
    assert parts_in(scene.folder) == []  # nobody could go on with them
    server = scene.serve(without(*names))
    assert_all_fetched(scene, scene.download())
    assert set(seen) == {(None, None)}
    assert bytes_sent(server, VIDEO) == SIZE


def test_a_weak_etag_is_no_validator(scene):
    def weak(handler, path, number):
        data, headers = facts(handler, path)
        wanted = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        assert wanted == 0
        headers = {"Content-Length": headers["Content-Length"], "ETag": f"W/{headers['ETag']}"}
        send(handler, 200, headers, data[:300_000] if number == 1 else data)
        if number == 1:
            drop(handler)

    handler, seen = if_ranges(misbehaving(weak))
    scene.serve(handler)
    assert_all_fetched(scene, scene.download())
    assert set(seen) == {(None, None)}


def test_validators_too_long_for_a_file_name_are_remembered_in_the_process(tmp_path, monkeypatch):
    """In the longest published name, too."""
    sequence = "SEN-02-same_phrase_thirty_times"
    for length in (60, 97, 98, 120, 300):
        with Scene(tmp_path / str(length), monkeypatch, sequences=(sequence,), cameras=1) as scene:

            def long_etag(handler, path, number, length=length):
                data, headers = facts(handler, path)
                headers = {**headers, "ETag": '"' + "e" * length + '"'}
                start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
                if start:
                    headers["Content-Range"] = f"bytes {start}-{SIZE - 1}/{SIZE}"
                    headers["Content-Length"] = str(SIZE - start)
                send(handler, 206 if start else 200, headers, data[start:] if start else data[:300_000])
                if not start:
                    drop(handler)

            server = scene.serve(long_etag)
            assert_all_fetched(scene, scene.download())
            assert bytes_sent(server, video(0, sequence)) == SIZE + OVERLAP


def wrong_206(kind):
    """Answers to requests for a range that are not what was asked for."""

    def answer(handler, path, number):
        if not handler.headers.get("Range"):
            return part_of(300_000)(handler, path, number)
        data, headers = facts(handler, path)
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        # What is compared is right, what follows is of another file: only the head tells.
        tag, shift, total = handler.headers["If-Range"], 0, SIZE
        body = data[start : start + OVERLAP] + bytes(SIZE - start - OVERLAP)
        headers["Content-Type"] = "video/mp4"
        if kind == "other offset":
            shift = 500
        elif kind == "other total":
            total = SIZE + 7
        elif kind == "unknown total":
            total = "*"
        elif kind == "other ETag":
            tag = '"other"'
        elif kind == "other bytes":
            body = bytes(len(body))
        elif kind == "shorter":
            body = data[start : start + 5_000]
        elif kind == "shorter than what is compared":
            body = data[start : start + 500]
        elif kind == "multipart":
            headers["Content-Type"] = "multipart/byteranges; boundary=x"
            head = b"--x\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (start, SIZE - 1, SIZE)
            body = head + data[start:] + b"\r\n--x--\r\n"
        if kind not in ("no Content-Range", "multipart"):
            headers["Content-Range"] = f"bytes {start - shift}-{start - shift + len(body) - 1}/{total}"
        if kind == "garbled Content-Range":
            headers["Content-Range"] = "bytes some of it"
        send(handler, 206, {**headers, "ETag": tag, "Content-Length": str(len(body))}, body)
        return None

    return answer


WRONG_206 = [
    "other offset",
    "other total",
    "unknown total",
    "other ETag",
    "other bytes",
    "shorter",
    "shorter than what is compared",
    "multipart",
    "no Content-Range",
    "garbled Content-Range",
]


@pytest.mark.parametrize("kind", WRONG_206)
def test_a_wrong_range_is_never_part_of_a_file(scene, kind):
    """The first answer breaks off, the second is wrong, and then the server is well again."""
    server = scene.serve(first(2, wrong_206(kind)))
    assert_all_fetched(scene, scene.download())
    wrong, right = requests_for(server, VIDEO)[1:3]
    assert wrong.range
    assert (right.range is not None) == kind.startswith("shorter")


@pytest.mark.parametrize("kind", WRONG_206)
def test_wrong_ranges_for_ever_end_in_a_sentence(scene, kind):
    server = scene.serve(wrong_206(kind))
    report = scene.download()
    if not report.complete:
        assert set(files_in(scene.folder)) | {str(asset) for asset in report.failed} == scene.videos
    assert len(requests_for(server, VIDEO)) < 200


def test_a_range_for_the_whole_that_was_asked_for_is_no_file(scene):
    def answer(handler, path, number):
        data, headers = facts(handler, path)
        headers["Content-Range"] = f"bytes 0-99/{SIZE}"
        send(handler, 206, {**headers, "Content-Length": "100"}, data[:100])

    scene.serve(answer)
    assert_all_failed(scene, scene.download(), "something else than what was asked for")


def test_a_range_that_the_server_has_not_begins_the_file_anew(scene):
    scene.serve(first(1, part_of(300_000), first(2, status(416))))
    assert_all_fetched(scene, scene.download())


def test_a_server_that_has_no_range_at_all_gets_a_sentence(scene):
    scene.serve(first(1, part_of(300_000), status(416)))
    assert_all_failed(scene, scene.download(), "HTTP 416")


@pytest.mark.parametrize("size", [SIZE, SIZE + 10_000, 1000])
@pytest.mark.parametrize("lacking", [(), ("ETag",)])
def test_a_file_that_is_replaced_meanwhile_begins_anew(scene, size, lacking):
    """Known by its strong ETag, or by its Last-Modified alone; also if the new one is as long as the old."""

    def answer(handler, path, number):
        part_of(300_000)(handler, path, number)
        put(handler.demo.folder, path, bytes(size), changed=1_650_000_000)

    server = scene.serve(without(*lacking, after=first(1, answer)))
    assert_all_fetched(scene, scene.download())
    assert (scene.folder / VIDEO).read_bytes() == bytes(size)
    assert bytes_sent(server, VIDEO) == size + 300_000


def test_a_file_that_is_replaced_without_a_sign_is_noticed_by_its_bytes(scene):
    """Neither its length nor its Last-Modified changed: a careless copy on the server."""

    def answer(handler, path, number):
        part_of(300_000)(handler, path, number)
        put(handler.demo.folder, path, bytes(SIZE))

    scene.serve(without("ETag", after=first(1, answer)))
    assert_all_fetched(scene, scene.download())


def test_a_file_that_is_replaced_between_runs_begins_anew(scene):
    scene.serve(first(1, part_of(300_000), status(500)))
    assert len(scene.download().failed) == 4
    for path in scene.videos:
        put(scene.truth, path, bytes(SIZE), changed=1_650_000_000)
    scene.serve()
    assert_all_fetched(scene, scene.download())


# --- redirects --------------------------------------------------------------------------------------------------------


def test_a_redirect_to_another_host_is_not_followed(scene):
    """Nor is anything sent there: the path is the secret."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"http://127.0.0.1:{other.getsockname()[1]}"

        def answer(handler, path, number):
            handler.send_status(302, "", {"Location": place + handler.path})

        server = scene.serve(answer)
        assert_all_failed(scene, scene.download(), "redirects to another")
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert len(requests_for(server, VIDEO)) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed_and_gone_on_with(scene, code):
    def answer(handler, path, number):
        handler.send_status(code, "", {"Location": f"/{handler.demo.prefix}/moved/{path}?x=1#y"})

    cut = part_of(300_000)

    seen = set()

    class Moved(misbehaving(answer)):
        def respond(self, path):
            if path.startswith("moved/"):
                fresh = path not in seen
                seen.add(path)
                (cut if fresh else plain)(self, path.removeprefix("moved/"), 1)
            else:
                super().respond(path)

    server = scene.serve(Moved)
    assert_all_fetched(scene, scene.download())
    assert bytes_sent(server, f"moved/{VIDEO}") == SIZE + OVERLAP


def test_redirects_in_circles_end(scene):
    server = scene.serve(lambda handler, path, number: handler.send_status(302, "", {"Location": handler.path}))
    assert_all_failed(scene, scene.download(), "in circles")
    assert len(requests_for(server, VIDEO)) <= 6


# --- servers that are slow, mad or gone -------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [None, 300_000])
def test_a_stall_ends_and_is_gone_on_with(scene, monkeypatch, after):
    monkeypatch.setattr(connections, "READ_TIMEOUT", 0.3)
    release = threading.Event()

    def stall(handler, path, number):
        if after is None:
            release.wait(30)
            drop(handler)
        else:
            part_of(after, lambda handler: release.wait(30) and drop(handler))(handler, path, number)

    server = scene.serve(first(1, stall))
    report = scene.download()
    release.set()
    assert_all_fetched(scene, report)
    assert [request.range for request in requests_for(server, VIDEO) if request.status == 206] == (
        [f"bytes={after - OVERLAP}-"] if after else []
    )


def test_a_server_that_always_stalls_gets_a_sentence(scene, monkeypatch):
    monkeypatch.setattr(connections, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(policy, "PATIENCE", 0.2)
    release = threading.Event()
    scene.serve(lambda handler, path, number: release.wait(30) and drop(handler))
    report = scene.download()
    release.set()
    assert_all_failed(scene, report, "did not answer in time")


def test_a_slow_trickle_is_no_stall(scene, monkeypatch):
    monkeypatch.setattr(connections, "READ_TIMEOUT", 0.4)
    pause = threading.Event()

    def trickle(handler, path, number):
        data, headers = facts(handler, path)
        send(handler, 200, headers, b"")
        for start in range(0, SIZE, 70_000):
            pause.wait(0.08)
            handler.wfile.write(data[start : start + 70_000])
            handler.body_bytes += len(data[start : start + 70_000])

    server = scene.serve(trickle)
    assert_all_fetched(scene, scene.download())
    assert len(requests_for(server, VIDEO)) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 no HTTP at all\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[broken\r\n\r\n",
        b"",
    ],
    ids=lambda garbage: garbage[:60].decode("latin-1").strip() or "nothing",
)
def test_garbage_is_no_file(scene, monkeypatch, garbage):
    """Once it passes, for ever it ends in a sentence."""
    monkeypatch.setattr(policy, "PATIENCE", 0.2)

    def answer(handler, path, number):
        handler.wfile.write(garbage)
        drop(handler)

    scene.serve(answer)
    report = scene.download()
    assert files_in(scene.folder) == []
    assert len(report.failed) == 4
    lasting = garbage.startswith((b"HTTP/1.1 200 OK\r\nContent-Length", b"HTTP/1.1 30"))
    scene.serve(first(0 if lasting else 1, answer))
    if not garbage.startswith(b"HTTP/1.1 204"):
        assert_all_fetched(scene, scene.download())


def test_an_answer_that_changes_nothing_held_after_garbage_on_a_kept_connection(scene):
    """What was left on a connection by one answer is never taken for the next."""

    def answer(handler, path, number):
        data, headers = facts(handler, path)
        send(handler, 200, headers, data)
        stray = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
        handler.wfile.write(stray)

    scene.serve(first(1, answer))
    assert_all_fetched(scene, scene.download(workers=1))


def test_a_server_that_comes_back_is_waited_for(scene, monkeypatch):
    """It dies in the middle of the files, is out of reach for more tries than a file has, and is busy at first."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(policy, "LONGEST_PAUSE", 0.05)
    half = threading.Barrier(5)

    def answer(handler, path, number):
        part_of(300_000, lambda handler: half.wait(30))(handler, path, number)
        if number == 1:
            drop(handler)

    server = scene.serve(first(1, answer, lambda *asked: (status(503) if asked[2] < 4 else plain)(*asked)))
    tries = []

    def die_and_come_back():
        half.wait(30)
        server.close()
        with socket.create_server(("127.0.0.1", server.port)) as dead:
            dead.settimeout(30)
            while len(tries) < 4 * (policy.ATTEMPTS + 2):
                dead.accept()[0].close()
                tries.append(time.monotonic())
        server.start()

    thread = threading.Thread(target=die_and_come_back)
    thread.start()
    report = scene.download()
    thread.join()
    assert_all_fetched(scene, report)
    assert len(tries) == 32
    assert [request.status for request in requests_for(server, VIDEO)] == [200, 503, 503, 206]


def test_a_server_that_dies_for_good_gets_a_sentence_and_the_parts_are_kept(scene, monkeypatch):
    monkeypatch.setattr(policy, "PATIENCE", 0.3)
    half = threading.Barrier(5)

    def answer(handler, path, number):
        part_of(300_000, lambda handler: half.wait(30))(handler, path, number)
        drop(handler)

    def last(handler, path, number):
        """Whoever is quick to come again is too late all the same."""
        if accepting.is_alive():
            accepting.join(30)
            drop(handler)
        else:
            plain(handler, path, number)

    server = scene.serve(first(1, answer, last))
    accepting = server._thread

    def die():
        half.wait(30)
        server.close()

    thread = threading.Thread(target=die)
    thread.start()
    began = time.monotonic()
    report = scene.download()
    thread.join()
    assert time.monotonic() - began < 20
    assert_all_failed(scene, report, "could not be reached")
    parts = parts_in(scene.folder)
    assert [part.stat().st_size for part in parts] == [300_000] * 4
    server.start()
    report = scene.download()
    assert_all_fetched(scene, report)
    assert report.bytes == 4 * (SIZE - 300_000 + OVERLAP)


def test_a_server_that_was_never_there_gets_a_sentence(scene, monkeypatch):
    monkeypatch.setattr(policy, "PATIENCE", 0.2)
    server = scene.serve()
    nersemble.plan_download(folder=scene.folder)  # so that the catalogue is kept
    server.close()
    report = scene.download()
    assert_all_failed(scene, report, "could not be reached")
    assert not parts_in(scene.folder)


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_the_official_kit_is_gone_on_with(scene):
    """Whole files are kept for one HEAD each, one that was cut under its final name is fetched again."""
    whole, cut = [video(0), video(1)], video(2)
    for path in whole:
        put(scene.folder, path, (scene.truth / path).read_bytes())
    put(scene.folder, cut, (scene.truth / cut).read_bytes()[: SIZE // 3])
    server = scene.serve()
    report = scene.download()
    assert report.complete
    assert (report.kept, report.fetched) == (2, 2)
    for path in whole:
        assert [request.method for request in server.requests if request.path == path] == ["HEAD"]
    assert bytes_sent(server, cut) == bytes_sent(server, video(3)) == SIZE
    server.reset()
    assert scene.download().kept == 4
    assert server.requests == []


def test_a_cut_file_under_its_final_name_stays_until_a_whole_one_is_there(scene):
    """The file of before is replaced at once, and only by a whole one."""
    put(scene.folder, VIDEO, b"of another tool")
    scene.serve(first(1, part_of(300_000), status(500)))
    assert len(scene.download(but=[VIDEO]).failed) == 4
    assert (scene.folder / VIDEO).read_bytes() == b"of another tool"
    scene.serve()
    assert scene.download().complete


def test_a_cut_line_of_the_record_is_passed_over(scene):
    """A disk that was full in the middle of a line: what is left of a size is none, also once other lines follow."""
    scene.serve()
    assert scene.download().fetched == 4
    record = scene.folder / ".nersemble.tsv"
    text = record.read_text()
    position = text.rindex(str(SIZE)) + 3
    cut = text[:position].splitlines()[-1].split("\t")[1]
    record.write_text(text[:position])
    other = next(path for path in sorted(scene.videos) if path != cut)
    (scene.folder / other).unlink()
    scene.download(cameras=[find_asset(other)[1].camera])
    assert str(SIZE)[:3] in record.read_text().split()  # it is still there, and ended
    server = scene.serve()
    report = scene.download()
    assert (report.complete, report.kept, report.fetched) == (True, 4, 0)
    assert [(r.method, r.path) for r in server.requests if r.path.endswith(".mp4")] == [("HEAD", cut)]


@pytest.mark.parametrize("place", [VIDEO.rpartition("/")[0], "240/sequences", "240"])
def test_a_file_in_the_place_of_a_folder_gets_a_sentence(scene, place):
    put(scene.folder, place, b"")
    scene.serve()
    report = scene.download(but=[place])
    assert len(report.failed) == 4
    assert "could not be written" in next(iter(report.failed.values()))
    (scene.folder / place).unlink()
    assert_all_fetched(scene, scene.download())


def test_a_folder_in_the_place_of_a_file_gets_a_sentence(scene):
    (scene.folder / VIDEO).mkdir(parents=True)
    scene.serve()
    report = scene.download()
    assert [str(asset) for asset in report.failed] == [VIDEO]
    assert "directory" in next(iter(report.failed.values()))
    (scene.folder / VIDEO).rmdir()
    report = scene.download()
    assert report.complete
    assert parts_in(scene.folder) == []


def test_a_folder_that_disappears_is_made_again(scene):
    import shutil

    def answer(handler, path, number):
        if number == 1 and not removed:
            part_of(300_000, remove)(handler, path, number)
        else:
            handler.send_file(path)

    def remove(handler):
        removed.append(True)
        drop(handler)  # first: files come and go, and what is raised below would leave the connection open
        eventually(lambda: [part for part in parts_in(scene.folder) if part.stat().st_size])
        shutil.rmtree(scene.folder / "240", ignore_errors=True)

    removed = []
    scene.serve(answer)
    assert_all_fetched(scene, scene.download(workers=1))


# --- the access URL ---------------------------------------------------------------------------------------------------

LASTING = {
    "short": part_of(1000),
    "reset": part_of(1000, reset),
    "503": status(503),
    "429": status(429),
    "403": status(403),
    "404": status(404),
    "416": status(416),
    "redirect": lambda handler, path, number: handler.send_status(
        302, "", {"Location": f"http://localhost:1{handler.path}"}
    ),
    "circle": lambda handler, path, number: handler.send_status(302, "", {"Location": handler.path}),
    "garbage": lambda handler, path, number: handler.wfile.write(handler.path.encode() * 9) and drop(handler),
    "page": lambda handler, path, number: handler.send_status(200, handler.path, {"Content-Type": "text/html"}),
    "chunks": send_chunked(cut=True),
    "no length": lambda handler, path, number: send(handler, 200, {}, handler.path.encode()) or drop(handler),
    "gone": None,
}


@pytest.mark.parametrize("fault", LASTING)
def test_no_error_of_a_file_shows_the_access_url(scene, monkeypatch, fault):
    """With locals, and in the server's answers that quote it."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(policy, "PATIENCE", 0.2)
    server = scene.serve(without("Accept-Ranges", "ETag", "Last-Modified", after=LASTING[fault] or plain))
    files = open_files(find_access())
    if fault == "gone":
        server.close()
    with pytest.raises(nersemble.NersembleError, match=f"nersemble://{VIDEO}") as caught:
        files.fetch(VIDEO, scene.folder / VIDEO, Cancel(), FetchOptions())
    files.close()
    scene.check_error(caught.value)
    if fault != "gone":
        report = scene.download()  # which checks the report
        assert report.missing or len(report.failed) == 4
    scene.check()


def test_the_sizes_of_many_files_come_from_a_server_that_fails_now_and_then(scene):
    server = scene.serve(misbehaving(first(1, status(503)), method="HEAD"))
    assert server_sizes(sorted(scene.videos)) == dict.fromkeys(scene.videos, SIZE)
    assert isinstance(server, DemoServer)
    assert etag(b"") != etag(b"x")


def test_a_participant_that_is_refused_does_not_hide_the_others(tmp_path, monkeypatch):
    """A participant who was withdrawn, on a server that answers 403 for what it does not have, and first in line."""
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.001)
    with Scene(tmp_path, monkeypatch, sequences=("HAIR", "FREE", "GLASSES"), cameras=16, size=100) as scene:
        scene.serve(
            lambda handler, asked, number: (plain if "/GLASSES/" not in asked else status(403))(handler, asked, number)
        )
        report = scene.download()
        assert (report.fetched, len(report.failed), report.not_tried) == (32, 16, 0)
        assert not report.stopped


def test_a_page_is_no_video_however_its_type_is_written(scene):
    scene.serve(status(200, {"Content-Type": "Text/HTML; charset=utf-8"}))
    assert_all_failed(scene, scene.download(), "a web page")


@pytest.mark.parametrize("length", [None, "0"])
def test_a_file_of_the_kit_is_compared_also_where_head_says_no_length(scene, length):
    """The head of a GET says it."""

    def answer(handler, asked, number):
        if handler.command == "HEAD":
            handler.close_connection = True
            handler.send_head(200, {"Connection": "close"} if length is None else {"Content-Length": length})
        else:
            plain(handler, asked, number)

    server = scene.serve(answer)
    cut, whole = video(0), video(1)
    for path, size in ((cut, 1000), (whole, None)):
        (scene.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (scene.folder / path).write_bytes((scene.truth / path).read_bytes()[:size])
    report = scene.download()
    assert report.complete
    assert set(files_in(scene.folder)) == scene.videos
    assert report.kept == 1
    assert [r.status for r in requests_for(server, whole) if r.method == "GET" and r.status == 200] == []


def test_a_part_beside_a_file_that_is_whole_is_swept_up(scene):
    """As one left by a forced download that was killed."""
    scene.serve()
    assert_all_fetched(scene, scene.download())
    home = scene.folder / VIDEO.partition("/")[0]
    part = PartFile.claim(home, part_key(home, scene.folder / VIDEO))
    part.restart(Version('"new"', 1_000_000))
    part.write(memoryview(b"x" * 100))
    part.release()
    assert list(home.glob(".*.part"))
    assert scene.download().complete
    assert list(home.glob(".*.part")) == []
