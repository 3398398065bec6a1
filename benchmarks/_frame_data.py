"""Full-size videos to decode: 380 frames of 2200 x 3208, about 9 MB, each with its timestep in its pixels."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from nersemble.demo import FrameIdentity, demo_rig, stamp
from nersemble.layout import SERIALS, AssetPath

FRAMES = 380
WIDTH, HEIGHT = 2200, 3208
PARTICIPANT = 240
#: Bits a second at which 380 frames at 73 a second take about 9 MB.
RATE = "13.8M"
#: A capture has each kind of video in a sequence of its own, taken by all cameras.
KINDS = {
    "h264 gop 30": ("EXP-1-head", ["libx264", "-preset", "medium", "-g", "30"]),
    "h264 gop 250": ("EXP-2-eyes", ["libx264", "-preset", "medium", "-g", "250"]),
    "h264 gop 250, test picture": ("EXP-6-tongue-1", ["libx264", "-preset", "medium", "-g", "250"]),
    "hevc gop 30": ("EXP-4-lips", ["libx265", "-preset", "superfast", "-x265-params", "keyint=30:log-level=error"]),
    "hevc gop 250": ("EXP-5-mouth", ["libx265", "-preset", "superfast", "-x265-params", "keyint=250:log-level=error"]),
}
#: What is not of ``pictures`` is drawn by a filter of ffmpeg: with sharp edges and without noise.
DRAWN = {"h264 gop 250, test picture": "testsrc2"}


def video_path(folder: Path, kind: str, serial: str = SERIALS[8]) -> Path:
    return folder / str(AssetPath("video", PARTICIPANT, KINDS[kind][0], serial))


def make_capture(folder: Path) -> None:
    """Make what is not there yet, through ffmpeg's x264 and x265, which make one slice a frame."""
    for kind, (_, codec) in KINDS.items():
        target = video_path(folder, kind)
        if not target.exists():
            print(f"making {kind} ...", flush=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_suffix(".part.mp4")
            encode(temporary, codec, DRAWN.get(kind))
            os.replace(temporary, target)
        for serial in SERIALS:
            path = video_path(folder, kind, serial)
            if not path.exists():
                os.link(target, path)
    rig = demo_rig(PARTICIPANT, WIDTH, HEIGHT)
    contents = {
        "camera_params": {
            "world_2_cam": {serial: matrix.tolist() for serial, matrix in rig.world_to_camera.items()},
            "intrinsics": rig.intrinsics.tolist(),
        },
        "color_calibration": {serial: matrix.tolist() for serial, matrix in rig.ccm.items()},
    }
    for asset, content in contents.items():
        path = folder / str(AssetPath(asset, PARTICIPANT))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    sequences = [sequence for sequence, _ in KINDS.values()]
    (folder / "metadata_sequences.csv").write_text(
        f"ID,{','.join(sequences)}\n{PARTICIPANT},{','.join('x' * len(sequences))}\n"
    )


def encode(path: Path, codec: list[str], drawn: str | None) -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "73", "-i", "-"]
    source = raw if drawn is None else ["-f", "lavfi", "-i", f"{drawn}=size={WIDTH}x{HEIGHT}:rate=73"]
    command = ["ffmpeg", "-y", "-v", "error", *source, "-frames:v", str(FRAMES), "-c:v", *codec, "-b:v", RATE]
    command += ["-pix_fmt", "yuv420p", *(["-tag:v", "hvc1"] if codec[0] == "libx265" else [])]
    encoder = subprocess.Popen([*command, "-movflags", "+faststart", str(path)], stdin=subprocess.PIPE)
    for picture in pictures() if drawn is None else ():
        encoder.stdin.write(picture.data)  # type: ignore[union-attr]
    encoder.stdin.close()  # type: ignore[union-attr]
    if encoder.wait():
        raise SystemExit("ffmpeg could not encode the video")


def pictures() -> Iterator[np.ndarray]:
    """A still, soft background, a textured head that moves, and a sensor's noise: as in a studio."""
    random = np.random.default_rng(0)
    background = smooth(random, (HEIGHT, WIDTH), 40) // 2 + 60
    noise = random.integers(0, 8, (HEIGHT + 64, WIDTH + 64, 1), np.uint8)
    head = smooth(random, (1700, 1300), 12)
    rows, columns = np.ogrid[-1:1:1700j, -1:1:1300j]
    inside = (rows**2 + columns**2 < 1)[..., None]
    for timestep in range(FRAMES):
        down, right = timestep * 29 % 64, timestep * 37 % 64
        picture = background + noise[down : down + HEIGHT, right : right + WIDTH]
        top, left = 750 + round(40 * np.sin(timestep / 25)), 450 + round(60 * np.sin(timestep / 18))
        region = noise[right : right + 1700, down : down + 1300]
        np.copyto(picture[top : top + 1700, left : left + 1300], head + region, where=inside)
        yield stamp(picture, FrameIdentity(PARTICIPANT, "EXP-1-head", SERIALS[0], timestep))


def smooth(random: np.random.Generator, shape: tuple[int, int], cell: int) -> np.ndarray:
    """A soft texture of patches of ``cell`` pixels."""
    coarse = random.integers(40, 216, (shape[0] // cell + 1, shape[1] // cell + 1, 3), np.uint8)
    picture = PIL.Image.fromarray(coarse).resize((shape[1], shape[0]), PIL.Image.Resampling.BICUBIC)
    return np.minimum(np.asarray(picture), 240)
