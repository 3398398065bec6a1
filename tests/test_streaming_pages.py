"""Streaming from servers that show a web page in place of a file, or that call a file one."""

from __future__ import annotations

import numpy as np
import pytest
from _faults import misbehaving, send, whole_traceback

from nersemble import NersembleFileSystem, TransportError
from nersemble.demo import DemoServer
from nersemble.opening import open_video
from nersemble.video import VideoDecoder

VIDEO = "240/sequences/EXP-1-head/images/cam_222200042.mp4"
PARAMS = "240/calibration/camera_params.json"
PAGES = {
    "a page": (b"<!DOCTYPE html><html>Please sign in</html>", "text/html"),
    "with spaces and a mark in front": (b"\xef\xbb\xbf \r\n<html>Please sign in</html>", "Text/HTML; charset=utf-8"),
    "in XHTML": (b'<?xml version="1.0"?><html/>', "application/xhtml+xml"),
    "an empty one": (b"", "text/html"),
    "longer than the video's header": (b"<html>" + b"Please sign in. " * 40_000, "text/html"),
}


@pytest.fixture
def serve(demo_folder, monkeypatch):
    servers = []

    def start(answer, suffix=".mp4"):
        servers.append(DemoServer(demo_folder, handler=misbehaving(answer, suffix=suffix)).start())
        monkeypatch.setenv("NERSEMBLE_DATA_URL", servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def whole(data, kind):
    """An answer to every request that knows no ranges."""
    headers = {"Content-Length": str(len(data)), **({"Content-Type": kind} if kind else {})}
    return lambda handler, path, number: send(handler, 200, headers, data)


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("path", [VIDEO, PARAMS])
def test_a_page_in_place_of_a_streamed_file_is_called_one(serve, kind, path):
    server = serve(whole(*PAGES[kind]), suffix=path[-4:])
    with pytest.raises(TransportError) as caught:
        open_video(f"nersemble://{path}") if path == VIDEO else NersembleFileSystem().cat_file(path)
    message = str(caught.value)
    assert message.startswith(f"nersemble://{path} could not be fetched: the server sent a web page instead of it. ")
    assert "nersemble login" in message
    assert server.prefix not in whole_traceback(caught.value)


def test_a_page_in_the_middle_of_a_video_is_called_one(serve, demo_folder, monkeypatch):
    """As when a session has run out."""
    page, kind = PAGES["a page"]
    served = []

    def answer(handler, path, number):
        served.append(number)
        handler.send_file(path) if number == 1 else whole(page, kind)(handler, path, number)

    serve(answer)
    decoder = open_video(f"nersemble://{VIDEO}")
    with pytest.raises(TransportError, match="the server sent a web page instead of it"):
        decoder.get_frames_at(range(len(decoder)))
    assert len(served) > 1


@pytest.mark.parametrize("kind", ["video/mp4", "application/octet-stream", "text/plain", "text/html", ""])
def test_a_server_without_ranges_may_call_a_video_what_it_likes(serve, demo_folder, kind):
    serve(whole((demo_folder / VIDEO).read_bytes(), kind))
    with open_video(f"nersemble://{VIDEO}") as streamed, VideoDecoder(demo_folder / VIDEO) as local:
        for timestep in (5, 37, 0):
            assert np.array_equal(streamed.get_frame_at(timestep), local.get_frame_at(timestep))
