"""What came whole by the server's own word, and is not the file: it gets no name, and takes no good file's place."""

from __future__ import annotations

import gzip
import io
import os
import time

import av
import fsspec
import numpy as np
import pytest
from _faults import Scene, drop, facts, first, put, send

from nersemble.errors import TransportError
from nersemble.transport import policy
from nersemble.transport.arrival import LOOK, head_problem

SIZE = 300_000
PAGE = b"<!DOCTYPE html>\n<html><body>Please, sign in</body></html>"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(policy, "FIRST_PAUSE", 0.004)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    with Scene(tmp_path, monkeypatch, participants=(240,), cameras=4, size=SIZE) as made:
        yield made


def page(kind, body=PAGE):
    """A page in place of each file, for HEAD as for GET."""
    headers = {"Content-Length": str(len(body)), **({"Content-Type": kind} if kind else {})}
    return lambda handler, path, number: send(handler, 200, headers, b"" if handler.command == "HEAD" else body)


def empty(handler, path, number):
    send(handler, 200, {"Content-Length": "0"}, b"")


def empty_in_chunks(handler, path, number):
    send(handler, 200, {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n")


def chunks(end, *, size="%x", share=2, headers=()):
    """Half of a file in one chunk, and what comes in place of the rest."""

    def answer(handler, path, number):
        if handler.command == "HEAD":
            handler.send_file(path)
            return
        data, _ = facts(handler, path)
        part = data[: len(data) // share]
        head = {"Transfer-Encoding": "chunked", **dict(headers)}
        send(handler, 200, head, (size % len(part)).encode() + b"\r\n" + part + b"\r\n" + end)
        drop(handler)

    return answer


def two_lengths(handler, path, number):
    data, _ = facts(handler, path)
    handler.send_response(200)
    for length in (len(data), 1000):
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
    drop(handler)


def packed(handler, path, number):
    data, headers = facts(handler, path)
    send(handler, 200, {**headers, "Transfer-Encoding": "gzip, chunked"}, data)
    drop(handler)


NO_FILES = {
    "a page of no type": (page(""), "web page"),
    "a page called a video": (page("video/mp4"), "web page"),
    "a page in XHTML": (page("application/xhtml+xml"), "web page"),
    "an error in JSON": (page("application/json", b'{"error": "too many requests"}'), "a text instead"),
    "errors in JSON": (page("", b'\xef\xbb\xbf[\n  {"error": "no key"}]'), "a text instead"),
    "a pointer of git-lfs": (page("", b"version https://git-lfs.example/v1\noid sha256:0\n"), "a text instead"),
    "a video that was packed": (page("video/mp4", gzip.compress(bytes(1000))), "a packed file instead"),
    "a form to sign": (page("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "a document or"),
    "an archive": (page("", b"PK\x03\x04\x14\0\0\0\x08\0"), "a packed file instead"),
    "nothing": (empty, "empty"),
    "nothing, in chunks": (empty_in_chunks, "empty"),
    "cut inside the size of a chunk": (chunks(b"0000"), "broke off"),
    "cut behind the first digit": (chunks(b"0", size="%08x"), "broke off"),
    "a chunk of minus nothing": (chunks(b"-0\r\n\r\n"), "broke off"),
    "chunks beside a length": (chunks(b"0\r\n\r\n", headers={"Content-Length": str(SIZE)}), "bytes came of"),
    "two lengths": (two_lengths, "two lengths"),
    "another encoding": (packed, "encoded"),
}


@pytest.mark.parametrize(("answer", "said"), NO_FILES.values(), ids=NO_FILES)
def test_it_is_no_file_and_the_next_run_fetches_the_file(scene, answer, said):
    server = scene.serve(answer)
    report = scene.download()
    assert len(report.failed) == 4
    assert all(said in reason for reason in report.failed.values()), report.failed
    assert not [path for path in scene.folder.rglob("*.mp4") if path.is_file()]
    server.close()
    scene.serve()
    assert scene.download().complete


@pytest.mark.parametrize(("answer", "said"), NO_FILES.values(), ids=NO_FILES)
def test_it_does_not_replace_a_file_of_the_official_kit(scene, answer, said):
    """One that the package has no record of, whose length is asked for: nothing is lost, whatever is answered."""
    for path in scene.videos:
        put(scene.folder, path, (scene.truth / path).read_bytes())
    scene.serve(answer)
    scene.download()
    scene.download(force=True)
    assert {path: (scene.folder / path).read_bytes() for path in scene.videos} == {
        path: (scene.truth / path).read_bytes() for path in scene.videos
    }


@pytest.mark.parametrize(("answer", "said"), list(NO_FILES.values())[:9], ids=list(NO_FILES)[:9])
def test_the_filesystem_gives_none_of_it_for_the_file(scene, tmp_path, answer, said):
    scene.serve(answer)
    path, target = sorted(scene.videos)[0], tmp_path / "copy.mp4"
    fs = fsspec.filesystem("nersemble")
    for read in (lambda: fs.get(path, str(target)), lambda: fs.cat_file(path), lambda: fs.cat_file(path, 5, 9)):
        with pytest.raises(TransportError, match=said):
            read()
    assert not target.exists()


#: Formats of FFmpeg, each with a codec that it takes; not every FFmpeg has the encoders of others.
CONTAINERS = dict(
    pair.split(":")
    for pair in """mp4:mpeg4 mov:mpeg4 matroska:mpeg4 avi:mpeg4 mpegts:mpeg4 asf:mpeg4 mpeg:mpeg2video mxf:mpeg2video
    vob:mpeg2video mpeg2video:mpeg2video flv:flv gif:gif mjpeg:mjpeg image2pipe:png apng:apng h264:libx264
    webm:libvpx ivf:libvpx yuv4mpegpipe:rawvideo nut:ffv1 rawvideo:rawvideo""".split()
    if pair.partition(":")[2] in av.codecs_available
)


@pytest.mark.parametrize(("container", "codec"), CONTAINERS.items(), ids=CONTAINERS)
def test_no_video_is_refused_for_how_it_begins(container, codec):
    written = io.BytesIO()
    with av.open(written, "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        wanted = {"gif": "rgb8", "mjpeg": "yuvj420p", "png": "rgb24", "apng": "rgb24"}
        stream.pix_fmt = wanted.get(codec, "yuv420p")
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            file.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        file.mux(stream.encode())
    assert written.getvalue()
    assert head_problem(written.getvalue()[:LOOK], "cam.mp4") == ""


def test_half_of_a_file_whose_length_was_asked_for_is_no_file(scene):
    """It ends as a whole one would, in chunks: only the length that HEAD gives tells."""
    path = sorted(scene.videos)[0]
    put(scene.folder, path, b"too short")
    scene.serve(chunks(b"0\r\n\r\n"))
    report = scene.download(but=[path])
    assert "150,000 bytes came of 300,000" in {str(asset): text for asset, text in report.failed.items()}[path]
    assert (scene.folder / path).read_bytes() == b"too short"


def test_a_file_that_changed_its_length_is_taken(scene):
    scene.serve()
    assert scene.download().complete
    for path in scene.videos:
        put(scene.truth, path, os.urandom(SIZE // 2), changed=time.time() - 3600)
    scene.serve()
    report = scene.download(force=True)
    assert report.complete
    assert report.fetched == 4


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_date_to_wait_for_is_in_utc_also_where_it_does_not_say_so(scene, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        soon = time.asctime(time.gmtime(time.time() + 1))

        def busy(handler, path, number):
            handler.send_status(429, "busy", {"Retry-After": soon})

        scene.serve(first(1, busy))
        began = time.monotonic()
        assert scene.download().complete
        assert time.monotonic() - began < 20
    finally:
        monkeypatch.undo()
        time.tzset()
