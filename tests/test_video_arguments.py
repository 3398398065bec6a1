"""What a video is opened by and asked for; what is neither gets words that name the argument and the video."""

from __future__ import annotations

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


@pytest.mark.parametrize("timestep", [1.0, "1", None, [1], np.float64(3), np.array([1, 2]), 1j])
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
