"""Preparing beside its peers: ``python benchmarks/prepare.py --peer-python PYTHON [--data FOLDER] [--cameras N]``.

PYTHON is one that has the official kit and OpenCV: ``nersemble_data==0.0.6``, ``colour-science``, ``opencv-python``;
ffmpeg is on PATH.  Every peer makes pictures of a quarter of the size from the same videos, and they take turns.  What
is measured is a whole process with all its children, start of Python included, but where the table says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _frame_data import FRAMES, HEIGHT, PARTICIPANT, WIDTH
from _prepare_clients import status_of
from _prepare_data import (
    DEFAULT,
    capture_of_sequences,
    capture_of_terms,
    environment_of_clients,
    plan_of,
    sequences_of,
    without_numba,
)
from _processes import measure_process

from nersemble.cores import usable_cores
from nersemble.engines.worker import unit_line
from nersemble.layout import SERIALS, AssetPath
from nersemble.prepare.unit import Unit
from nersemble.video.reader import BYTES_A_PIXEL, PICTURES_HELD

HERE = Path(__file__).parent
SCALE = 0.25
FFMPEG, KIT, BOTH = "ffmpeg to JPG", "the kit on a JPG, a sample", "ffmpeg, then the kit"
PLAIN, COLOUR, NUMPY = "nersemble", "nersemble, colour", "nersemble, colour, NumPy alone"
ONE, INSIDE, LOOP = "nersemble, colour, 1 worker", "  the same, the run alone", "  its units in a loop"
STAGES, START = "  its stages, each alone", "nersemble, nothing to do"
MOST_OF_FFMPEG, LEAST_OF_KIT = 1.2, 20
MOST_OF_STAGES, MOST_OVERHEAD, LEAST_UNIT = 1.10, 0.03, 10
MOST_MEMORY, MOST_GROWTH = 1.5, 1.05
#: Units after which a worker's memory is looked at.
FEW, MANY = 2, 20
#: Moments of the units by which memory is measured.
SHORT = 30


@dataclass(frozen=True)
class Took:
    """Seconds of a peer for all pictures of a round; 0 where it has none of its own."""

    wall: float
    cpu: float


class Bench:
    """What is prepared, and what each peer took for it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.data = capture_of_terms(capture_of_sequences(options.data, options.sequences), options.terms)
        self.sequences = sequences_of(options.sequences)
        self.cameras = list(SERIALS[: options.cameras])
        self.pictures = options.sequences * options.cameras * options.frames
        self.took: dict[str, list[Took]] = defaultdict(list)
        self.cpu_of_stages: dict[str, list[float]] = defaultdict(list)
        self.bytes_a_picture = 0.0
        (folder / "lib").mkdir()
        self.no_numba = without_numba(folder / "lib")

    def plan(self, colour: bool, **other: Any) -> dict[str, Any]:
        """Arguments of ``plan_of``."""
        asked = {"data": str(self.data), "cameras": self.cameras, "timesteps": f"0:{self.options.frames}"}
        return {"sequences": self.sequences, **asked, "scale": SCALE, "color_correction": colour, **other}

    def client(
        self, what: str, given: dict[str, Any], python: str = sys.executable, **environment: str
    ) -> tuple[Took, dict[str, Any]]:
        """Run a client: what its process took, and what it says."""
        command = [python, "-W", "ignore", str(HERE / "_prepare_clients.py"), what]
        usage = measure_process(command, {**environment_of_clients(), **environment}, json.dumps(given), self.folder)
        if usage.problem:
            raise SystemExit(f"{what} failed: {usage.problem}")
        return Took(usage.wall, usage.cpu), json.loads(usage.output.splitlines()[-1])

    def prepare(self, what: str, colour: bool, workers: int = 1, **environment: str) -> tuple[Took, dict[str, Any]]:
        """Run the plan in a new folder."""
        out = self.folder / "out"
        given = {"plan": self.plan(colour), "out": str(out), "workers": workers}
        took, said = self.client(what, given, **environment)
        if said.get("pictures") != self.pictures:
            raise SystemExit(f"{what} made {said.get('pictures')} pictures instead of {self.pictures}")
        self.bytes_a_picture = said.get("bytes", 0) / self.pictures or self.bytes_a_picture
        return took, said

    def clear(self) -> None:
        shutil.rmtree(self.folder / "out", ignore_errors=True)

    # --- one round ----------------------------------------------------------------------------------------------------

    def round(self) -> None:
        """Every peer once."""
        cores = usable_cores()
        self._ffmpeg_and_kit()
        for name, colour, more in ((PLAIN, False, {}), (COLOUR, True, {}), (NUMPY, True, self.no_numba)):
            self.took[name].append(self.prepare("run", colour, cores, **more)[0])
            if name == COLOUR:  # its shards are there
                given = {"plan": self.plan(colour), "out": str(self.folder / "out"), "workers": cores}
                self.took[START].append(self.client("run", given)[0])
            self.clear()
        if not self.options.peers_only:
            self._one_worker()

    def _one_worker(self) -> None:
        for name, what in ((ONE, "run"), (LOOP, "loop")):
            took, said = self.prepare(what, True)
            self.took[name].append(took if name == ONE else Took(said["seconds"], took.cpu))
            if name == ONE:
                self.took[INSIDE].append(Took(said["seconds"], 0))
            self.clear()
        _, said = self.prepare("stages", True)
        self.took[STAGES].append(Took(0, sum(said["cpu"].values())))
        for stage, spent in said["cpu"].items():
            self.cpu_of_stages[stage].append(spent / self.pictures)
        self.clear()

    def _ffmpeg_and_kit(self) -> None:
        wall = cpu = 0.0
        paths: list[Path] = []
        for sequence, serial in itertools.product(self.sequences, self.cameras):
            out = self.folder / "out" / sequence / serial
            out.mkdir(parents=True)
            video = self.data / str(AssetPath("video", PARTICIPANT, sequence, serial))
            command = ["ffmpeg", "-v", "error", "-i", str(video)]
            command += ["-frames:v", str(self.options.frames), "-vf", "scale=iw/4:ih/4", "-q:v", "2"]
            usage = measure_process([*command, str(out / "%05d.jpg")], environment_of_clients(), "", self.folder)
            if usage.problem:
                raise SystemExit(f"ffmpeg failed: {usage.problem}")
            wall, cpu = wall + usage.wall, cpu + usage.cpu
            paths += sorted(out.glob("*.jpg"))
        if len(paths) != self.pictures:
            raise SystemExit(f"ffmpeg made {len(paths)} pictures instead of {self.pictures}")
        self.took[FFMPEG].append(Took(wall, cpu))
        sample = [str(path) for path in paths[:: max(1, len(paths) // self.options.sample)]]
        matrices = json.loads((self.data / str(AssetPath("color_calibration", PARTICIPANT))).read_text())
        given = {"ccm": matrices[self.cameras[0]], "paths": sample}
        _, said = self.client("kit", given, self.options.peer_python)
        kit = Took(*(said[key] * self.pictures / len(sample) for key in ("wall", "cpu")))
        self.took[KIT].append(kit)
        self.took[BOTH].append(Took(wall + kit.wall, cpu + kit.cpu))
        self.clear()

    # --- memory -------------------------------------------------------------------------------------------------------

    def memory_of_worker(self) -> tuple[list[int], int]:
        """Bytes: a worker's peak in each of ``MANY`` units, and what its libraries take."""
        plan = plan_of(**self.plan(True, chunk=SHORT))
        out = self.folder / "out"
        _, said = self.client("libraries", {"encoder": plan.encoder, "colour": True})
        worker = subprocess.Popen(
            [sys.executable, "-m", "nersemble.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment_of_clients(),
        )
        peaks = []
        with contextlib.closing(worker.stdin), contextlib.closing(worker.stdout):
            self._tell(worker, plan.job(out).to_json().encode())
            for number in range(MANY):
                Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # resets the peak
                unit: Unit = plan.units[number % len(plan.units)]
                if json.loads(self._tell(worker, unit_line(unit)))["outcome"] != "written":
                    raise SystemExit("a unit was not made")
                self.clear()
                peaks.append(status_of(worker.pid, "VmHWM"))
        worker.wait()
        return peaks, said["resident"]

    @staticmethod
    def _tell(worker: subprocess.Popen[bytes], line: bytes) -> bytes:
        worker.stdin.write(line + b"\n")
        worker.stdin.flush()
        return worker.stdout.readline()

    # --- the table ----------------------------------------------------------------------------------------------------

    def show(self) -> None:
        def milliseconds(name: str, figure: Callable[[Took], float]) -> str:
            spent = [figure(took) * 1e3 / self.pictures for took in self.took[name]]
            return f"{min(spent):9.2f}{statistics.median(spent):9.2f}" if any(spent) else f"{'':18}"

        print(f"\n{'':34}{'wall ms a frame':>18}{'CPU ms a frame':>18}")
        print(f"{'':34}{'min':>9}{'median':>9}{'min':>9}{'median':>9}")
        for name in self.took:
            print(f"{name:34}{milliseconds(name, lambda t: t.wall)}{milliseconds(name, lambda t: t.cpu)}".rstrip())
        for stage, spent in self.cpu_of_stages.items():
            print(f"    {stage:30}{'':18}{min(spent) * 1e3:9.2f}{statistics.median(spent) * 1e3:9.2f}")

    def ratio(self, ours: str, peer: str, figure: str = "wall") -> float:
        """Of the medians."""
        middle = [statistics.median(getattr(took, figure) for took in self.took[name]) for name in (ours, peer)]
        return middle[0] / middle[1]

    def judge(self) -> None:
        ratio = self.ratio(PLAIN, FFMPEG)
        judge(f"{ratio:.2f} times the wall of {FFMPEG}, at most {MOST_OF_FFMPEG}", ratio <= MOST_OF_FFMPEG)
        for name in (COLOUR, NUMPY):
            ratio = self.ratio(BOTH, name)
            judge(f"{name}: {ratio:.1f} times as fast as {BOTH}, at least {LEAST_OF_KIT}", ratio >= LEAST_OF_KIT)
        if not self.options.peers_only:
            self._judge_one_worker()

    def _judge_one_worker(self) -> None:
        ratio = self.ratio(ONE, STAGES, "cpu")
        judge(
            f"1 worker: {ratio:.3f} times the CPU of its stages, at most {MOST_OF_STAGES:.2f}", ratio <= MOST_OF_STAGES
        )
        units = len(plan_of(**self.plan(True)).units)
        seconds = statistics.median(took.wall for took in self.took[LOOP]) / units
        overhead = self.ratio(INSIDE, LOOP) - 1
        judge(
            f"the engine adds {overhead:+.1%} to units of {seconds:.1f} s, at most {MOST_OVERHEAD:.0%}",
            overhead <= MOST_OVERHEAD,
        )
        if seconds < LEAST_UNIT:
            print(f"  (the bar is for units of {LEAST_UNIT} s: take more cameras and frames)")
        peaks, libraries = self.memory_of_worker()
        pixels = WIDTH * HEIGHT
        flight = PICTURES_HELD["h264"] * BYTES_A_PIXEL * pixels + 3 * pixels + 3 * pixels * SCALE**2
        ratio = (max(peaks) - libraries) / flight
        judge(
            f"a worker's peak of {MANY} units is {max(peaks) / 1e6:.0f} MB: {libraries / 1e6:.0f} MB of libraries, and "
            f"{ratio:.2f} times the {flight / 1e6:.0f} MB of frames in flight, at most {MOST_MEMORY}",
            ratio <= MOST_MEMORY,
        )
        first, last = statistics.mean(peaks[:FEW]), statistics.mean(peaks[FEW:])
        judge(
            f"{last / 1e6:.0f} MB in those behind the first {FEW}, {last / first:.2f} times theirs, "
            f"at most {MOST_GROWTH}",
            last <= MOST_GROWTH * first,
        )


def judge(said: str, met: bool) -> None:
    print(f"  bar {'met' if met else 'MISSED'}: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-python", required=True, help="a Python that has the official kit and OpenCV")
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--cameras", type=int, default=8, help="videos, at most 16 (8)")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of each, at most {FRAMES} ({FRAMES})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=40, help="pictures that the kit corrects in a round (40)")
    parser.add_argument("--terms", type=int, default=3, help="columns of the colour-correction matrices (3)")
    parser.add_argument(
        "--sequences", type=int, default=1, help="with as many videos each; 16 cores need 4 or more (1)"
    )
    parser.add_argument("--peers-only", action="store_true", help="leave out what is measured of one worker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        # Not counted: what is compiled is kept, and files come into memory.
        warm = {"plan": bench.plan(True, timesteps="0:2"), "out": str(bench.folder / "out"), "workers": 1}
        bench.client("run", warm)
        bench.clear()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            bench.round()
        print(
            f"{bench.pictures // options.frames} videos of {options.frames} frames, {WIDTH} x {HEIGHT}, "
            f"matrices of {options.terms} columns, {usable_cores()} cores, {options.rounds} rounds; "
            f"{bench.bytes_a_picture / 1e3:.0f} kB a picture"
        )
        bench.show()
        bench.judge()


if __name__ == "__main__":
    main()
