"""Readers of frames, each a process that does one piece of work after the other: ``python _frame_clients.py NAME``.

A line of standard input is a piece of work, ``{"work": ..., "video": ..., "timesteps": [...], "folder": ...}``; the
line that answers it gives the seconds, CPU seconds and digests of the frames, which are taken outside the clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np


class Kit:
    """The official kit: a video is opened for each frame."""

    def random(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        from nersemble_data.util.video import VideoFrameLoader

        for timestep in timesteps:
            yield VideoFrameLoader(video).load_frame(timestep)

    def moment(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        from nersemble_data.util.video import VideoFrameLoader

        for timestep in timesteps:
            for name in sorted(os.listdir(folder)):
                yield VideoFrameLoader(os.path.join(folder, name)).load_frame(timestep)


class Kept:
    """A reader that keeps its video open."""

    def __init__(self) -> None:
        self.open: dict[str, Any] = {}

    def reader(self, video: str) -> Any:
        if video not in self.open:
            self.open[video] = self.make(video)
        return self.open[video]

    def make(self, video: str) -> Any:
        raise NotImplementedError

    def frame(self, reader: Any, timestep: int) -> Any:
        raise NotImplementedError

    def random(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        for timestep in timesteps:
            yield self.frame(self.reader(video), timestep)

    in_order = random


class TorchCodec(Kept):
    def make(self, video: str) -> Any:
        from torchcodec.decoders import VideoDecoder

        return VideoDecoder(video, dimension_order="NHWC", seek_mode="exact")

    def frame(self, reader: Any, timestep: int) -> Any:
        return reader[timestep].numpy()

    def batch(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        yield from self.reader(video).get_frames_at(timesteps).data.numpy()


class Decord(Kept):
    def make(self, video: str) -> Any:
        import decord

        return decord.VideoReader(video)

    def frame(self, reader: Any, timestep: int) -> Any:
        return reader[timestep].asnumpy()

    def batch(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        yield from self.reader(video).get_batch(timesteps).asnumpy()


class OpenCV(Kept):
    def make(self, video: str) -> Any:
        import cv2

        return cv2.VideoCapture(video)

    def frame(self, reader: Any, timestep: int) -> Any:
        import cv2

        reader.set(cv2.CAP_PROP_POS_FRAMES, timestep)
        return cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB)

    def in_order(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        import cv2

        reader = cv2.VideoCapture(video)
        for _ in timesteps:
            yield cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB)


class Nersemble(Kept):
    """The package: a decoder, and the rows of ``datasets``."""

    def make(self, video: str) -> Any:
        import nersemble

        return nersemble.VideoDecoder(video)

    def frame(self, reader: Any, timestep: int) -> Any:
        return reader.get_frame_at(timestep)

    def rows(self, video: str, view: str) -> Any:
        if (video, view) not in self.open:
            from datasets import load_dataset

            import nersemble  # noqa: F401 - registers the builder

            parts = video.split("/")
            cameras = [parts[-1][4:-4]] if view == "frame" else None
            self.open[video, view] = load_dataset(  # type: ignore[index]
                "nersemble",
                data_dir="/".join(parts[:-5]),
                participants=[240],
                sequences=parts[-3],
                cameras=cameras,
                view=view,
                split="train",
            )
        return self.open[video, view]  # type: ignore[index]

    def in_order(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        rows = self.rows(video, "frame")
        for row in rows if len(timesteps) == len(rows) else rows.select(timesteps):
            yield np.asarray(row["frame"])

    def random_row(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        rows = self.rows(video, "frame")
        for timestep in timesteps:
            yield np.asarray(rows[timestep]["frame"])

    def batch(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        for picture in self.rows(video, "frame")[timesteps]["frame"]:
            yield np.asarray(picture)

    def moment(self, video: str, timesteps: list[int], folder: str) -> Iterator[Any]:
        moments = self.rows(video, "timestep")
        for timestep in timesteps:
            for picture in moments[timestep]["frames"]:
                yield np.asarray(picture)


CLIENTS: dict[str, Callable[[], Any]] = {
    "nersemble": Nersemble,
    "official kit": Kit,
    "torchcodec exact": TorchCodec,
    "decord2": Decord,
    "OpenCV": OpenCV,
}


def main() -> None:
    client = CLIENTS[sys.argv[1]]()
    for line in sys.stdin:
        given = json.loads(line)
        work = getattr(client, given["work"])
        print(json.dumps(measure(work(given["video"], given["timesteps"], given["folder"]))), flush=True)


def measure(frames: Iterable[Any]) -> dict[str, Any]:
    digests, wall, cpu = [], 0.0, 0.0
    frames = iter(frames)
    while True:
        began, before = time.perf_counter(), time.process_time()
        frame = next(frames, None)
        wall += time.perf_counter() - began
        cpu += time.process_time() - before
        if frame is None:
            return {"wall": wall, "cpu": cpu, "digests": digests}
        digests.append(zlib.crc32(np.ascontiguousarray(frame[::16, ::16])))


if __name__ == "__main__":
    main()
