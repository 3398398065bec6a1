"""Writes one demo video: H.264 4:2:0 with B-frames and a few keyframes, AAC sound in some.

One slice a frame and one thread, as x264's command line makes them and so that equal frames give equal bytes.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from nersemble.demo.render import Camera
from nersemble.demo.rig import demo_rig
from nersemble.layout import FPS, AssetPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from nersemble.demo.options import DemoOptions

_SAMPLE_RATE = 48000


def write_views(root: Path, options: DemoOptions, participant: int, serial: str) -> Iterable[AssetPath]:
    """Write one camera's still and videos of one participant; gives each file's path when it is written."""
    camera = Camera(participant, serial, demo_rig(participant, options.width, options.height))
    still = AssetPath("background", participant, None, serial)
    path = _make_room(root / str(still))
    Image.fromarray(camera.background()).save(path, quality=92)
    yield still
    for sequence in options.sequences_of(participant):
        asset = AssetPath("video", participant, sequence, serial)
        count = options.num_frames(asset)
        if count:
            frames = (camera.frame(sequence, timestep) for timestep in range(count))
            size = (options.width, options.height)
            front, sound = options.index_in_front(asset), options.has_audio(asset)
            write_video(
                _make_room(root / str(asset)),
                frames,
                size,
                gop=options.gop,
                crf=options.crf,
                index_in_front=front,
                audio_seconds=count / FPS if sound else 0,
            )
            yield asset


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    *,
    gop: int = 12,
    crf: int = 23,
    index_in_front: bool = True,
    audio_seconds: float = 0,
) -> None:
    """Encode pictures as an mp4 of 73 frames a second.

    Args:
        path: File to write.
        frames: ``(H, W, 3)`` uint8 pictures.
        size: (width, height) of the pictures, both even.
        gop: Frames from one keyframe to the next.
        crf: x264's quality, smaller is better.
        index_in_front: Put the file's index before its frames.
        audio_seconds: Length of a sound track; 0 for none.
    """
    container_options = {"movflags": "+faststart"} if index_in_front else {}
    with av.open(str(path), "w", format="mp4", options=container_options) as container:
        # min-keyint and scenecut: keyframes stand where `gop` puts them, whatever the pictures show.
        parameters = f"slices=1:threads=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=3:b-adapt=0"
        codec_options = {"crf": str(crf), "preset": "veryfast", "x264-params": parameters}
        video = container.add_stream("libx264", rate=FPS, options=codec_options)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono") if audio_seconds else None
        for picture in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if sound is not None:
            for block in _tone(audio_seconds):
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))


def _tone(seconds: float) -> Iterable[av.AudioFrame]:
    """A quiet 440 Hz tone in blocks of AAC's frame size."""
    total = round(seconds * _SAMPLE_RATE)
    for start in range(0, total, 1024):
        times = np.arange(start, min(total, start + 1024)) / _SAMPLE_RATE
        block = (0.1 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, start, Fraction(1, _SAMPLE_RATE)
        yield frame


def _make_room(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
