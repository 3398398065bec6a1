"""Requests and bytes that frames of a remote video cost: ``python benchmarks/streaming.py [--full] [--latency MS]``.

A video of about 9 MB and 430 frames, as long as the published ones are on average, is served on loopback and streamed
through ``load_dataset``.  Counted is everything: catalogue, calibration, header and frames.  ``--full`` makes pictures
of the published 2200 x 3208 pixels of which a part is noise, instead of small ones that all are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nersemble.demo import DemoHandler, DemoServer, FrameIdentity, demo_rig, read_identity, stamp
from nersemble.demo.encode import write_video
from nersemble.layout import SERIALS, AssetPath

FRAMES, LATE = 430, 380
SEQUENCE = "EXP-1-head"
MOST_REQUESTS, MOST_BYTES = 5, 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="pictures of 2200 x 3208 pixels")
    parser.add_argument("--latency", type=float, default=50, help="milliseconds that each request takes at least")
    options = parser.parse_args()
    import datasets  # noqa: F401 - so that its time is not the first frame's

    print(f"{FRAMES} frames, {options.latency:g} ms a request")
    print(f"{'':>10}{'':34}{'requests':>10}{'MB':>8}{'s':>8}")
    first: tuple[int, int] = (0, 0)
    for gop in (250, 30):
        with tempfile.TemporaryDirectory() as folder:
            size = make_capture(Path(folder), gop, options.full)
            print(f"GOP {gop}, a file of {size / 1e6:.1f} MB")
            with DemoServer(folder, handler=slow(options.latency / 1000)) as server:
                os.environ["NERSEMBLE_DATA_URL"] = server.url
                for name, read in WAYS.items():
                    cost = measure(server, read)
                    if name == "first frame":
                        first = max(first, cost)
                    print(f"{'':>10}{name:34}{cost[0]:>10}{cost[1] / 1e6:>8.2f}{cost[2]:>8.2f}")
    print(f"The bar for the first frame is {MOST_REQUESTS} requests and {MOST_BYTES / 1e6:g} MB.")


def slow(seconds: float) -> type[DemoHandler]:
    """A handler that waits before it answers, as a far-away server does."""

    class Slow(DemoHandler):
        def respond(self, path: str) -> None:
            time.sleep(seconds)
            self.send_file(path)

    return Slow


def make_capture(folder: Path, gop: int, full: bool) -> int:
    """A capture of one video of about 9 MB; gives its size."""
    width, height = (2200, 3208) if full else (276, 402)
    asset = AssetPath("video", 240, SEQUENCE, SERIALS[0])
    grain = np.random.default_rng(0).integers(88, 169, (402 + 97, 276 + 89, 1), np.uint8)
    top, left = (height - 402) // 2, (width - 276) // 2

    def pictures() -> Iterator[np.ndarray]:
        picture = np.full((height, width, 3), 128, np.uint8)
        for timestep in range(FRAMES):
            down, right = timestep * 29 % 97, timestep * 31 % 89  # texture that cannot be predicted
            picture[top : top + 402, left : left + 276] = grain[down : down + 402, right : right + 276]
            yield stamp(picture, FrameIdentity(240, SEQUENCE, SERIALS[0], timestep))

    path = folder / str(asset)
    path.parent.mkdir(parents=True)
    write_video(path, pictures(), (width, height), gop=gop, crf=22)
    rig = demo_rig(240, width, height)
    contents = {
        "camera_params": {
            "world_2_cam": {serial: matrix.tolist() for serial, matrix in rig.world_to_camera.items()},
            "intrinsics": rig.intrinsics.tolist(),
        },
        "color_calibration": {serial: matrix.tolist() for serial, matrix in rig.ccm.items()},
    }
    for kind, content in contents.items():
        target = folder / str(AssetPath(kind, 240))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
    (folder / "metadata_sequences.csv").write_text(f"ID,{SEQUENCE}\n240,x\n")
    return path.stat().st_size


def stream(**options: Any) -> Any:
    from datasets import load_dataset

    import nersemble  # noqa: F401 - registers the builder

    name = f"participant_240__camera_{SERIALS[0]}"
    return load_dataset("nersemble", name, split="train", streaming=True, **options)


WAYS: dict[str, Callable[[], Iterator[Any]]] = {
    "first frame": lambda: itertools.islice(stream(), 1),
    f"frame {LATE}": lambda: itertools.islice(stream().skip(LATE), 1),
    f"frames {LATE} to {LATE + 9}": lambda: itertools.islice(stream().skip(LATE), 10),
    "every 30th frame": lambda: iter(stream(timesteps="::30")),
    "all frames in order": lambda: iter(stream()),
}


def measure(server: DemoServer, read: Callable[[], Iterator[Any]]) -> tuple[int, int, float]:
    """Requests, bytes and seconds of reading rows, from a process that knows nothing of the server."""
    from nersemble import filesystem, opening

    opening.close_videos()
    filesystem._catalogs.clear()
    server.reset()
    begin = time.perf_counter()
    for row in read():
        if read_identity(row["frame"]).timestep != row["timestep"]:
            raise SystemExit("a wrong frame")
    taken = time.perf_counter() - begin
    return len(server.requests), sum(request.body_bytes for request in server.requests), taken


if __name__ == "__main__":
    main()
