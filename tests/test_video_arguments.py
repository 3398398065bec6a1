"""What a video is opened by and asked for; what is neither gets words that name the argument and the video."""

from __future__ import annotations

import ast
import codecs
import contextlib
import gzip
import importlib.util
import inspect
import io
import mmap
import pathlib
import sys
import tempfile
import traceback

import fsspec
import numpy as np
import pytest
from _videos import encode, number_in

from nersemble.errors import FrameError, SelectionError
from nersemble.video import VideoDecoder


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "of_arguments.mp4"
    path.write_bytes(encode(count=20))
    return path


# --- timesteps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestep", [1.0, "1", None, [1], np.float64(3), np.array([1, 2]), 1j, True])
def test_a_timestep_that_is_no_whole_number_is_a_type_error_in_words(video, timestep):
    with VideoDecoder(video) as decoder:
        with pytest.raises(TypeError, match="timestep is a whole number") as one:
            decoder.get_frame_at(timestep)
        with pytest.raises(TypeError, match="each of timesteps is a whole number") as several:
            decoder.get_frames_at([0, timestep])
        with pytest.raises(TypeError, match="stop is a whole number") as ranged:
            decoder.get_frames_in_range(0, timestep)
        for caught in (one, several, ranged):
            assert str(caught.value).startswith(f"{video}: ")
            assert repr(timestep) in str(caught.value)
            assert caught.value.__cause__ is caught.value.__context__ is None
        assert number_in(decoder.get_frame_at(3)) == 3


@pytest.mark.parametrize("mask", [[True, False], np.array([True, False]), [np.True_]])
def test_a_mask_is_not_taken_for_the_first_two_timesteps(video, mask):
    with VideoDecoder(video) as decoder, pytest.raises(TypeError, match=r"not .*True.* np\.flatnonzero gives them"):
        decoder.get_frames_at(mask)


@pytest.mark.parametrize("timesteps", [3, None, "12", b"12", 1.5, np.array(3)])
def test_timesteps_are_a_list(video, timesteps):
    with VideoDecoder(video) as decoder, pytest.raises(TypeError, match=r"of_arguments\.mp4: timesteps are a list"):
        decoder.get_frames_at(timesteps)


@pytest.mark.parametrize("name", ["start", "stop", "step"])
def test_each_end_of_a_range_is_named(video, name):
    with VideoDecoder(video) as decoder:
        with pytest.raises(TypeError, match=f"of_arguments.mp4: {name} is a whole number"):
            decoder.get_frames_in_range(**{"start": 0, "stop": 3, "step": 1, name: 1.0})
        with pytest.raises(SelectionError, match=r"of_arguments\.mp4: step is a number of timesteps, not 0"):
            decoder.get_frames_in_range(0, 3, 0)


def test_whole_numbers_of_every_type_are_timesteps(video):
    with VideoDecoder(video) as decoder:
        for timestep in (3, np.int64(3), np.uint8(3), np.array(3)):
            assert number_in(decoder.get_frame_at(timestep)) == 3
        for timesteps in ([1, 4], (1, 4), iter([1, 4]), range(1, 5, 3), np.array([1, 4]), {1: 0, 4: 0}):
            assert [number_in(picture) for picture in decoder.get_frames_at(timesteps)] == [1, 4]
        assert decoder.get_frames_at([]).shape == (0, 64, 96, 3)
        assert [number_in(picture) for picture in decoder.get_frames_in_range(np.int64(5), 0, -2)] == [5, 3, 1]
        with pytest.raises(FrameError, match="no timestep -1"):
            decoder.get_frame_at(-1)


@pytest.mark.parametrize("method", ["get_frame_at", "get_frames_at", "get_frames_in_range"])
def test_types_tell_arrays_from_tensors(method):
    found = ast.walk(ast.parse(inspect.getsource(sys.modules[VideoDecoder.__module__])))
    written = [one for one in found if isinstance(one, ast.FunctionDef) and one.name == method]
    *overloads, made = written
    assert all(ast.unparse(mark) == "overload" for one in overloads for mark in one.decorator_list)
    told = [(ast.unparse(one.args.kwonlyargs[0].annotation), ast.unparse(one.returns)) for one in written]
    both = "Picture | torch.Tensor"
    assert told == [("Literal[False]", "Picture"), ("Literal[True]", "torch.Tensor"), ("bool", both), ("bool", both)]
    assert not made.decorator_list


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS", "s3", "nersemble", "file", "gs", "my-files+x.y"])
@pytest.mark.parametrize("kind", [str, pathlib.PurePosixPath])
def test_a_url_is_told_how_to_be_opened_and_never_quoted(scheme, kind):
    with pytest.raises(FrameError) as caught:
        VideoDecoder(kind(f"{scheme}://host.example/the-secret/of/cam_222200037.mp4?key=secret"))
    message = str(caught.value)
    assert f"({scheme}://...)" in message
    assert 'fsspec.open(url, "rb").open()' in message
    assert ("aiohttp" in message) == scheme.lower().startswith("http")
    for secret in ("secret", "host", "222200037"):
        assert secret not in message
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_what_fsspec_opens_is_a_video(video, access, demo_folder):
    with fsspec.open(f"file://{video}", "rb").open() as file, VideoDecoder(file) as decoder:
        assert number_in(decoder.get_frame_at(3)) == 3
    path = "240/sequences/EXP-1-head/images/cam_222200042.mp4"
    urls = [f"nersemble://{path}"]
    if importlib.util.find_spec("aiohttp"):
        urls.append(f"{access.url.rstrip('/')}/{path}")
    with VideoDecoder(demo_folder / path) as decoder:
        expected = decoder.get_frame_at(7)
    for url in urls:
        with fsspec.open(url, "rb").open() as file, VideoDecoder(file) as decoder:
            assert np.array_equal(decoder.get_frame_at(7), expected)


@pytest.mark.parametrize("name", ["http:/cam.mp4", "odd://cam.mp4", "a:b/cam.mp4"])
def test_a_file_that_is_called_like_a_url_is_a_file(video, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(video.read_bytes())
    with VideoDecoder(name) as decoder:
        assert number_in(decoder.get_frame_at(3)) == 3


# --- file objects -----------------------------------------------------------------------------------------------------


def closed(path):
    with open(path, "rb") as file:
        return file


def closed_in_memory(path):
    with io.BytesIO(path.read_bytes()) as file:
        return file


NO_FILES = {
    "text": (lambda path: open(path, encoding="utf-8"), "was opened in text mode"),  # noqa: SIM115
    "text in memory": (lambda _: io.StringIO("text"), "was opened in text mode"),
    "text of a codec": (lambda path: codecs.open(str(path), encoding="utf-8"), "was opened in text mode"),  # noqa: SIM115
    "named text": (lambda _: tempfile.NamedTemporaryFile("w+"), "was opened in text mode"),  # noqa: SIM115
    "closed": (closed, "is closed"),
    "closed in memory": (closed_in_memory, "is closed"),
    "write": (lambda path: open(path.with_name("new.mp4"), "wb"), "cannot be read from"),  # noqa: SIM115
}


@pytest.mark.filterwarnings("ignore:codecs.open:DeprecationWarning")
@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", [None, "cam_222200037.mp4"])
def test_a_file_object_that_gives_no_bytes_is_refused_at_opening(video, kind, name):
    make, words = NO_FILES[kind]
    with contextlib.closing(make(video)) as file, pytest.raises(FrameError, match=words) as caught:
        VideoDecoder(file, name=name)
    assert str(caught.value).startswith(name or "The video")
    assert 'open(path, "rb")' in str(caught.value)


def binary(path):
    return open(path, "rb")


def unbuffered(path):
    return open(path, "rb", buffering=0)


def in_memory(path):
    return io.BytesIO(path.read_bytes())


def zipped(path):
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(path.read_bytes())))


def spooled(path):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(path.read_bytes())
    return file


def mapped(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@pytest.mark.parametrize("make", [binary, unbuffered, in_memory, zipped, spooled, mapped])
def test_what_gives_bytes_is_read_until_its_file_object_is_closed(video, make):
    with make(video) as file:
        decoder = VideoDecoder(file)
        assert number_in(decoder.get_frame_at(3)) == 3
    with pytest.raises(FrameError, match="<video>: timestep 9 cannot be decoded: its file object was closed") as caught:
        decoder.get_frame_at(9)
    assert str(caught.value).endswith("Open both again.")


def test_reading_after_the_end_says_to_open_it_again(video):
    with VideoDecoder(video) as decoder:
        assert decoder.num_bytes == video.stat().st_size
    decoder.close()
    with pytest.raises(FrameError) as caught:
        decoder.get_frame_at(3)
    assert str(caught.value) == f"{video}: timestep 3 cannot be decoded: the video was closed. Open it again."
    with pytest.raises(FrameError) as caught:
        decoder.get_frames_at([3, 4])
    assert str(caught.value) == f"{video}: timestep 3 cannot be decoded: the video was closed. Open it again."
    with pytest.raises(FrameError) as caught:
        _ = decoder.num_bytes
    assert str(caught.value) == f"{video}: its length cannot be read: the video was closed. Open it again."


@pytest.mark.parametrize("video", ["a\0b.mp4", 3, "missing.mp4"])
def test_a_decoder_that_was_not_made_can_be_shown_in_a_traceback(video):
    """With local variables, as some loggers do."""
    try:
        VideoDecoder(video)
    except Exception as error:  # noqa: BLE001 - of several kinds
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "VideoDecoder(" in shown
