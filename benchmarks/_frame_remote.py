"""What frames of a remote video cost in requests and bytes, against what they must."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _frame_data import video_path

from nersemble.demo import DemoHandler, DemoServer

LATENCY = 0.05
LATE = 200


class FarHandler(DemoHandler):
    """Answers as a server far away does."""

    def respond(self, path: str) -> None:
        time.sleep(LATENCY)
        self.send_file(path)


def measure_remote(folder: Path) -> Iterator[tuple[str, bool]]:
    """Each bar, and whether it is met."""
    import fsspec

    import nersemble

    video = video_path(folder, "h264 gop 30")
    path = f"nersemble://{video.relative_to(folder)}"
    with DemoServer(folder, handler=FarHandler) as server, nersemble.VideoDecoder(video) as local:
        os.environ["NERSEMBLE_DATA_URL"] = server.url
        header = int(local._packets._index.offset.min())  # the frames lie behind the header
        packet = int(local.index.packet_of[LATE])
        start = local.index.start_for(packet)
        prefix = int(local._packets._index.size[start : packet + 1].sum())
        for timestep, most_requests, most_bytes in ((0, 3, 400_000), (LATE, 4, 1.1 * (header + prefix))):
            server.reset()
            began = time.perf_counter()
            with fsspec.open(path, "rb") as file, nersemble.VideoDecoder(file) as decoder:
                frame = decoder.get_frame_at(timestep)
            taken = time.perf_counter() - began
            if not np.array_equal(frame, local.get_frame_at(timestep)):
                raise SystemExit("a wrong frame")
            requests, size = len(server.requests), sum(request.body_bytes for request in server.requests)
            said = f"frame {timestep}: {requests} requests and {size / 1e6:.3f} MB in {taken:.2f} s"
            said += f", at most {most_requests} and {most_bytes / 1e6:.3f}"
            yield said, requests <= most_requests and size <= most_bytes
