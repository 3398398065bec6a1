"""Frames against their peers: ``python benchmarks/frames.py --peer-python PYTHON [--data FOLDER] [--rounds N]``.

``PYTHON`` is one that has the peers: ``nersemble_data==0.0.6 dreifus torch==2.13.0 torchcodec==0.13 decord2``, which
bring OpenCV; ffmpeg is on PATH.  Every reader is a process of its own that keeps running; they take turns, piece of
work after piece of work, and what each gives is compared with the frames of a pass through the whole video.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from _frame_data import FRAMES, make_capture, video_path
from _frame_remote import measure_remote

HERE = Path(__file__).parent
OURS, KIT, TORCHCODEC, FFMPEG = "nersemble", "official kit", "torchcodec exact", "ffmpeg -threads 2"
PEERS = (KIT, TORCHCODEC, "decord2", "OpenCV")
#: Frames of one piece of work.
RANDOM, BATCH = 8, 64


@dataclass(frozen=True)
class Bar:
    """The most that a figure of this package may be: ``times`` that of a peer."""

    peer: str
    figure: str
    times: float


class Reader:
    """A reader's process."""

    def __init__(self, name: str, python: str) -> None:
        environment = {**os.environ, "HF_HOME": tempfile.mkdtemp(), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        command = [python, str(HERE / "_frame_clients.py"), name]
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def do(self, work: str, video: Path, timesteps: list[int]) -> dict[str, object] | None:
        """What it answers; None from a reader that crashed, now or before."""
        given = {"work": work, "video": str(video), "timesteps": timesteps, "folder": str(video.parent)}
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(given) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer and self.name == OURS:
            raise SystemExit(f"{work} failed: run benchmarks/_frame_clients.py by hand to see why")
        return json.loads(answer) if answer else None


class Table:
    """What each reader took for each piece of work, and the bars."""

    def __init__(self) -> None:
        self.misses = 0

    def show(
        self, title: str, taken: dict[str, list[dict[str, float]]], wrong: dict[str, int], bars: list[Bar]
    ) -> None:
        print(f"\n{title}\n{'':24}{'wall ms':>18}{'CPU ms':>18}{'ours / wall':>13}{'CPU':>7}{'wrong':>7}")
        print(f"{'':24}{'min':>9}{'median':>9}{'min':>9}{'median':>9}")
        ratios = {
            name: {
                key: statistics.median(ours[key] / its[key] for ours, its in zip(taken[OURS], rows, strict=True))
                for key in ("wall", "cpu")
            }
            for name, rows in taken.items()
        }
        for name, rows in taken.items():
            walls, cpus = ([one[key] * 1e3 for one in rows] for key in ("wall", "cpu"))
            print(
                f"{name:24}{min(walls):9.1f}{statistics.median(walls):9.1f}{min(cpus):9.1f}{statistics.median(cpus):9.1f}"
                f"{ratios[name]['wall']:13.2f}{ratios[name]['cpu']:7.2f}"
                f"{wrong.get(name, 0):7}"
            )
        for bar in bars:
            ratio = ratios[bar.peer][bar.figure]
            self.judge(f"{ratio:.2f} times the {bar.figure} of {bar.peer}, at most {bar.times:.2f}", ratio <= bar.times)

    def judge(self, said: str, met: bool) -> None:
        self.misses += not met
        print(f"  bar {'met' if met else 'MISSED'}: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-python", required=True, help="a Python that has the peers")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "nersemble-frames")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only the tables whose title holds this")
    options = parser.parse_args()
    make_capture(options.data)
    readers = {OURS: Reader(OURS, sys.executable), **{name: Reader(name, options.peer_python) for name in PEERS}}
    table, chance = Table(), random.Random(0)
    for title, work, kind, peers, size, bars in WORKS:
        if options.only not in title:
            continue
        for name, reader in readers.items():
            if reader.process.poll() is not None:
                readers[name] = Reader(name, options.peer_python)
        video = video_path(options.data, kind)
        truth = readers[OURS].do("random", video, list(range(FRAMES)))["digests"]
        taken: dict[str, list[dict[str, float]]] = defaultdict(list)
        wrong: dict[str, int] = defaultdict(int)
        crashed: set[str] = set()
        for number in range(-1, options.rounds):  # the first round is not counted: things are opened in it
            timesteps = pick(work, size, chance)
            for name in (OURS, *peers):
                if name == FFMPEG:
                    answer = run_ffmpeg(video)
                else:
                    answer = readers[name].do(work, video, timesteps)
                    if answer is None:
                        crashed.add(name)
                        continue
                    cameras = 16 if work == "moment" else 1
                    expected = [truth[timestep] for timestep in timesteps for _ in range(cameras)]
                    wrong[name] += sum(a != b for a, b in zip(answer["digests"], expected, strict=True))
                if number >= 0:
                    taken[name].append({key: answer[key] / size for key in ("wall", "cpu")})
        taken = {name: rows for name, rows in taken.items() if name not in crashed}
        table.show(f"{title}, ms a {'moment' if work == 'moment' else 'frame'}", taken, wrong, bars)
        for name in sorted(crashed):
            print(f"  {name} crashed")
    if options.only in "memory":
        for kind, most in (("h264 gop 30", 110), ("hevc gop 30", 150)):
            held = memory_of_decoders(options.data, kind)
            table.judge(f"{held:.0f} MB of memory for an open decoder, {kind}, at most {most}", held <= most)
    if options.only in "remote":
        print("\nremote, 50 ms a request")
        for said, met in measure_remote(options.data):
            table.judge(said, met)
    print(f"\n{table.misses} bars missed")


WORKS = [
    (
        "random frame, h264 gop 30",
        "random",
        "h264 gop 30",
        PEERS,
        RANDOM,
        [Bar(KIT, "cpu", 0.30), Bar(TORCHCODEC, "cpu", 0.70)],
    ),
    (
        "random frame, h264 gop 250",
        "random",
        "h264 gop 250",
        PEERS,
        RANDOM,
        [Bar(KIT, "cpu", 0.45), Bar(TORCHCODEC, "cpu", 0.55)],
    ),
    (
        "random frame, h264 gop 250, test picture",
        "random",
        "h264 gop 250, test picture",
        PEERS,
        RANDOM,
        [Bar(KIT, "cpu", 0.45), Bar(TORCHCODEC, "cpu", 0.55)],
    ),
    ("random frame, hevc gop 30", "random", "hevc gop 30", PEERS, RANDOM, []),
    ("random frame, hevc gop 250", "random", "hevc gop 250", PEERS, RANDOM, []),
    (
        "in order through rows, h264 gop 30",
        "in_order",
        "h264 gop 30",
        (FFMPEG, TORCHCODEC, "OpenCV"),
        FRAMES,
        [Bar(FFMPEG, "wall", 1.3), Bar(TORCHCODEC, "wall", 1.05)],
    ),
    (
        "64 sorted frames through ds[[...]], h264 gop 30",
        "batch",
        "h264 gop 30",
        (TORCHCODEC, "decord2"),
        BATCH,
        [Bar(TORCHCODEC, "cpu", 0.75)],
    ),
    (
        "64 sorted frames through ds[[...]], h264 gop 250",
        "batch",
        "h264 gop 250",
        (TORCHCODEC, "decord2"),
        BATCH,
        [Bar(TORCHCODEC, "cpu", 0.75)],
    ),
    ("16 cameras at a random moment, h264 gop 30", "moment", "h264 gop 30", (KIT,), 1, [Bar(KIT, "wall", 0.25)]),
]


def pick(work: str, size: int, chance: random.Random) -> list[int]:
    if size == FRAMES:
        return list(range(FRAMES))
    chosen = chance.sample(range(FRAMES), size)
    return sorted(chosen) if work == "batch" else chosen


def run_ffmpeg(video: Path) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["ffmpeg", "-v", "error", "-threads", "2", "-i", str(video), "-f", "null", "-"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall": time.perf_counter() - began,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def memory_of_decoders(folder: Path, kind: str) -> float:
    """Megabytes of resident memory of an open decoder that has given frames: of 8, in a process of their own."""
    code = (
        "import sys, nersemble\n"
        "def resident():\n"
        "    return int(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1]) / 1e3\n"
        "def use(path):\n"
        "    decoder = nersemble.VideoDecoder(path)\n"
        "    for timestep in (200, 201, 202, 17):\n"
        "        decoder.get_frame_at(timestep)\n"
        "    return decoder\n"
        "kept = [use(sys.argv[1])]\n"
        "before = resident()\n"
        "kept += [use(sys.argv[1]) for _ in range(8)]\n"
        "print((resident() - before) / 8)\n"
    )
    return float(subprocess.check_output([sys.executable, "-c", code, str(video_path(folder, kind))], text=True))


if __name__ == "__main__":
    main()
